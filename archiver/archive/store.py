"""The store: the place of an archive, whatever it is; a directory's is the bag in it.

The order in which a group is committed, and what a crash leaves of it, is each store's own; the
promises are the same.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from archiver.archive.checksum_manifest import ChecksumManifest
from archiver.archive.layout import Layout
from archiver.archive.staged import StagedFile, StagedGeneration
from archiver.checksums import BagFile

if TYPE_CHECKING:
    from concurrent.futures import Future


@dataclass(frozen=True, slots=True)
class Reported:
    """What a store says of a file without reading it."""

    size: int
    """In bytes."""
    sha256: str = ""
    """The checksum that it keeps; empty if it keeps none."""


@dataclass(frozen=True, slots=True)
class Records:
    """What an archive says of itself, beside its payload, at one moment."""

    layout: Layout
    """Where the checksum manifest, the tag files and other manifests are to be read."""
    segments: Sequence[tuple[str, bytes]] = ()
    """The names and contents of files whose lines are to be rolled up into the manifest."""
    at_rest: bool = True
    """Whether no run elsewhere is under way, or was killed: else some of it is yet to be done."""
    is_counted: bool = True
    """Whether the payload was counted after the last lines were written."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The run that holds an archive in a bucket, as its lease says."""

    run: str
    host: str
    process: int
    began: str
    name: str
    """What people call it: the process, the host, and since when it runs."""
    renewed: float
    """How long ago the lease was renewed, in seconds, by the store's clock."""
    alive: bool
    """Whether the lease is good: if not, the run was killed, and the next one takes it over."""


class Store(Protocol):
    """The place of an archive, as anyone may use it, beside a run that writes to it.

    Its methods block, and raise `StorageError` where the store fails.
    """

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    @property
    def is_shared(self) -> bool:
        """Whether other machines may have written to it, whose catalogue is elsewhere."""
        ...

    @property
    def layout(self) -> Layout:
        """What is on the disk here: the catalogue, the journal, what is staged."""
        ...

    @property
    def manifest(self) -> ChecksumManifest:
        """The checksum manifest, as it is on the disk here."""
        ...

    def check(self) -> None:
        """Make sure that this is an archive, or that there is a place for one.

        Raises:
            NotAnArchive: if it is neither.
        """
        ...

    def require(self) -> None:
        """Make sure that there is an archive; raise `NotAnArchive` if there is none."""
        ...

    def holder(self) -> Holder | None:
        """Return which run holds it, on this or another machine, where a lease says so."""
        ...

    def being_committed(self) -> list[str]:
        """Return the paths that the journal names: a run is placing them, or a crash was."""
        ...

    def files(self) -> Iterator[str]:
        """Yield the path of every file under `data/`."""
        ...

    def published(self, directory: str) -> Iterator[str]:
        """Yield the paths below a directory that are in the archive and may not be here."""
        ...

    def exists(self, path: str) -> bool:
        """Return whether there is such a file."""
        ...

    def leads_out(self, path: str) -> bool:
        """Return whether a path leads out of the archive, through a symbolic link."""
        ...

    def size_of(self, path: str) -> int:
        """Return a file's size in bytes; 0 if there is no such file, or it takes long to ask."""
        ...

    def sizes(self, paths: Collection[str]) -> Iterable[tuple[str, int]]:
        """Return the sizes of files in bytes, by their paths, however long it takes to ask."""
        ...

    def sha256(self, path: str) -> str | None:
        """Return a file's checksum; None if it cannot be read."""
        ...

    def beside(self, path: str) -> list[str]:
        """Return the files of the generation that a file belongs to, whether they are listed."""
        ...

    def records(self) -> AbstractContextManager[Records]:
        """Return what the archive says of itself now: for as long as it is asked for."""
        ...

    def is_under_way(self, path: str) -> bool:
        """Return whether a file may be one that a run elsewhere has sent and not listed."""
        ...

    def reported(self, path: str) -> Reported | None:
        """Return what is said of a file without reading it; None if there is none."""
        ...

    def read(self, path: str, limit: int) -> bytes | None:
        """Return what is in a small file; None if it cannot be read, or is larger than `limit`."""
        ...

    def blocks(self, path: str) -> AbstractContextManager[Iterable[bytes]]:
        """Read a file, of any size, in blocks; `OSError` says that this one cannot be read."""
        ...

    def local(self, path: str) -> AbstractContextManager[Path]:
        """Return where a file is on the disk here: for as long as it is asked for.

        It may be missing or damaged there as in the archive.
        """
        ...

    def publish(self, path: str, content: bytes) -> None:
        """Let a file be in the archive that was written here for people to look at: the page.

        It needs no lock: the last who writes it is right.
        """
        ...


def stays_torn(store: Store, line: bytes) -> bool:
    """Return whether nobody is writing this line, which has no end, nor has ended it meanwhile."""
    return not store.being_committed() and store.manifest.torn_line() == line


class WritableStore(Store, Protocol):
    """A store whose lock this run holds."""

    def recover(self) -> Sequence[StagedFile]:
        """Finish the group that a crash left between two steps; return its files."""
        ...

    def begin_upload(self, staged: StagedGeneration) -> "Future[str] | None":
        """Begin to send what is staged to the store, where that takes long; see `commit`.

        The future has why the store did not take this one, or an empty text.
        """
        ...

    def commit(self, group: Sequence[StagedGeneration], record: Callable[[], None]) -> None:
        """Make a group of generations part of the archive, durably.

        `record` commits the catalogue.
        """
        ...

    def clear_journal(self, files: Iterable[StagedFile]) -> None:
        """Clear the journal, of whose files the catalogue knows now, and what was staged."""
        ...

    def relist(
        self, files: Sequence[BagFile], *, new: bool = False
    ) -> tuple[list[BagFile], list[BagFile]]:
        """Write the lines of files that are there and match; return those, and the missing.

        If they are `new`, other manifests do not list them.
        """
        ...

    def obstacle(self, path: str) -> str:
        """Return what keeps the store from having a file at a path; empty if nothing does.

        Another file there is no obstacle: it would be quarantined.
        """
        ...

    def withdraw(self, paths: Collection[str]) -> None:
        """Remove the lines of files that are about to be committed anew."""
        ...

    def adopt(self, paths: Iterable[str]) -> list[BagFile]:
        """Write a line for files that are there; any other lines of theirs are removed."""
        ...

    def restore(self, files: Sequence[StagedFile], recorded: Mapping[str, str]) -> None:
        """Put staged files in the places of damaged or missing ones, which are quarantined.

        Where a checksum is not the `recorded` one of its path, its line is written anew.
        """
        ...

    def set_aside(self, paths: Iterable[str]) -> None:
        """Move files into the quarantine, where they are there."""
        ...

    def copy_aside(self, paths: Iterable[str]) -> None:
        """Keep a copy of files in the quarantine: they stay in place at every instant."""
        ...

    def keep_tags(self) -> None:
        """Make the tag files that are here those of the archive."""
        ...

    def describe(self, files: int, payload_bytes: int) -> None:
        """Bring the tag files up to date, for this many files and bytes."""
        ...
