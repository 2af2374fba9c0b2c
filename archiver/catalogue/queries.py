"""Queries: where things stand, and what became of a generation."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from archiver.catalogue.database import sqlite_errors
from archiver.generation import Generation, generation_at
from archiver.media.info import Properties
from archiver.metadata import Metadata
from archiver.run import Holdings

State: TypeAlias = Literal["held", "pending", "failed", "lost"]
_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Tally:
    """How many generations are in a state, and when the first and the last came into it, UTC."""

    count: int = 0
    first: str | None = None
    last: str | None = None


@dataclass(frozen=True, slots=True)
class HeldFile:
    """A file that is held; `verified` is when its bytes last matched, UTC."""

    path: str
    bytes: int
    sha256: str
    verified: str | None
    properties: Properties = field(default_factory=Properties)
    """What the video says of itself, as far as that is known."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one generation; `state` is None if nothing is."""

    generation: Generation
    state: State | None = None
    reason: str | None = None
    since: str | None = None
    """When it came into this state, UTC."""
    first_checked: str | None = None
    checked: str | None = None
    served_by: tuple[str, ...] = ()
    """The links that gave its payloads, without their queries."""
    files: tuple[HeldFile, ...] = ()
    metadata: Metadata = field(default_factory=Metadata)
    """What is said of it."""


