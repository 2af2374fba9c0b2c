"""A disk that is watched, or that fails."""

import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


class DiskLog:
    """The requests to the disk, in order: what is created, opened, flushed and renamed."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.steps: list[str] = []
        self._os_open, self._io_open = os.open, io.open
        self._rename, self._mkdir = os.rename, os.mkdir
        patch.setattr(os, "open", self._opening_a_descriptor)
        patch.setattr(io, "open", self._opening)
        patch.setattr(os, "fsync", self._flushing)
        patch.setattr(os, "rename", self._renaming)
        patch.setattr(os, "mkdir", self._making_a_directory)

    def flushes(self) -> list[str]:
        """Return what was flushed, and how many bytes it had then."""
        return [step for step in self.steps if step.startswith("fsync ")]

    def _flushing(self, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        self.steps.append(f"fsync {path.name} of {path.stat().st_size}")

    def _renaming(self, path: Path | str, target: Path | str) -> None:
        self.steps.append(f"rename {Path(path).name} {Path(target).name}")
        self._rename(path, target)

    def _making_a_directory(self, path: Path | str, *args: Any, **kwargs: Any) -> None:
        self._mkdir(path, *args, **kwargs)
        self.steps.append(f"mkdir {path}")

    def _opening_a_descriptor(self, path: Path | str, flags: int, *args: Any) -> int:
        if flags & os.O_WRONLY:
            self.steps.append(f"open {Path(path).name} wb")
        return self._os_open(path, flags, *args)

    def _opening(self, path: Path | str, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        self.steps.append(f"open {Path(path).name} {mode}")
        return self._io_open(path, mode, *args, **kwargs)


def failing(number: int) -> Callable[..., None]:
    """Return a function that fails as the system does, with this error number."""

    def fail(*_args: object, **_kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


IO_ERROR = failing(errno.EIO)


def everything(root: Path) -> dict[str, bytes | None]:
    """Return all that is there: files with what is in them, and directories."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes() if path.is_file() else None
        for path in root.rglob("*")
    }


def names(directory: Path) -> list[str]:
    """Return the names of what is in a directory, sorted."""
    return sorted(path.name for path in directory.iterdir())


def in_any_case(patch: pytest.MonkeyPatch, root: Path) -> None:
    """Let a name below `root` be found in any letter case, as on exFAT, CIFS or a Mac's disk.

    Files are still created under their own names, so that a test sees what is replaced.
    """
    lexists = os.path.lexists

    def lexists_in_any_case(path: Path | str) -> bool:
        if lexists(path) or root not in Path(path).parents:
            return lexists(path)
        wanted = Path(path).relative_to(root).as_posix().lower()
        found = (each.relative_to(root).as_posix().lower() for each in root.rglob("*"))
        return wanted in found

    patch.setattr(os.path, "lexists", lexists_in_any_case)
