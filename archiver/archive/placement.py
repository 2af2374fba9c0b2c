"""Placement: renaming staged files into `data/`, over nothing that is worth keeping."""

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from archiver.archive.checksum_manifest import sha256_of
from archiver.archive.durable import fsync
from archiver.archive.layout import Layout
from archiver.archive.quarantine import Quarantine
from archiver.archive.staged import StagedFile
from archiver.checksums import BagFile
from archiver.errors import ConfigurationError, StorageError

_NO_FILE = ".archiver-no-file"


def place(layout: Layout, files: Sequence[StagedFile], *, again: bool = False) -> None:
    """Rename staged files into their places, durably.

    When it is done `again` after a crash, some may be in place already.

    Raises:
        OSError: if the disk does not take it.
    """
    targets = [file.target for file in files]
    make_directories(layout, targets)
    for file in files:
        staged = layout.at(file.staged)
        if not again or os.path.lexists(staged):
            os.rename(staged, layout.at(file.target.path))  # noqa: PTH104
    _flush(layout, _above(targets))


def make_directories(layout: Layout, files: Iterable[BagFile]) -> None:
    """Make the directories that files are to be in.

    Raises:
        OSError: if the disk does not take them, or a file is there.
    """
    for directory in _above(files):
        (layout.root / directory).mkdir(parents=True, exist_ok=True)


def flush(layout: Layout, files: Sequence[BagFile]) -> None:
    """Make durable what is in place.

    Raises:
        OSError: if the disk does not take it.
    """
    for file in files:
        fsync(layout.at(file.path))
    _flush(layout, _above(files))


def _above(files: Iterable[BagFile]) -> set[Path]:
    return {Path(name) for name in {file.path.rpartition("/")[0] for file in files}}


def _flush(layout: Layout, directories: Iterable[Path]) -> None:
    # A directory that is new is an entry of the one above, which is no more durable than that.
    for directory in {above for path in directories for above in (path, *path.parents)}:
        fsync(layout.root / directory)


def check_renames(layout: Layout) -> None:
    """Make sure that files can be renamed into `data/`, and out of it into the quarantine.

    Raises:
        ConfigurationError: if another file system is mounted in between.
        OSError: if a directory cannot be read.
    """
    for directory in _directories(layout):
        if _is_apart(layout.incoming, directory) or _is_apart(directory, layout.quarantine):
            raise ConfigurationError(
                f"{directory} is on another file system than {layout.state}, and files are moved "
                f"between them: have all of {layout.root} on one, mounted there or above"
            )


def _directories(layout: Layout) -> Iterator[Path]:
    """Yield `data/` and the directories in it where files go, as far as they are there."""
    yield layout.data
    for family in layout.data.iterdir():
        if family.is_dir():
            yield family
            yield from (path for path in family.iterdir() if path.is_dir())


def _is_apart(source: Path, target: Path) -> bool:
    """Return whether no file can be renamed from one directory into another.

    The system looks at that first; so it says so also of a file that is not there.
    """
    try:
        (source / _NO_FILE).replace(target / _NO_FILE)
    except OSError as error:
        return error.errno == errno.EXDEV
    return False


def vacate(layout: Layout, quarantine: Quarantine, targets: Sequence[BagFile]) -> None:
    """Move aside what lies where these files go: no checksum line vouches for it.

    Raises:
        StorageError: if it has the name only because the file system does not distinguish `A`
            from `a`: then it may be another generation's, and held.
        OSError: if the disk does not take it.
    """
    occupied = [file for file in targets if os.path.lexists(layout.at(file.path))]
    for file in occupied:
        path = layout.root / file.path
        if path not in list(path.parent.iterdir()):
            raise StorageError(
                f"{path} would replace a file whose name differs in case alone: this archive "
                "needs a file system that distinguishes upper case from lower"
            )
    quarantine.move(file.path for file in occupied if not matches(layout, file))


def matches(layout: Layout, file: BagFile) -> bool:
    """Return whether a file is in place and has its checksum.

    Raises:
        OSError: if it cannot be read.
    """
    path = layout.at(file.path)
    return os.path.isfile(path) and sha256_of(path) == file.sha256  # noqa: PTH113
