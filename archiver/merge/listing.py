"""Listing: the checksum manifests of several archives as one, and what two of them hold.

Lines are read, written and forgotten. Names go to a temporary table of SQLite, which is on the
disk, and sorted there: memory does not depend on how many there are.
"""

import os
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from archiver.archive.bag import Bag
from archiver.archive.checksum_manifest import parse, problem_of
from archiver.archive.layout import MANIFEST
from archiver.archive.store import stays_torn
from archiver.catalogue.database import sqlite_errors
from archiver.checksums import Checksum
from archiver.generation import generation_at

KEPT_LIMIT = 1000
"""At most this many generations that are held twice are kept; the rest is counted."""
_BATCH = 10_000
_TABLE = "CREATE TABLE held (name TEXT NOT NULL, archive INTEGER NOT NULL)"
_INDEX = "CREATE INDEX by_name ON held (name, archive)"
_GENERATIONS = (
    "SELECT archive, count(*) FROM (SELECT DISTINCT name, archive FROM held) GROUP BY archive"
)
_TWICE = (
    "SELECT name, count(*) OVER () FROM held GROUP BY name HAVING min(archive) < max(archive)"
    " ORDER BY name"
)


@dataclass(frozen=True, slots=True)
class HeldTwice:
    """A generation that several archives hold."""

    name: str
    archives: tuple[Path, ...]

    def __str__(self) -> str:
        return f"{self.name} is held by {' and by '.join(map(str, self.archives))}"


@dataclass(slots=True)
class Listed:
    """What the checksum manifests list, by archive."""

    files: Counter[Path] = field(default_factory=Counter)
    generations: Counter[Path] = field(default_factory=Counter)
    odd_lines: list[str] = field(default_factory=list)
    """The first lines that are no checksum lines."""
    odd: int = 0
    """How many there are."""
    twice: list[HeldTwice] = field(default_factory=list)
    """The first generations that several archives hold."""
    held_twice: int = 0
    """How many there are."""


class Listing:
    """The lines of several archives' checksum manifests, for a file in the directory `start`."""

    def __init__(self, archives: Sequence[Path], start: Path) -> None:
        self._archives = archives
        self._start = start
        self._found = Listed()
        self._db = sqlite3.connect("")  # SQLite's own way to ask for a temporary file
        self._db.execute(_TABLE)

    def close(self) -> None:
        """Remove the table."""
        self._db.close()

    def lines(self) -> Iterator[str]:
        """Yield each line, with the path of its archive in front, as `sha256sum -c` reads it.

        Raises:
            StorageError: if a manifest cannot be read, or there is no space for the table.
        """
        for number, archive in enumerate(self._archives):
            prefix = relative(archive, self._start)
            checksums = self._checksums(archive)
            while batch := list(islice(checksums, _BATCH)):
                self._found.files[archive] += len(batch)
                self._add(number, [each.path for each in batch])
                yield from (_line(each.sha256, f"{prefix}/{each.path}") for each in batch)

    def found(self) -> Listed:
        """Return what there was, once all lines were read.

        Raises:
            StorageError: if there is no space for the table.
        """
        with sqlite_errors("temporary tables"):
            self._db.execute(_INDEX)
            for number, count in self._db.execute(_GENERATIONS):
                self._found.generations[self._archives[number]] = count
            rows = self._db.execute(_TWICE).fetchmany(KEPT_LIMIT)
            self._found.held_twice = rows[0][1] if rows else 0
            self._found.twice = [self._held_twice(name) for name, _ in rows]
        return self._found

    def _held_twice(self, name: str) -> HeldTwice:
        query = "SELECT DISTINCT archive FROM held WHERE name = ? ORDER BY archive"
        rows = self._db.execute(query, (name,))
        return HeldTwice(name, tuple(self._archives[number] for (number,) in rows))

    def _checksums(self, archive: Path) -> Iterator[Checksum]:
        """Yield the checksum lines of an archive; note those that are none."""
        bag = Bag(archive)
        for number, line in enumerate(bag.manifest.raw_lines(), 1):
            if isinstance(line, Checksum):
                yield line
            elif line.endswith((b"\n", b"\r")):
                self._note(f"{archive}/{MANIFEST}:{number} {problem_of(line)}")
            elif found := parse(line + b"\n"):  # an editor dropped the end
                yield found
            elif stays_torn(bag, line):
                self._note(f"{archive}/{MANIFEST}:{number} {problem_of(line)}")

    def _note(self, problem: str) -> None:
        self._found.odd += 1
        if len(self._found.odd_lines) < KEPT_LIMIT:
            self._found.odd_lines.append(problem)

    def _add(self, archive: int, paths: Sequence[str]) -> None:
        """Keep whose files these are: most generations have several, which follow each other."""
        differing = {(path.partition(".")[0], path.endswith(".json")): path for path in paths}
        generations = {generation_at(path) for path in differing.values()}
        with sqlite_errors("temporary tables"):
            rows = [(generation.name, archive) for generation in generations if generation]
            self._db.executemany("INSERT INTO held VALUES (?, ?)", rows)


def relative(archive: Path, start: Path) -> str:
    """Return the path of an archive from a directory: below it as it is written, if it is there."""
    written, directory = os.path.abspath(archive), os.path.abspath(start)  # noqa: PTH100
    if not Path(written).is_relative_to(directory):
        written, directory = os.path.realpath(archive), os.path.realpath(start)
    return os.path.relpath(written, directory)


def _line(sha256: str, path: str) -> str:
    """Return a line as sha256sum writes it: a name with a line's end in it is escaped."""
    if "\\" not in path and "\n" not in path and "\r" not in path:
        return f"{sha256}  {path}\n"
    escaped = path.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"\\{sha256}  {escaped}\n"
