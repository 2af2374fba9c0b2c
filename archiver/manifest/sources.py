"""Sources: the files, directories and streams that manifests are read from."""

import errno
import os
import select
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TypeAlias

from archiver.errors import ManifestUnreadable
from archiver.manifest.entries import BadLine, Ids, read
from archiver.manifest.formats import Stream
from archiver.manifest.problems import Problems, Unreadable
from archiver.shards import Shard

SUFFIXES = (".txt", ".csv", ".tsv", ".json", ".jsonl")
"""The files that are read of a directory."""
_ARGUMENT, _STDIN = "<arguments>", "<stdin>"
_SPECIAL = "no regular file: a pipe is read only if it is named itself"

Wait: TypeAlias = Callable[[int], None]
"""Returns when a file descriptor can be read; `OutOfTime` if that takes too long."""
_Opener: TypeAlias = Callable[[Wait], AbstractContextManager[Stream]]


class OutOfTime(Exception):
    """There is no time left to wait for a manifest."""


@dataclass(frozen=True, slots=True)
class _Source:
    """A manifest and how to open it."""

    name: str
    open: _Opener
    once: bool = False
    """It can be read only once, as a pipe."""


class Manifests:
    """The manifests of one run, read as one list; what is wrong with them is in `problems`.

    A name is that of a file or of a directory of files, or `-` for the standard input. With
    `or_ids`, a name that is not a file's is itself an entry. A bare ID belongs to `endpoint`.

    With a `shard`, what belongs to others is passed over. A line that is not understood belongs to
    none: the first shard names it for all, since each reads the same lists. Where that keeps a run
    from fetching anything, because it is `strict`, each names it.
    """

    def __init__(
        self,
        names: Sequence[str],
        endpoint: str,
        shard: Shard | None = None,
        *,
        or_ids: bool = False,
        strict: bool = False,
    ) -> None:
        self.problems = Problems()
        self.speaks_for_all = strict or shard is None or shard.is_first
        """Whether what belongs to no shard is named here."""
        self.used_up = False
        """Something was read that cannot be read again."""
        self._endpoint = endpoint
        self._shard = shard
        self._failed = 0
        self._sources = [source for name in names for source in self._found(name, or_ids=or_ids)]

    def check(self) -> None:
        """Make sure that there is something to read or, afterwards, that something was read.

        Raises:
            ManifestUnreadable: if no manifest at all can be read.
        """
        if self._failed == len(self._sources):
            raise ManifestUnreadable("; ".join(self.problems.unreadable) or "no manifest is given")

    def entries(self, wait: Wait | None = None) -> Iterator[Ids]:
        """Yield what the manifests list, as often as they list it.

        `wait` is called before anything is read; without it, waiting has no end.
        """
        listed = self._listed(wait or _wait)
        return _part(listed, self._shard) if self._shard else listed

    def _listed(self, wait: Wait) -> Iterator[Ids]:
        for source in self._sources:
            self.used_up |= source.once
            try:
                with source.open(wait) as stream:
                    yield from self._understood(stream, source.name)
            except OSError as error:
                self._failed += 1
                self._cannot_read(source.name, error)
            except OutOfTime as end:
                self.problems.add(Unreadable(source.name, f"not read to its end: {end}"))

    def _understood(self, stream: Stream, name: str) -> Iterator[Ids]:
        for item in read(stream, name, self._endpoint):
            match item:
                case Ids():
                    yield item
                case BadLine() if name == _ARGUMENT:
                    self.problems.add(Unreadable(item.shown, "neither an ID nor a file"))
                case BadLine() if self.speaks_for_all:
                    self.problems.add(item)
                case BadLine():
                    pass

    def _found(self, name: str, *, or_ids: bool) -> list[_Source]:
        if or_ids and name != "-" and not _exists(name):
            entry = BytesIO(name.encode(errors="surrogateescape"))
            return [_Source(_ARGUMENT, lambda _: nullcontext(entry))]
        try:
            if name == "-":
                return [_standard_input()]
            path = Path(name)
            files = self._files_in(path) if path.is_dir() else [path]
        except OSError as error:
            self._cannot_read(str(error.filename or name), error)
            return []
        return [
            _Source(str(file), _opener(file), _is_special(file))
            for file in files
            if self._can_read(file)
        ]

    def _files_in(self, directory: Path) -> list[Path]:
        """Return the manifests in a directory; a pipe, which may have no writer, is none."""
        files = _manifests_in(directory)
        if not files:
            reason = f"no manifest in it ({', '.join(SUFFIXES)})"
            self.problems.add(Unreadable(str(directory), reason))
        for special in filter(_is_special, files):
            self.problems.add(Unreadable(str(special), _SPECIAL))
        return [file for file in files if not _is_special(file)]

    def _can_read(self, file: Path) -> bool:
        try:
            if not _is_special(file):  # a pipe can be opened only once
                file.open("rb").close()
        except OSError as error:
            self._cannot_read(str(file), error)
            return False
        return True

    def _cannot_read(self, name: str, error: OSError) -> None:
        self.problems.add(Unreadable(name, f"cannot be read: {error.strerror or error}"))


def _part(listed: Iterator[Ids], shard: Shard) -> Iterator[Ids]:
    """Yield what belongs to a shard."""
    for ids in listed:
        if part := shard.part(ids.ids):
            yield replace(ids, ids=part)


def _exists(name: str) -> bool:
    """Return whether a file may have this name, even if it cannot be looked at."""
    try:
        Path(name).stat()
    except OSError as error:
        return error.errno not in {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG}
    return True


def _manifests_in(directory: Path) -> list[Path]:
    """Return the manifests in a directory; hidden files are those of editors."""
    paths = (path for path in directory.iterdir() if not path.name.startswith("."))
    return sorted(path for path in paths if path.suffix.lower() in SUFFIXES)


def _is_special(path: Path) -> bool:
    """Return whether this is a pipe, a socket or a device."""
    with suppress(OSError):
        return stat.S_IFMT(path.stat().st_mode) not in (stat.S_IFREG, stat.S_IFDIR)
    return False


def _standard_input() -> _Source:
    """Return the standard input as a source.

    Raises:
        OSError: if it is closed.
    """
    if sys.stdin is None:
        raise OSError(errno.EBADF, "standard input is closed", _STDIN)
    descriptor = sys.stdin.fileno()
    return _Source(_STDIN, lambda wait: nullcontext(_Descriptor(descriptor, wait)), once=True)


def _opener(path: Path) -> _Opener:
    @contextmanager
    def opened(wait: Wait) -> Iterator[Stream]:
        # Without O_NONBLOCK, opening a pipe waits for its writer, and nothing could end that.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            yield _Descriptor(descriptor, wait)
        finally:
            os.close(descriptor)

    return opened


class _Descriptor:
    """An open file, read as far as there is something to read."""

    def __init__(self, descriptor: int, wait: Wait) -> None:
        self._descriptor = descriptor
        self._wait = wait

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes, none at the end."""
        while True:
            self._wait(self._descriptor)
            with suppress(BlockingIOError):  # somebody else has read it meanwhile
                return os.read(self._descriptor, size)


def _wait(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    poll.poll()
