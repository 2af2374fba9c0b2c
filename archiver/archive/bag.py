"""The bag: an archive directory (RFC 8493), as anyone may use it; who writes has `WritableBag`."""

import errno
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path

from archiver.archive import tags
from archiver.archive.checksum_manifest import ChecksumManifest, open_file, sha256_of
from archiver.archive.journal import Journal
from archiver.archive.layout import MANIFEST, Layout
from archiver.archive.store import Records, Reported
from archiver.errors import NotAnArchive, storage_errors

_BLOCK = 1 << 20
_NO_SUCH_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)


class Bag:
    """An archive directory, as anyone may use it. Its methods block."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root)
        self.manifest = ChecksumManifest(self.layout.manifest)
        self.journal = Journal(self.layout.journal)

    @property
    def name(self) -> str:
        """What people call it."""
        return str(self.layout.root)

    @property
    def is_shared(self) -> bool:
        """Whether other machines may have written to it, whose catalogue is elsewhere: no."""
        return False

    def check(self) -> None:
        """Make sure that this is an archive, or that there is a place for one.

        Raises:
            NotAnArchive: if it is neither.
            StorageError: if it cannot be read.
        """
        root = self.layout.root
        with storage_errors(f"looking at {root}"):
            if root.is_dir():
                self._check_contents()
            elif root.exists() or root.is_symlink():
                raise NotAnArchive(f"{root} is not a directory")
            elif not root.parent.is_dir():
                raise NotAnArchive(
                    f"{root.parent} does not exist: is its disk mounted? (only the last part of "
                    "the archive's path is created)"
                )

    def require(self) -> None:
        """Make sure that there is an archive.

        Raises:
            NotAnArchive: if there is none.
            StorageError: if it cannot be read.
        """
        root = self.layout.root
        with storage_errors(f"looking at {root}"):
            exists, listed = root.exists(), self.layout.manifest.is_file()
        if not exists:
            raise NotAnArchive(f"{root} does not exist: is its disk mounted?")
        if not listed:
            raise NotAnArchive(f"{root} is not an archive: it has no {MANIFEST}")

    def holder(self) -> None:
        """Return None: there is no lease, for the lock dies with its holder."""

    def being_committed(self) -> list[str]:
        """Return the paths that the journal names: a run is placing them, or a crash was."""
        return [target.path for target in self.journal.read().targets()]

    def files(self) -> Iterator[str]:
        """Yield the path of every file under `data/`; what is no UTF-8 in it is escaped.

        Without such a directory there are none.

        Raises:
            StorageError: if a directory cannot be read.
        """
        with storage_errors(f"listing {self.layout.data}"):
            if not self.layout.data.is_dir():
                return
            for directory, _, names in os.walk(self.layout.data, onerror=_raise):
                above = Path(directory).relative_to(self.layout.root).as_posix()
                paths = (f"{above}/{name}" for name in names)
                yield from (os.fsencode(p).decode(errors="backslashreplace") for p in paths)

    def exists(self, path: str) -> bool:
        """Return whether there is such a file."""
        return os.path.isfile(self.layout.at(path))  # noqa: PTH113 (also for what can be no path)

    def leads_out(self, path: str) -> bool:
        """Return whether a path leads out of the archive, through a symbolic link."""
        root = os.path.realpath(self.layout.root)
        return not os.path.realpath(self.layout.at(path)).startswith(f"{root}/")

    def size_of(self, path: str) -> int:
        """Return a file's size in bytes; 0 if there can be no such file.

        Raises:
            OSError: if the disk fails.
        """
        try:
            return os.stat(self.layout.at(path)).st_size  # noqa: PTH116
        except OSError as error:
            if error.errno in _NO_SUCH_FILE:
                return 0
            raise

    def sizes(self, paths: Collection[str]) -> Iterable[tuple[str, int]]:
        """Return the sizes of files in bytes, by their paths.

        Raises:
            StorageError: if the disk fails.
        """
        with storage_errors(f"reading the sizes of files in {self.layout.root}"):
            return [(path, self.size_of(path)) for path in paths]

    def beside(self, path: str) -> list[str]:
        """Return the files of the generation that a file belongs to."""
        directory, _, name = path.rpartition("/")
        found = Path(self.layout.at(directory)).glob(f"{name.partition('.')[0]}[.-]*")
        return [f"{directory}/{each.name}" for each in found]

    def records(self) -> AbstractContextManager[Records]:
        """Return what the bag says of itself: it is here."""
        return nullcontext(Records(self.layout))

    def is_under_way(self, path: str) -> bool:  # noqa: ARG002
        """Return False: what is being committed stands in the journal here."""
        return False

    def reported(self, path: str) -> Reported | None:
        """Return a file's size, if it is there: a disk keeps no checksum of it.

        Raises:
            OSError: if the disk fails.
        """
        return Reported(self.size_of(path)) if self.exists(path) else None

    @contextmanager
    def blocks(self, path: str) -> Iterator[Iterable[bytes]]:
        """Read a file in blocks.

        Raises:
            OSError: if it cannot be read.
        """
        with open_file(self.layout.at(path)) as file:
            yield iter(partial(file.read, _BLOCK), b"")

    def read(self, path: str, limit: int) -> bytes | None:
        """Return what is in a small file; None if it cannot be read, or is larger than `limit`."""
        try:
            with open_file(self.layout.at(path)) as file:
                data = file.read(limit + 1)
        except OSError:
            return None
        return data if len(data) <= limit else None

    def local(self, path: str) -> AbstractContextManager[Path]:
        """Return where a file is, or would be."""
        return nullcontext(Path(self.layout.at(path)))

    def sha256(self, path: str) -> str | None:
        """Return a file's checksum; None if it cannot be read."""
        try:
            return sha256_of(self.layout.at(path))
        except OSError:
            return None

    def publish(self, path: str, content: bytes) -> None:
        """Do nothing: what was written here is in the archive."""

    def published(self, directory: str) -> Iterator[str]:  # noqa: ARG002
        """Yield nothing: all is here."""
        return iter(())

    def _check_contents(self) -> None:
        layout = self.layout
        names = {entry.name for entry in layout.root.iterdir()} - {"lost+found"}
        if names and layout.declaration.name not in names and layout.state.name not in names:
            raise NotAnArchive(
                f"{layout.root} is not an archive: it holds other files and no bagit.txt; "
                "name an empty or a new directory"
            )
        if (encoding := tags.declared_encoding(layout) or "").startswith(("UTF-16", "UTF-32")):
            raise NotAnArchive(
                f"{layout.declaration} says that its tag files are in {encoding}: only UTF-8 can "
                "be added to; write them in UTF-8, and say so in bagit.txt"
            )


def _raise(error: OSError) -> None:
    raise error
