"""Programs that come with a Python package: found in it, wherever that is installed."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest


def program(name: str, package: str) -> Path:
    """Return a program of a package; skip the test where that is not installed."""
    try:
        files = distribution(package).files or ()
    except PackageNotFoundError:
        pytest.skip(f"{package} is not installed: pip install '.[test-s3]'")
    return next(Path(str(file.locate())).resolve() for file in files if file.name == name)
