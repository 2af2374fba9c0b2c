"""The target: the directory of a tree, in which a person may have files of their own."""

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from archiver.archive.lock import locked
from archiver.archive.store import Store
from archiver.errors import ArchiveLocked, ConfigurationError, storage_errors
from archiver.tree.state import DIRECTORY, Form, Link

_NO_HARD_LINK = (
    errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS,
)  # fmt: skip
"""Another file system, one without hard links, or a file to which we may make none."""
_NO_SYMBOLIC_LINK = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)


class Blocked(Exception):
    """A link cannot be made here; the message says why."""


class Damaged(Exception):
    """A video is not what its checksum says, or is missing: nothing leads to it from here."""


class Target:
    """The directory of a tree. Its methods block."""

    def __init__(self, store: Store, root: Path) -> None:
        self.root = root
        self._store = store
        self._archive = os.path.realpath(store.layout.root)
        self._real = os.path.realpath(root)
        self._same_disk = _device(self._archive) == _device(self._real)
        self._hard_links = True
        self._directories = dict[str, bool]()
        """Which directories are there and are real ones, not links to others."""

    def check(self) -> None:
        """Make sure that the target is beside the archive, and that there is a place for it.

        Raises:
            ConfigurationError: if it is not.
            StorageError: if it cannot be looked at.
        """
        archive, root = Path(self._archive), Path(self._real)
        with storage_errors(f"looking at {self.root}"):
            if root.exists() and not root.is_dir():
                raise ConfigurationError(f"{self.root} is not a directory")
            if not root.exists() and not root.parent.is_dir():
                raise ConfigurationError(
                    f"{root.parent} does not exist: only the last part of the target is created"
                )
            for place in (root, *root.parents):
                if _same(place, archive) or (place / ".archiver/catalogue.sqlite").exists():
                    raise ConfigurationError(
                        f"{self.root} is in the archive {place}: name a directory outside it"
                    )
            if any(_same(place, root) for place in archive.parents):
                raise ConfigurationError(
                    f"the archive is in {self.root}: name a directory beside the archive"
                )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Create the target if it is not there, and hold its lock.

        Raises:
            ArchiveLocked: if another run is at work in it.
            StorageError: if the disk does not take it.
        """
        own = self.root / DIRECTORY
        with storage_errors(f"preparing {self.root}"):
            own.mkdir(parents=True, exist_ok=True)
        try:
            with locked(own / "lock"):
                for left in own.glob("copy-*"):
                    left.unlink(missing_ok=True)
                yield
        except ArchiveLocked:
            why = f"another run makes links in {self.root}: wait for it to end"
            raise ArchiveLocked(why) from None

    def exists(self, path: str) -> bool:
        """Return whether there is anything at a path."""
        return os.path.lexists(self._at(path))

    def is_ours(self, link: Link) -> bool:
        """Return whether a link is there as it was made."""
        return self._in_real_directory(link.path) and self._matches(link, link.path)

    def is_current(self, link: Link, sha256: str) -> bool:
        """Return whether a link of ours leads to a video as it is now; or has a copy of that."""
        match link.form:
            case "hard":
                return self._inode(link.source) == link.mark
            case "symbolic":
                there = os.path.lexists(self._source(link.source))
                return there and self._text(link.path, link.source) == link.mark
            case "copy":
                return link.sha256 == sha256

    def is_last(self, link: Link) -> bool:
        """Return whether nothing else may have the bytes any more of what we made."""
        if link.form == "hard":
            return os.lstat(self._at(link.path)).st_nlink == 1
        return link.form == "copy"

    def leads_to(self, path: str, source: str, sha256: str) -> bool:
        """Return whether what is at a path, whoever made it, is or leads to a video."""
        if not self._in_real_directory(path):
            return False
        with suppress(OSError):
            there, here = Path(self._at(path)), Path(self._source(source))
            if self._store.is_shared:
                return there.is_file() and _sha256(there) == sha256
            return there.samefile(here) or (
                there.is_file()
                and there.stat().st_size == here.stat().st_size
                and _sha256(there) == sha256
            )
        return False

    def planned(self, wanted: Link, size: int) -> Link:
        """Return a link as it would be made: its form, and its mark.

        `size` is how many bytes a video in a bucket has; whether it is there is seen in time.

        Raises:
            Damaged: if the video is missing.
        """
        if self._store.is_shared:
            return _changed(wanted, "copy", f"{size} {_nanoseconds(wanted.date)}")
        try:
            found = os.lstat(self._source(wanted.source))
        except OSError as error:
            why = f"{wanted.source} cannot be read: {error.strerror} (see archiver verify)"
            raise Damaged(why) from None
        if wanted.how == "copy":
            return _changed(wanted, "copy", f"{found.st_size} {found.st_mtime_ns}")
        hard = self._hard_links and self._same_disk and stat.S_ISREG(found.st_mode)
        if wanted.how == "symbolic" or not hard:
            return _changed(wanted, "symbolic", self._text(wanted.path, wanted.source))
        return _changed(wanted, "hard", str(found.st_ino))

    def make_directories(self, path: str) -> None:
        """Make the directories that a path needs.

        Raises:
            Blocked: if something else is there.
            OSError: if the disk does not take it.
        """
        for directory in parents(path):
            if not self._directories.get(directory):
                with suppress(FileExistsError):
                    Path(self._at(directory)).mkdir()
                self._directories[directory] = _is_directory(self._at(directory))
            if not self._directories[directory]:
                raise Blocked(f"{directory} is in the way, which is no directory of ours")

    def make(self, link: Link, received: Callable[[int], object]) -> Link:
        """Make a link, and return it as it has become; `received` hears of bytes that are copied.

        Raises:
            Blocked: if something is in its place.
            Damaged: if a video to copy is not what its checksum says.
            ConfigurationError: if there are no links on this file system.
            OSError: if the disk does not take it.
        """
        try:
            match link.form:
                case "hard":
                    return self._hard(link)
                case "symbolic":
                    return self._symbolic(link)
                case "copy":
                    return self._copy(link, received)
        except FileExistsError:
            raise Blocked(f"{link.path} is taken by a file that is not ours") from None

    def move(self, old: Link, new: Link) -> Link:
        """Give a copy another name: what is in the place of that stays.

        Raises:
            Blocked: if something is in its place.
            OSError: if the disk does not take it.
        """
        try:
            _publish(Path(self._at(old.path)), Path(self._at(new.path)))
        except FileExistsError:
            raise Blocked(f"{new.path} is taken by a file that is not ours") from None
        return self._as_it_is(new)

    def remove(self, path: str) -> None:
        """Remove a link.

        Raises:
            OSError: if the disk does not take it.
        """
        Path(self._at(path)).unlink()

    def remove_empty(self, directories: Iterable[str]) -> frozenset[str]:
        """Remove directories in which nothing is left; return the others, that are still there."""
        left = set[str]()
        for directory in sorted(directories, key=len, reverse=True):
            try:
                if self._in_real_directory(directory):
                    Path(self._at(directory)).rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                left.add(directory)
        return frozenset(left)

    def _inode(self, source: str) -> str:
        """Return the number of a video's inode, "" if it is not there."""
        try:
            return str(os.lstat(self._source(source)).st_ino)
        except OSError:
            return ""

    def _matches(self, link: Link, path: str) -> bool:
        try:
            found = os.lstat(self._at(path))
            match link.form:
                case "hard":
                    # The disk may have been restored since, and its inodes have other numbers.
                    known = (link.mark, self._inode(link.source))
                    return stat.S_ISREG(found.st_mode) and str(found.st_ino) in known
                case "symbolic":
                    if not stat.S_ISLNK(found.st_mode):
                        return False
                    return portable(str(Path(self._at(path)).readlink())) == link.mark
                case "copy":
                    size, modified = link.mark.split()
                    same = stat.S_ISREG(found.st_mode) and size == str(found.st_size)
                    return same and (
                        modified == str(found.st_mtime_ns)
                        or _sha256(Path(self._at(path))) == link.sha256
                    )
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _hard(self, link: Link) -> Link:
        if self._hard_links:
            try:
                os.link(self._source(link.source), self._at(link.path), follow_symlinks=False)
            except OSError as error:
                if error.errno not in _NO_HARD_LINK:
                    raise
                self._hard_links = False
            else:
                return link
        return self._symbolic(
            _changed(link, "symbolic", self._text(link.path, link.source)),
        )

    def _symbolic(self, link: Link) -> Link:
        try:
            Path(self._at(link.path)).symlink_to(native(link.mark))
        except OSError as error:
            if error.errno in _NO_SYMBOLIC_LINK:
                raise ConfigurationError(
                    f"{self.root} is on a file system that has no links: copy with --copy"
                ) from None
            raise
        return link

    def _copy(self, link: Link, received: Callable[[int], object]) -> Link:
        temporary = Path(self._at(f"{DIRECTORY}/copy-{os.getpid()}"))
        try:
            if self._copied(link, temporary, received) != link.sha256:
                raise Damaged(f"{link.source} does not match its checksum (see archiver verify)")
            _publish(temporary, Path(self._at(link.path)))
        except FileNotFoundError:
            raise Damaged(f"{link.source} is missing (see archiver verify)") from None
        finally:
            temporary.unlink(missing_ok=True)
        return self._as_it_is(link)

    def _copied(self, link: Link, to: Path, received: Callable[[int], object]) -> str:
        """Copy a video durably, with the time of its mark; return the SHA-256 of the copy."""
        digest, modified = hashlib.sha256(), int(link.mark.split()[1])
        with self._store.blocks(link.source) as blocks, to.open("xb") as copy:
            for block in blocks:
                digest.update(block)
                copy.write(block)
                received(len(block))
            copy.flush()
            os.utime(copy.fileno(), ns=(modified, modified))
            os.fsync(copy.fileno())
        return digest.hexdigest()

    def _as_it_is(self, link: Link) -> Link:
        """Return a copy with the time that its file system keeps, which may be a coarse one."""
        found = os.lstat(self._at(link.path))
        return _changed(link, "copy", f"{found.st_size} {found.st_mtime_ns}")

    def _text(self, path: str, source: str) -> str:
        """Return where a symbolic link leads: on one disk, from where it lies."""
        if not self._same_disk:
            return portable(self._source(source))
        directory = self._at(path).rpartition("/")[0]
        return portable(os.path.relpath(self._source(source), directory))

    def _in_real_directory(self, path: str) -> bool:
        for directory in parents(path):
            if directory not in self._directories:
                self._directories[directory] = _is_directory(self._at(directory))
            if not self._directories[directory]:
                return False
        return True

    def _at(self, path: str) -> str:
        return f"{self._real}/{native(path)}"

    def _source(self, path: str) -> str:
        return f"{self._archive}/{path}"


