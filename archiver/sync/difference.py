"""The difference between two archives: what one lists and the other does not, in SQLite.

There may be millions of lines, in any order: they are put into units here, the files of one
generation each, in the order in which the first of them is listed. A file that belongs to none is
a unit of its own.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from archiver.catalogue.database import sqlite_errors
from archiver.checksums import BagFile
from archiver.generation import Generation, entry_number, generation_at

_PAGE = 100

_TABLES = """
CREATE TEMP TABLE wanted (
    number INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,
    sha256 TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    unit TEXT NOT NULL,              -- the name of the generation, or the path
    others INTEGER NOT NULL DEFAULT 0 -- how many later lines have another checksum
);
CREATE INDEX temp.by_unit ON wanted (unit);
CREATE TEMP TABLE turn (
    number INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,
    sha256 TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    unit TEXT NOT NULL,
    there INTEGER NOT NULL DEFAULT 0 -- whether there is such a file in the target
);
CREATE INDEX temp.turns_there ON turn (number) WHERE there;
"""
_ORDER = """
INSERT INTO turn (path, sha256, bytes, unit)
SELECT path, sha256, bytes, unit FROM (
    SELECT *, min(number) OVER (PARTITION BY unit) AS first FROM wanted
) ORDER BY first, number
"""


@dataclass(frozen=True, slots=True)
class Unit:
    """Files that are copied together: of one generation, or one that belongs to none."""

    generation: Generation | None
    files: tuple[BagFile, ...]
    """The payloads, then the response, then other sidecars."""

    @property
    def name(self) -> str:
        """What people call it."""
        return self.generation.name if self.generation else self.files[0].path


class Difference:
    """The files that are to be copied, in temporary tables of a connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        with sqlite_errors(), self._db:
            self._db.executescript(_TABLES)

    def add(self, files: Iterable[BagFile]) -> None:
        """Add files; of one that is listed twice the first line counts."""
        rows = ((f.path, f.sha256, f.bytes, _unit(f.path)) for f in files)
        query = (
            "INSERT INTO wanted (path, sha256, bytes, unit) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (path) DO UPDATE SET others = others + (sha256 <> excluded.sha256)"
        )
        with sqlite_errors(), self._db:
            self._db.executemany(query, rows)

    def order(self) -> list[str]:
        """Put what was added in its order: it can be asked for from then on.

        Return what is listed more than once, with different checksums.
        """
        with sqlite_errors(), self._db:
            self._db.execute(_ORDER)
            found = self._db.execute("SELECT path FROM wanted WHERE others ORDER BY number")
            twice = [path for (path,) in found]
            self._db.execute("DELETE FROM wanted")
        return twice

    def total(self) -> tuple[int, int]:
        """Return how many files there are, and their bytes as far as they are known."""
        query = "SELECT count(*), coalesce(sum(bytes), 0) FROM turn"
        with sqlite_errors():
            files, size = self._db.execute(query).fetchone()
        return files, size

    def set_there(self, paths: Iterable[str]) -> None:
        """Note which files are there in the target, with whatever in them; others do not matter."""
        with sqlite_errors(), self._db:
            self._db.executemany(
                "UPDATE turn SET there = 1 WHERE path = ?", ((path,) for path in paths)
            )

    def there(self) -> Iterator[list[BagFile]]:
        """Yield the files that are there in the target, some at a time."""
        return self._pages("there AND")

    def drop(self, paths: Iterable[str]) -> None:
        """Leave out files: they need not be copied."""
        with sqlite_errors(), self._db:
            self._db.executemany("DELETE FROM turn WHERE path = ?", ((path,) for path in paths))

    def files(self) -> Iterator[list[BagFile]]:
        """Yield all files in their order, some at a time."""
        return self._pages("")

    def units(self) -> Iterator[Unit]:
        """Yield all files, in units."""
        files = (file for page in self.files() for file in page)
        for _, group in groupby(files, lambda file: _unit(file.path)):
            found = sorted(group, key=lambda file: _place(file.path))
            yield Unit(generation_at(found[0].path), tuple(found))

    def _pages(self, condition: str) -> Iterator[list[BagFile]]:
        """Yield files, some at a time: no query stays open while they are worked on."""
        query = (
            f"SELECT number, path, sha256, bytes FROM turn WHERE {condition} number > ?"  # noqa: S608
            " ORDER BY number LIMIT ?"
        )
        last = 0
        while rows := self._page(query, last):
            yield [BagFile(path, sha256, size) for _, path, sha256, size in rows]
            last = rows[-1][0]

    def _page(self, query: str, last: int) -> Sequence[tuple[int, str, str, int]]:
        with sqlite_errors():
            return self._db.execute(query, (last, _PAGE)).fetchall()


def _unit(path: str) -> str:
    generation = generation_at(path)
    return generation.name if generation else path


def _place(path: str) -> tuple[bool, int, str]:
    """Return where a file stands among those of its generation: the response ends the payloads."""
    return path.endswith(".json"), entry_number(path) or 0, path