class Queries:
    """Queries to an open catalogue, which may be in use by a run."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def holdings(self) -> Holdings:
        """Return how much is held."""
        with sqlite_errors():
            files, size = self._db.execute("SELECT files, bytes FROM total").fetchone()
        return Holdings(self.tally("held").count, files, size)

    def tally(self, state: State) -> Tally:
        """Return how many generations are in a state, and since when."""
        query = "SELECT count(*), min(since), max(since) FROM generation WHERE state = ?"
        with sqlite_errors():
            return Tally(*self._db.execute(query, (state,)).fetchone())

    def changed(self, state: State, since: datetime) -> int:
        """Return how many generations a run has found in a state since then.

        What is held was found so when it came; the others are found so again and again.
        """
        column = "since" if state == "held" else "checked"
        query = f"SELECT count(*) FROM generation WHERE state = ? AND {column} >= ?"  # noqa: S608
        moment = since.astimezone(UTC).isoformat(timespec="seconds")
        with sqlite_errors():
            count: int = self._db.execute(query, (state, moment)).fetchone()[0]
        return count

    def latest(self, state: State, limit: int) -> list[Known]:
        """Return those that came into a state last, without their files."""
        query = f"{_SELECT} WHERE state = ? ORDER BY since DESC, number DESC LIMIT ?"
        with sqlite_errors():
            return [_known(row) for row in self._db.execute(query, (state, limit))]

    def of(self, generation: Generation) -> Known:
        """Return what is known of one generation."""
        with sqlite_errors():
            row = self._db.execute(f"{_SELECT} WHERE name = ?", (generation.name,)).fetchone()
            return self._with_files(_known(row)) if row else Known(generation)

    def all(self) -> Iterator[Known]:
        """Yield everything that is known, by name."""
        after, query = "", f"{_SELECT} WHERE name > ? ORDER BY name LIMIT ?"
        with sqlite_errors():
            while rows := self._db.execute(query, (after, _BATCH)).fetchall():
                files = self._files_of([row[0] for row in rows])
                for row in rows:
                    known = _known(row)
                    held = known.state == "held"
                    yield replace(known, files=tuple(files[row[0]])) if held else known
                after = rows[-1][0]

    def numbered(self, numbers: range) -> Iterator[Known]:
        """Yield what is known of the held and the lost that were recorded under these numbers.

        A generation keeps its number, and new ones get the next: a stretch of them changes
        little, once it is full.
        """
        query = f"{_SELECT} WHERE number >= ? AND number < ? AND state IN ('held', 'lost')"
        with sqlite_errors():
            rows = self._db.execute(query, (numbers.start, numbers.stop)).fetchall()
            yield from (self._with_files(_known(row)) for row in rows)

    def unfinished(self) -> Iterator[Known]:
        """Yield what is known of the pending and the failed."""
        query = f"{_SELECT} WHERE state IN ('pending', 'failed') ORDER BY number"
        with sqlite_errors():
            yield from map(_known, self._db.execute(query).fetchall())

    def numbers_since(self, moment: str, already: int = 0) -> list[int]:
        """Return the numbers of the held and the lost that have come into their state since.

        As many as `already` of that very second are known: if there are no more, they are left out.
        """
        query = "SELECT number, since FROM generation WHERE state = ? AND since >= ?"
        with sqlite_errors():
            states = ("held", "lost")
            rows = [row for state in states for row in self._db.execute(query, (state, moment))]
        if sum(since == moment for _, since in rows) == already:
            return [number for number, since in rows if since != moment]
        return [number for number, _ in rows]

    def count_at(self, moment: str) -> int:
        """Return how many of the held and the lost have come into their state in that second."""
        query = "SELECT count(*) FROM generation WHERE state IN ('held', 'lost') AND since = ?"
        with sqlite_errors():
            return int(self._db.execute(query, (moment,)).fetchone()[0])

    def last_number(self) -> int:
        """Return the highest number of a generation; 0 if there is none."""
        with sqlite_errors():
            return self._db.execute("SELECT max(number) FROM generation").fetchone()[0] or 0

    def facts(self) -> int:
        """Return how many fields of all metadata and properties are known."""
        with sqlite_errors():
            return sum(self._db.execute(query).fetchone()[0] for query in _COUNT_FACTS)

    def files(self, generation: Generation) -> tuple[HeldFile, ...]:
        """Return the files that are held of a generation."""
        # A range of the index: "." and "-" follow the name in a path, and "/" sorts after both.
        start = f"data/{generation.name}"
        query = f"{_SELECT_FILES} WHERE path > ? AND path < ?"
        with sqlite_errors():
            near = self._db.execute(query, (start, start + "/")).fetchall()
        return tuple(_held(row) for row in near if generation_at(row[0]) == generation)

    def _files_of(self, names: list[str]) -> defaultdict[str, list[HeldFile]]:
        """Return the files of generations that follow each other by name: one query for all."""
        found = defaultdict[str, list[HeldFile]](list)
        end = max(f"data/{name}/" for name in names)  # the last may begin with another's name
        query = f"{_SELECT_FILES} WHERE path > ? AND path < ?"
        for row in self._db.execute(query, (f"data/{names[0]}", end)):
            if generation := generation_at(row[0]):
                found[generation.name].append(_held(row))
        return found

    def _with_files(self, known: Known) -> Known:
        held = known.state == "held"
        return replace(known, files=self.files(known.generation)) if held else known


_SELECT = (
    "SELECT name, state, reason, since, first_checked, checked, served_by, prompt,"
    " negative_prompt, model, seed, width, height, duration, track_id, created"
    " FROM generation LEFT JOIN metadata USING (name)"
)
_SELECT_FILES = (
    "SELECT path, bytes, sha256, verified, duration, width, height, frame_rate, video_codec,"
    " audio_codec FROM file LEFT JOIN properties USING (path)"
)
_COUNT_FACTS = (
    "SELECT count(prompt) + count(negative_prompt) + count(model) + count(seed) + count(width)"
    " + count(height) + count(duration) + count(track_id) + count(created) FROM metadata",
    "SELECT count(duration) + count(width) + count(height) + count(frame_rate)"
    " + count(video_codec) + count(audio_codec) FROM properties",
)


def _known(row: tuple[Any, ...]) -> Known:
    name, state, reason, since, first_checked, checked, served_by, *said = row
    links = tuple(served_by.split("\n")) if served_by else ()
    times = since, first_checked, checked
    generation, metadata = Generation.from_name(name), Metadata(*said)
    return Known(generation, state, reason, *times, links, metadata=metadata)


def _held(row: tuple[Any, ...]) -> HeldFile:
    path, size, sha256, verified, *said = row
    return HeldFile(path, size, sha256, verified, Properties(*said))
