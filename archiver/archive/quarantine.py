"""The quarantine: files that are not what they should be, moved aside and never deleted."""

import errno
import os
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from archiver.archive.durable import fsync
from archiver.archive.layout import Layout

_NO_LINKS = (
    errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL,
    errno.EMLINK, errno.EXDEV,
)  # fmt: skip
"""What file systems say that have no hard links, or none more: exFAT, CIFS, some FUSE."""


class Quarantine:
    """The quarantine of an archive. Its methods raise `OSError` if the disk fails."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def copy(self, paths: Iterable[str]) -> None:
        """Keep a second link to files of the archive: they are in place at every instant.

        Where there are no hard links it is a copy. What is no file is moved.
        """
        aside = self._place()
        for path in paths:
            if os.path.lexists(occupant := self._layout.root / path):
                (aside / path).parent.mkdir(parents=True, exist_ok=True)
                if occupant.is_file():
                    _duplicate(occupant, aside / path)
                else:
                    occupant.rename(aside / path)
                fsync((aside / path).parent)

    def move(self, paths: Iterable[str]) -> None:
        """Move files of the archive aside, where they are there."""
        aside = self._place()
        for path in paths:
            if os.path.lexists(occupant := self._layout.root / path):
                (aside / path).parent.mkdir(parents=True, exist_ok=True)
                occupant.rename(aside / path)

    def take_payloads(self, name: str, payloads: Iterable[Path]) -> None:
        """Move staged payloads into the directory `name`."""
        aside = self._layout.quarantine / name
        for payload in payloads:
            aside.mkdir(parents=True, exist_ok=True)
            payload.rename(aside / payload.name)

    def _place(self) -> Path:
        """Return a directory that is named for this moment."""
        return self._layout.quarantine / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"


def _duplicate(path: Path, target: Path) -> None:
    """Give a file, or a symbolic link, a second name; or make a copy, whole and flushed."""
    try:
        os.link(path, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _copy(path, target)


def _copy(path: Path, target: Path) -> None:
    """Copy a file; what a crash leaves of it has a name that shows it."""
    partial = target.with_name(f"{target.name}.part")
    try:
        shutil.copy2(path, partial, follow_symlinks=False)
        if not partial.is_symlink():
            fsync(partial)
    except OSError as error:
        partial.unlink(missing_ok=True)
        if error.errno != errno.EIO:
            raise
        path.rename(target)  # it cannot be read: it is of no more use in its place than elsewhere
    else:
        partial.rename(target)