def native(path: str) -> str:
    """Return a path as this locale has it: in the target, names are in UTF-8 in each of them."""
    return path if path.isascii() else os.fsdecode(path.encode(errors="surrogateescape"))


def portable(path: str) -> str:
    """Return a path of this locale as it is written down."""
    return path if path.isascii() else os.fsencode(path).decode(errors="surrogateescape")


def parents(path: str) -> list[str]:
    """Return the directories in which a path lies, the outermost first."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


def _changed(link: Link, form: Form, mark: str) -> Link:
    return Link(link.path, link.source, link.how, form, mark, link.sha256, link.date)


def _nanoseconds(date: str) -> int:
    """Return a date since 1970, as the time of a copy: the same on each run."""
    return int(datetime.fromisoformat(date).timestamp()) * 10**9


def _publish(temporary: Path, place: Path) -> None:
    """Give a file its name, unless there is one: a rename would replace it."""
    try:
        place.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in _NO_HARD_LINK:
            raise
        if os.path.lexists(place):  # the best there is, where there are no hard links
            raise FileExistsError from None
        temporary.rename(place)
    else:
        temporary.unlink()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_directory(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def _device(path: str) -> int:
    """Return the file system of a path, or of the directory in which it would be."""
    there = next(place for place in (Path(path), *Path(path).parents) if place.exists())
    return there.stat().st_dev
