"""The archive directory: a BagIt bag (RFC 8493) in which every line of the manifest is true.

The order in which a group of generations is settled is the heart of it:

1. each file is fsynced when it is staged, and at the latest now;
2. the journal says what is about to be placed, and is fsynced;
3. each file is renamed into `data/`, and the directories are fsynced;
4. the checksum lines are appended and fsynced;
5. the catalogue commits, and the journal is emptied.

Whatever is killed or unplugged in between, `mend` finishes from the journal. It reads what the
journal names and nothing else.
"""

import errno
import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from archiver import __version__
from archiver.archive.checksum_manifest import CHECKSUMS, Checksums
from archiver.archive.durable import replace, sync
from archiver.archive.journal import Entry, Journal
from archiver.archive.lock import locked
from archiver.archive.staging import (
    INCOMING,
    QUARANTINE,
    StagedFile,
    StagedGeneration,
    discard,
    write_out,
)
from archiver.errors import NotAnArchive, StorageError, storage_errors
from archiver.generation import generation_at

HOUSEKEEPING = Path(".archiver")
_NO_SUCH_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)
_DECLARATION = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"


class Bag:
    """An archive directory. Whoever writes to it holds its lock. Its methods block."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.checksums = Checksums(root)
        self._journal = Journal(root / HOUSEKEEPING / "settling.json")

    @classmethod
    @contextmanager
    def hold(cls, root: Path, lock_wait: float = 0) -> Iterator["Bag"]:
        """Open the archive at `root`, or make an empty one, and hold its lock.

        Raises:
            NotAnArchive: if there is something else at `root`, or nowhere to make it.
            ArchiveLocked: if another run still holds it after `lock_wait` seconds.
            StorageError: if the disk does not take it.
        """
        bag = cls(root)
        bag.check()
        with storage_errors(f"preparing the archive {root}"):
            (root / HOUSEKEEPING).mkdir(parents=True, exist_ok=True)
        with locked(root / HOUSEKEEPING / "lock", lock_wait):
            with storage_errors(f"preparing the archive {root}"):
                bag._prepare()
            yield bag

    def _prepare(self) -> None:
        for directory in (self.root / INCOMING, self.root / "data"):
            directory.mkdir(exist_ok=True)
        self._journal.prepare()
        self.checksums.path.touch()
        if not (self.root / "bagit.txt").exists():
            replace(self.root / "bagit.txt", [_DECLARATION])
        for directory in (self.root / HOUSEKEEPING, self.root, self.root.absolute().parent):
            sync(directory)

    def check(self) -> None:
        """Make sure that this is an archive, or that there is room for one.

        Raises:
            NotAnArchive: if it is neither.
        """
        with storage_errors(f"looking at {self.root}"):
            self._check()

    def _check(self) -> None:
        if self.root.is_dir():
            names = {entry.name for entry in self.root.iterdir()} - {"lost+found"}
            if names and "bagit.txt" not in names and HOUSEKEEPING.name not in names:
                raise NotAnArchive(
                    f"{self.root} is not an archive: it holds other files and no bagit.txt; "
                    "name an empty or a new directory"
                )
        elif self.root.exists() or self.root.is_symlink():
            raise NotAnArchive(f"{self.root} is not a directory")
        elif not self.root.parent.is_dir():
            raise NotAnArchive(
                f"{self.root.parent} does not exist: is its disk mounted? (only the last part "
                "of the archive's path is made)"
            )

    def settle(self, group: Sequence[StagedGeneration], commit: Callable[[], None]) -> None:
        """Place a group of generations in the bag, durably, and `commit` it to the catalogue.

        Raises:
            StorageError: what was not settled stays staged or in the journal, and is mended.
        """
        files = [file for generation in group for file in generation.files]
        with storage_errors(f"settling {len(group)} generations in {self.root}"):
            write_out(self.root, group)
            self._move_occupants_aside(files)
            self._journal.write(Entry(tuple(files), self.checksums.size()))
            self._place(files)
            self.checksums.append(files)
        commit()
        self._empty_journal(files)

    def mend(self) -> int:
        """Finish the group that a crash left between two steps; return how many files it had.

        A file that the journal names and that is missing or damaged all the same is kept aside
        with the rest of its generation: that is not held, and will be fetched again.

        Raises:
            StorageError: if the disk does not let it.
        """
        with storage_errors(f"mending {self.root}"):
            self.checksums.cut_torn_line()
            entry = self._journal.read()
            if not (files := entry.files):
                return 0
            self._journal.flush()
            self._cut_lines_of(entry)
            self._place(files, mending=True)
            damaged = {generation_at(file.path) for file in files if not self._is_right(file)}
            self._move_aside(file for file in files if generation_at(file.path) in damaged)
            self.checksums.append(file for file in files if generation_at(file.path) not in damaged)
            return len(files)

    def close_mended(self) -> None:
        """Empty the journal, once the catalogue knows what `mend` has finished."""
        with storage_errors(f"reading the journal of {self.root}"):
            files = self._journal.read().files
        self._empty_journal(files)

    def relist(self, files: Sequence[StagedFile]) -> tuple[list[StagedFile], list[StagedFile]]:
        """Write checksum lines for files that lie in their places and still match.

        Return those, and those of the files that are not there at all.
        """
        with storage_errors(f"reading what {self.checksums.path} no longer lists"):
            missing = [file for file in files if not (self.root / file.path).exists()]
            right = [file for file in files if self._is_right(file)]
            self.checksums.append(right)
            return right, missing

    def restore(self, file: StagedFile, recorded: str | None) -> None:
        """Put a staged file in the place of a damaged or missing one, which is kept aside.

        Where its checksum is not the `recorded` one, the line is taken out of the manifest before
        and a new one written after: at no time is there a line that is known to be wrong.
        """
        with storage_errors(f"restoring {self.root / file.path}"):
            sync(self.root / file.staged)
            if recorded != file.sha256:
                self.checksums.strike({file.path})
            self.keep_aside([file.path])
            self._place([file])
            if recorded != file.sha256:
                self.checksums.append([file])

    def withdraw(self, paths: Collection[str]) -> None:
        """Take the lines of files that are about to be placed anew out of the checksum manifest."""
        with storage_errors(f"writing {self.checksums.path}"):
            self.keep_aside([CHECKSUMS])
            self.checksums.strike(paths)

    def adopt(self, paths: Iterable[str]) -> list[StagedFile]:
        """Write a checksum line for files that lie in their places and have none."""
        with storage_errors(f"listing what lies in {self.root}"):
            files = [
                StagedFile(path, path, _sha256(self.root / path), self.size_of(path))
                for path in paths
            ]
            for file in files:
                sync(self.root / file.path)
            self.checksums.append(files)
        return files

    def keep_aside(self, paths: Iterable[str]) -> None:
        """Put a second link to files into the quarantine: they are there at every instant.

        What is no file is moved there.
        """
        aside = self._aside()
        for path in paths:
            if (occupant := self.root / path).exists():
                (aside / path).parent.mkdir(parents=True, exist_ok=True)
                if occupant.is_file():
                    os.link(occupant, aside / path)
                else:
                    occupant.rename(aside / path)
                sync((aside / path).parent)

    def sha256(self, path: str) -> str | None:
        """Return the checksum of a file in the archive; None if it cannot be read."""
        try:
            return _sha256(self.root / path)
        except OSError:
            return None

    def require(self) -> None:
        """Make sure that there is an archive.

        Raises:
            NotAnArchive: if there is none.
        """
        with storage_errors(f"looking at {self.root}"):
            there, listed = self.root.exists(), self.checksums.path.is_file()
        if not there:
            raise NotAnArchive(f"{self.root} does not exist: is its disk mounted?")
        if not listed:
            raise NotAnArchive(f"{self.root} is not an archive: it has no {CHECKSUMS}")

    def files(self) -> Iterator[str]:
        """Yield the path of every file under `data/`; what is no UTF-8 in it is escaped."""
        with storage_errors(f"listing {self.root / 'data'}"):
            for directory, _, names in os.walk(self.root / "data", onerror=_raise):
                above = Path(directory).relative_to(self.root).as_posix()
                paths = (f"{above}/{name}" for name in names)
                yield from (os.fsencode(p).decode(errors="backslashreplace") for p in paths)

    def exists(self, path: str) -> bool:
        """Tell whether there is such a file in the archive."""
        return os.path.isfile(self._at(path))  # noqa: PTH113 (any path: what can be no file is none)

    def being_settled(self) -> list[str]:
        """Return the paths that the journal names: a backup is placing them, or a crash was."""
        return [file.path for file in self._journal.read().files]

    def size_of(self, path: str) -> int:
        """Return the size in bytes of a file in the archive; 0 if there can be no such file."""
        try:
            return (self.root / path).stat().st_size
        except OSError as error:
            if error.errno in _NO_SUCH_FILE:
                return 0
            raise

    def describe(self, files: int, payload_bytes: int) -> None:
        """Bring `bag-info.txt` up to date, if it is not. Other people's tags in it are kept."""
        path = self.root / "bag-info.txt"
        oxum = f"Payload-Oxum: {payload_bytes}.{files}"
        with storage_errors(f"writing {path}"):
            old = _tags(path)
            if oxum in old:
                return
            ours = ("Payload-Oxum:", "Bagging-Date:", "Bag-Software-Agent:")
            kept = [line for line in old if not line.startswith(ours)]
            date = f"Bagging-Date: {datetime.now(UTC).date().isoformat()}"
            agent = f"Bag-Software-Agent: archiver {__version__}"
            replace(path, (f"{line}\n" for line in [*kept, agent, date, oxum]))

    def _move_occupants_aside(self, files: Sequence[StagedFile]) -> None:
        """No checksum line vouches for a file that lies where these go: keep it, elsewhere.

        Unless it answers to this name only because the file system does not tell `A` from `a`:
        then it may be another generation's, and held.
        """
        occupied = [file for file in files if os.path.lexists(self._at(file.path))]
        for file in occupied:
            path = self.root / file.path
            if path not in list(path.parent.iterdir()):
                raise StorageError(
                    f"{path} would take the place of a file whose name differs in case alone: "
                    "this archive needs a file system that tells upper case from lower"
                )
        self._move_aside(file for file in occupied if not self._is_right(file))

    def _move_aside(self, files: Iterable[StagedFile]) -> None:
        aside = self._aside()
        for file in files:
            if (path := self.root / file.path).exists():
                (aside / file.path).parent.mkdir(parents=True, exist_ok=True)
                path.rename(aside / file.path)

    def _aside(self) -> Path:
        """Return a place in the quarantine that is named for this moment."""
        return self.root / QUARANTINE / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"

    def _is_right(self, file: StagedFile) -> bool:
        return self.exists(file.path) and _sha256(self.root / file.path) == file.sha256

    def _place(self, files: Sequence[StagedFile], *, mending: bool = False) -> None:
        directories = {Path(name) for name in {file.path.rpartition("/")[0] for file in files}}
        for directory in directories:
            (self.root / directory).mkdir(parents=True, exist_ok=True)
        for file in files:
            if mending and not os.path.lexists(self._at(file.staged)):
                continue  # it was placed before the crash
            os.rename(self._at(file.staged), self._at(file.path))  # noqa: PTH104
        for directory in {above for path in directories for above in (path, *path.parents)}:
            sync(self.root / directory)

    def _at(self, path: str) -> str:
        """Return where a path of the archive is. A night asks for many: pathlib takes its time."""
        return f"{self.root}/{path}"

    def _empty_journal(self, files: Iterable[StagedFile]) -> None:
        with storage_errors(f"emptying the journal of {self.root}"):
            self._journal.empty()
            for directory in {file.staged.rpartition("/")[0] for file in files}:
                self._remove(self._at(directory))

    def _remove(self, directory: str) -> None:
        """Delete a directory of what is settled; there is hardly ever anything left in it."""
        try:
            os.rmdir(directory)  # noqa: PTH106
        except OSError:
            discard(self.root, Path(directory))

    def _cut_lines_of(self, entry: Entry) -> None:
        """Take out what a crash may have written of a group: its lines may be half of them.

        In a copy of an archive the journal may be of an earlier moment: other groups' lines stay.
        """
        ours = {file.path for file in entry.files}
        if self.checksums.size() <= entry.offset:
            return
        if ours.issuperset(line.path for line in self.checksums.lines(entry.offset)):
            os.truncate(self.checksums.path, entry.offset)
        else:
            self.checksums.strike(ours)


def _raise(error: OSError) -> None:
    raise error


def _tags(path: Path) -> list[str]:
    if not path.exists():
        return []
    return path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
