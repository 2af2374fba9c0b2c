"""Sources: the files, directories and streams that manifests are read from."""

import errno
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, TypeAlias

from archiver.errors import ManifestUnreadable
from archiver.manifest.entries import BadLine, Ids, read
from archiver.manifest.problems import Problems, Unreadable

SUFFIXES = (".txt", ".csv", ".tsv", ".json", ".jsonl")
"""The files that are read of a directory."""
_ARGUMENT = "<arguments>"

_Opener: TypeAlias = Callable[[], AbstractContextManager[BinaryIO]]


@dataclass(frozen=True, slots=True)
class _Source:
    """A manifest and how to open it."""

    name: str
    open: _Opener


class Manifests:
    """The manifests of one run, read as one list; what is wrong with them is in `problems`.

    A name is that of a file or of a directory of files, or `-` for the standard input. With
    `or_ids`, a name that is not a file's is itself an entry. A bare ID belongs to `endpoint`.
    """

    def __init__(self, names: Sequence[str], endpoint: str, *, or_ids: bool = False) -> None:
        self.problems = Problems()
        self._endpoint = endpoint
        self._failed = 0
        self._sources = [source for name in names for source in self._found(name, or_ids=or_ids)]

    def check(self) -> None:
        """Make sure that there is something to read or, afterwards, that something was read.

        Raises:
            ManifestUnreadable: if no manifest at all can be read.
        """
        if self._failed == len(self._sources):
            raise ManifestUnreadable("; ".join(self.problems.unreadable) or "no manifest is given")

    def entries(self) -> Iterator[Ids]:
        """Yield what the manifests list, as often as they list it."""
        for source in self._sources:
            try:
                with source.open() as stream:
                    yield from self._understood(stream, source.name)
            except OSError as error:
                self._failed += 1
                self._cannot_read(source.name, error)

    def _understood(self, stream: BinaryIO, name: str) -> Iterator[Ids]:
        for item in read(stream, name, self._endpoint):
            match item:
                case Ids():
                    yield item
                case BadLine() if name == _ARGUMENT:
                    self.problems.add(Unreadable(item.shown, "neither an ID nor a file"))
                case BadLine():
                    self.problems.add(item)

    def _found(self, name: str, *, or_ids: bool) -> list[_Source]:
        if name == "-":
            return [_Source("<stdin>", _standard_input)]
        if or_ids and not _exists(name):
            return [_Source(_ARGUMENT, lambda: BytesIO(name.encode(errors="surrogateescape")))]
        try:
            path = Path(name)
            files = _manifests_in(path) if path.is_dir() else [path]
        except OSError as error:
            self._cannot_read(str(error.filename or name), error)
            return []
        if not files:
            self.problems.add(Unreadable(name, f"no manifest in it ({', '.join(SUFFIXES)})"))
        return [_Source(str(file), _opener(file)) for file in files if self._can_read(file)]

    def _can_read(self, file: Path) -> bool:
        try:
            if not file.is_fifo():  # a pipe can be opened only once
                file.open("rb").close()
        except OSError as error:
            self._cannot_read(str(file), error)
            return False
        return True

    def _cannot_read(self, name: str, error: OSError) -> None:
        self.problems.add(Unreadable(name, f"cannot be read: {error.strerror or error}"))


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


def _standard_input() -> AbstractContextManager[BinaryIO]:
    if sys.stdin is None:
        raise OSError(errno.EBADF, "standard input is closed")
    return nullcontext(sys.stdin.buffer)


def _opener(path: Path) -> _Opener:
    return lambda: path.open("rb")
