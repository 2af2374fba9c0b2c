"""Sources: the files, directories and streams that manifests are read from."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from archiver.errors import ManifestUnreadable
from archiver.manifest.entries import BadLine, Ids, read
from archiver.manifest.problems import Problems, Unreadable

_ARGUMENT = "<arguments>"
SUFFIXES = (".txt", ".csv", ".tsv", ".json", ".jsonl")


@dataclass(frozen=True, slots=True)
class Source:
    """A manifest and how to open it."""

    name: str
    open: Callable[[], AbstractContextManager[BinaryIO]]


class Manifests:
    """The manifests of one run, read as one list; what is wrong with them is in `problems`.

    With `or_ids`, a name that is no file's is itself an ID.
    """

    def __init__(self, names: Sequence[str], endpoint: str, *, or_ids: bool = False) -> None:
        self.problems = Problems()
        self._endpoint = endpoint
        self._or_ids = or_ids
        self._failed = 0
        self._sources = [source for name in names for source in self._sources_at(name)]

    def check(self) -> None:
        """Make sure that there is something to read or, afterwards, that something was read.

        Raises:
            ManifestUnreadable: if no manifest at all can be read.
        """
        if self._failed == len(self._sources):
            raise ManifestUnreadable("; ".join(self.problems.unreadable))

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

    def _sources_at(self, name: str) -> list[Source]:
        if name == "-":
            return [Source("<stdin>", lambda: nullcontext(sys.stdin.buffer))]
        path = Path(name)
        if self._or_ids and not path.exists():
            return [Source(_ARGUMENT, lambda: BytesIO(name.encode(errors="surrogateescape")))]
        try:
            files = _lists_in(path) if path.is_dir() else [path]
        except OSError as error:
            self._cannot_read(str(error.filename or name), error)
            return []
        if not files:
            self.problems.add(Unreadable(name, f"no list in it ({', '.join(SUFFIXES)})"))
        return [Source(str(file), _opener(file)) for file in files if self._can_read(file)]

    def _can_read(self, file: Path) -> bool:
        try:
            file.open("rb").close()
        except OSError as error:
            self._cannot_read(str(file), error)
            return False
        return True

    def _cannot_read(self, name: str, error: OSError) -> None:
        self.problems.add(Unreadable(name, f"cannot be read: {error.strerror or error}"))


def _lists_in(directory: Path) -> list[Path]:
    """Return the lists in a directory; what is hidden there is an editor's."""
    paths = (path for path in directory.iterdir() if not path.name.startswith("."))
    return sorted(path for path in paths if path.suffix.lower() in SUFFIXES)


def _opener(path: Path) -> Callable[[], AbstractContextManager[BinaryIO]]:
    return lambda: path.open("rb")
