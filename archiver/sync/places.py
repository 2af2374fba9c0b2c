"""Places: the source and the target of a sync are two archives, neither of them in the other."""

import os
from pathlib import Path

from archiver.bucket.state import endpoint_of
from archiver.errors import ConfigurationError
from archiver.location import Location


def check_apart(source: Location, target: Location) -> None:
    """Make sure that two locations are two places.

    Raises:
        ConfigurationError: if they are one, or one is in the other.
    """
    one, other = _steps(source), _steps(target)
    if one == other or _is_one_directory(source, target):
        raise ConfigurationError(f"{source} and {target} are the same place: name another target")
    shared = min(len(one), len(other))
    if one[:shared] == other[:shared]:
        inner, outer = (target, source) if len(other) > len(one) else (source, target)
        raise ConfigurationError(f"{inner} is in {outer}: an archive cannot be part of its copy")


def _steps(location: Location) -> tuple[str, ...]:
    """Return the way to a place, step by step: what is in it has the same, and more."""
    if isinstance(location, Path):
        return location.resolve().parts
    steps = filter(None, location.prefix.split("/"))
    return "s3:", endpoint_of(location), location.bucket, *steps


def _is_one_directory(source: Location, target: Location) -> bool:
    """Return whether a directory has two names, as where it is mounted twice."""
    if not isinstance(source, Path) or not isinstance(target, Path):
        return False
    try:
        return os.path.samefile(source, target)  # noqa: PTH121
    except OSError:
        return False
