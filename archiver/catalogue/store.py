"""The catalogue: what is held, pending, failed or lost, and why.

It is an index of the checksum manifest, and a memory of what was tried in vain. Losing it loses
only that memory: what is held is read again from the checksum manifest.
"""

import json
import logging
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeAlias

from archiver.catalogue.database import (
    CatalogueDamaged,
    connect,
    connect_in_memory,
    connect_to_read,
    set_aside,
    sqlite_errors,
)
from archiver.catalogue.history import History
from archiver.catalogue.listed import ListedTable
from archiver.catalogue.worklist import WorklistTable
from archiver.checksums import BagFile, Mark
from archiver.errors import storage_errors
from archiver.generation import Generation, generation_at
from archiver.outcomes import Streak

if TYPE_CHECKING:
    from archiver.catalogue.queries import Queries, State
    from archiver.media.info import Properties
    from archiver.metadata import Metadata

_LOG = logging.getLogger(__name__)
_BATCH = 10_000

_UPSERT = """
INSERT INTO generation (name, state, reason, since, checked, first_checked, reported, trouble,
    trouble_runs, trouble_seconds, served_by)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
    coalesce(json_extract(value, '$[7]'), :now), :now, coalesce(json_extract(value, '$[7]'), :now),
    json_extract(value, '$[1]') <> 'lost', json_extract(value, '$[3]'),
    json_extract(value, '$[4]'), json_extract(value, '$[5]'), json_extract(value, '$[6]')
FROM json_each(:records) WHERE true
ON CONFLICT (name) DO UPDATE SET
    state = excluded.state,
    reason = excluded.reason,
    since = iif(state = excluded.state, since, excluded.since),
    checked = excluded.checked,
    reported = excluded.reported,
    trouble = excluded.trouble,
    trouble_runs = excluded.trouble_runs,
    trouble_seconds = excluded.trouble_seconds,
    served_by = excluded.served_by
"""
_SET_METADATA = "INSERT OR REPLACE INTO metadata VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_SET_DESCRIBED = """
UPDATE generation SET described = 1 WHERE name IN (SELECT value FROM json_each(?))
"""
UNDESCRIBED = (
    "SELECT name FROM generation INDEXED BY undescribed WHERE state = 'held' AND NOT described"
    " LIMIT ?"
)
"""The index answers it: a quiet run looks at none of those that are held."""
_HOLD = """
INSERT INTO file
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'), :now
FROM json_each(:files) WHERE true
ON CONFLICT (path) DO UPDATE SET
    sha256 = excluded.sha256,
    bytes = excluded.bytes,
    verified = excluded.verified
"""
"""One statement for all: row by row, the thread waits for the interpreter after each of them."""
_SET_PROPERTIES = """
INSERT OR REPLACE INTO properties
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
    json_extract(value, '$[3]'), json_extract(value, '$[4]'), json_extract(value, '$[5]'),
    json_extract(value, '$[6]')
FROM json_each(?)
"""
_FORGET_PROPERTIES = """
DELETE FROM properties WHERE path IN (
    SELECT file.path FROM json_each(?) JOIN file ON file.path = json_extract(value, '$[0]')
    WHERE sha256 <> json_extract(value, '$[1]')
)
"""
"""Of the files that had another checksum."""
_TABLES = """
CREATE TEMP TABLE listed (path TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TEMP TABLE unlisted (path TEXT PRIMARY KEY, sha256 TEXT, bytes INTEGER) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Past:
    """What earlier runs found of a generation."""

    checked: str
    """When the last of them found it, in UTC, ISO 8601."""
    streak: Streak | None
    """The trouble that they had with it, if any."""


@dataclass(frozen=True, slots=True)
class Record:
    """What a run found of a generation, to be remembered."""

    generation: Generation
    state: "State"
    reason: str | None = None
    streak: Streak | None = None
    """The trouble that runs in a row had with it, if any."""
    served_by: tuple[str, ...] = ()
    since: str | None = None
    """When it came into this state in another archive, of which this is a copy: UTC, ISO 8601."""


@dataclass(frozen=True, slots=True)
class Described:
    """What the sidecars of a generation say."""

    generation: Generation
    metadata: "Metadata"
    entries: tuple[str, ...] = ()
    """The digests of what manifests say of it, all of which is in its sidecars."""


FileProperties: TypeAlias = "tuple[str, Properties]"
"""The path of a video, and what it says of itself."""


class Catalogue:
    """An open catalogue. Its methods block; they may be called from any thread."""

    def __init__(self, connection: sqlite3.Connection, batch: int = _BATCH) -> None:
        self.connection = connection
        self._batch = batch
        self._lock = threading.RLock()
        with sqlite_errors():
            connection.executescript(_TABLES)
        self.worklist = WorklistTable(connection, self._lock, batch)
        self.listed = ListedTable(connection, self._lock)
        self.history = History(connection)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the catalogue at `path`, or create one; a damaged one is set aside.

        Raises:
            StorageError: if the disk does not allow it.
            ConfigurationError: if a newer archiver wrote it.
        """
        try:
            return cls(connect(path))
        except CatalogueDamaged as damage:
            set_aside(path)
            _LOG.warning("%s: it is set aside and rebuilt, without its history", damage.reason)
            return cls(connect(path))

    @classmethod
    def open_to_read(cls, path: Path) -> Self | None:
        """Open a catalogue only to read it; return None if there is none.

        Raises:
            StorageError: if it cannot be read.
            ConfigurationError: if a newer archiver wrote it.
        """
        with storage_errors(f"looking at {path}"):
            exists = path.exists()
        connection = connect_to_read(path) if exists else None
        return cls(connection) if connection else None

    @classmethod
    def in_memory(cls) -> Self:
        """Open an empty catalogue that is nowhere but in memory."""
        return cls(connect_in_memory())

    @staticmethod
    def is_writable(path: Path) -> bool:
        """Return whether there is a catalogue that could be written to."""
        return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)

    def close(self) -> None:
        """Close it; at rest it is a single file, unless somebody else is reading."""
        with suppress(sqlite3.Error):
            self.connection.execute("PRAGMA journal_mode = DELETE")
        self.connection.close()

    @property
    def queries(self) -> "Queries":
        """Where things stand; a backup, which does not ask that, starts sooner without them."""
        from archiver.catalogue.queries import Queries  # noqa: PLC0415

        return Queries(self.connection)

    def mark(self) -> Mark:
        """Return up to where the checksum manifest is known here."""
        with sqlite_errors(), self._lock:
            return Mark(*self.connection.execute("SELECT bytes, tail FROM absorbed").fetchone())

    def absorb(self, files: Iterable[BagFile], mark: Mark, *, whole: bool) -> int:
        """Learn of the files that the checksum manifest lists up to `mark`; return how many.

        They are the `whole` of the manifest, or what came after the last mark. A file that is
        known here keeps its checksum: `verify` compares the two. What is known here and not in
        the whole manifest stays known: see `unlisted`.
        """
        count, rest = 0, iter(files)
        with sqlite_errors(), self._lock, self.connection as db:
            if whole:
                db.execute("DELETE FROM listed")
                db.execute("DELETE FROM unlisted")
            while batch := list(islice(rest, self._batch)):
                if whole:
                    paths = ((file.path,) for file in batch)
                    db.executemany("INSERT OR IGNORE INTO listed VALUES (?)", paths)
                db.executemany(
                    "INSERT OR IGNORE INTO file VALUES (?, ?, ?, NULL)",
                    ((file.path, file.sha256, file.bytes) for file in batch),
                )
                held = _generations(file.path for file in batch)
                self._upsert((Record(generation, "held") for generation in held), _now())
                count += len(batch)
            if whole:
                db.execute(
                    "INSERT INTO unlisted SELECT path, sha256, bytes FROM file"
                    " WHERE path NOT IN (SELECT path FROM listed)"
                )
            self._set_mark(mark)
        return count

    def unlisted(self) -> list[BagFile]:
        """Return the files that are known here and not listed in the whole manifest any more."""
        with sqlite_errors(), self._lock:
            rows = self.connection.execute("SELECT path, sha256, bytes FROM unlisted").fetchall()
        return [BagFile(*row) for row in rows]

    def forget(self, files: Iterable[BagFile]) -> None:
        """Forget files that are neither listed nor there.

        A generation that has lost a video, even one of several, is not held any more. Of one that
        has lost a sidecar, the others are read again.
        """
        paths = [file.path for file in files]
        with sqlite_errors(), self._lock, self.connection as db:
            db.executemany("DELETE FROM file WHERE path = ?", ((path,) for path in paths))
            db.executemany("DELETE FROM properties WHERE path = ?", ((path,) for path in paths))
            db.executemany(
                "DELETE FROM generation WHERE name = ? AND state = 'held'",
                ((generation.name,) for generation in _generations(paths)),
            )
            self._read_again(paths)

    def known(self, paths: Iterable[str]) -> list[str]:
        """Return those of these paths that are known here."""
        # CROSS JOIN: each path is looked up, where the planner might scan the whole table.
        query = "SELECT file.path FROM json_each(?) CROSS JOIN file ON file.path = value"
        with sqlite_errors(), self._lock:
            rows = self.connection.execute(query, (json.dumps(list(paths)),))
            return [path for (path,) in rows]

    def files(self, paths: Iterable[str]) -> list[BagFile]:
        """Return what is known of the files at these paths."""
        query = (
            "SELECT file.path, sha256, bytes FROM json_each(?) CROSS JOIN file ON file.path = value"
        )
        with sqlite_errors(), self._lock:
            rows = self.connection.execute(query, (json.dumps(list(paths)),))
            return [BagFile(*row) for row in rows]

    def holds(self, generation: Generation) -> bool:
        """Return whether a generation is held."""
        with sqlite_errors(), self._lock:
            query = "SELECT 1 FROM generation WHERE name = ? AND state = 'held'"
            return self.connection.execute(query, (generation.name,)).fetchone() is not None

    def past(self, generation: Generation) -> Past | None:
        """Return what earlier runs found of a generation, if any."""
        with sqlite_errors(), self._lock:
            row = self.connection.execute(
                "SELECT checked, trouble, trouble_runs, trouble_seconds FROM generation"
                " WHERE name = ?",
                (generation.name,),
            ).fetchone()
        if not row:
            return None
        checked, trouble, runs, seconds = row
        return Past(checked, Streak(trouble, runs, seconds) if trouble else None)

    def record(
        self,
        records: Iterable[Record],
        files: Iterable[BagFile],
        mark: Mark,
        described: Iterable[Described] = (),
        properties: Iterable[FileProperties] = (),
    ) -> None:
        """Commit what a run found of some generations, and the files it committed for them.

        With them goes what their sidecars say, and what those files that are videos say.
        """
        with sqlite_errors(), self._lock, self.connection:
            now = _now()
            self._hold(files, now)
            self._set_properties(properties)
            self._upsert(records, now)
            self._describe(described)
            self._set_mark(mark)

    def undescribed(self, limit: int) -> list[Generation]:
        """Return held generations whose sidecars were not read yet."""
        with sqlite_errors(), self._lock:
            return [
                Generation.from_name(name)
                for (name,) in self.connection.execute(UNDESCRIBED, (limit,))
            ]

    def describe(self, described: Sequence[Described]) -> None:
        """Record what sidecars say, except where somebody else has read them meanwhile."""
        names = json.dumps([each.generation.name for each in described])
        query = (
            "SELECT name FROM json_each(?) CROSS JOIN generation ON name = value WHERE described"
        )
        with sqlite_errors(), self._lock, self.connection as db:
            db.execute("BEGIN IMMEDIATE")
            done = {name for (name,) in db.execute(query, (names,))}
            self._describe(each for each in described if each.generation.name not in done)

    def read_again(self, paths: Iterable[str]) -> None:
        """Have the sidecars of generations read again that have one at any of these paths."""
        with sqlite_errors(), self._lock, self.connection:
            self._read_again(paths)

    def correct(self, files: Sequence[BagFile], properties: Iterable[FileProperties] = ()) -> None:
        """Record the checksums of files that a repair has put in place, and their properties."""
        checksums = json.dumps([(file.path, file.sha256) for file in files])
        with sqlite_errors(), self._lock, self.connection as db:
            db.execute(_FORGET_PROPERTIES, (checksums,))
            self._hold(files, _now())
            self._set_properties(properties)
            self._read_again(file.path for file in files)

    def checksums(self, path: str) -> set[str]:
        """Return the checksum that is recorded of a file, if one is."""
        with sqlite_errors(), self._lock:
            rows = self.connection.execute("SELECT sha256 FROM file WHERE path = ?", (path,))
            return {sha256 for (sha256,) in rows}

    def set_verified(self, paths: Iterable[str]) -> None:
        """Record that these files were just read and match."""
        now, rest = _now(), iter(paths)
        with sqlite_errors(), self._lock:
            while batch := [(now, path) for path in islice(rest, _BATCH)]:
                with self.connection as db:  # a backup may want to write in between
                    db.executemany("UPDATE file SET verified = ? WHERE path = ?", batch)

    def empty(self) -> list[str]:
        """Return the files of no bytes; most of them were not there when they were listed."""
        with sqlite_errors(), self._lock:
            rows = self.connection.execute("SELECT path FROM file WHERE bytes = 0").fetchall()
        return [path for (path,) in rows]

    def set_sizes(self, files: Iterable[tuple[str, int]]) -> None:
        """Record how many bytes files have."""
        rows = [(size, path) for path, size in files]
        if rows:
            with sqlite_errors(), self._lock, self.connection as db:
                db.executemany("UPDATE file SET bytes = ? WHERE path = ?", rows)

    def set_metadata(self, metadata: "Iterable[tuple[Generation, Metadata]]") -> None:
        """Record what is said of generations, in place of what was known."""
        with sqlite_errors(), self._lock, self.connection:
            self._set_metadata(metadata)

    def set_properties(self, properties: Iterable[FileProperties]) -> None:
        """Record what the videos at these paths say of themselves."""
        rest = iter(properties)
        with sqlite_errors(), self._lock:
            while batch := list(islice(rest, self._batch)):
                with self.connection:  # a backup may want to write in between
                    self._set_properties(batch)

    def totals(self) -> tuple[int, int]:
        """Return how many files are held, and their bytes: the bag's Payload-Oxum."""
        with sqlite_errors(), self._lock:
            files, size = self.connection.execute("SELECT files, bytes FROM total").fetchone()
        return files, size

    def _describe(self, described: Iterable[Described]) -> None:
        rows = list(described)
        names = json.dumps([each.generation.name for each in rows])
        self.connection.execute(_SET_DESCRIBED, (names,))
        self._set_metadata((each.generation, each.metadata) for each in rows)
        self.connection.executemany(
            "INSERT OR IGNORE INTO entry VALUES (?, ?)",
            ((each.generation.name, digest) for each in rows for digest in each.entries),
        )

    def _set_metadata(self, metadata: "Iterable[tuple[Generation, Metadata]]") -> None:
        """Most generations have no row: nothing is said of them."""
        from archiver.metadata import NOTHING  # noqa: PLC0415 (a run without work does without it)

        rows = list(metadata)
        names = json.dumps([generation.name for generation, _ in rows])
        query = "DELETE FROM metadata WHERE name IN (SELECT value FROM json_each(?))"
        self.connection.execute(query, (names,))
        self.connection.executemany(
            _SET_METADATA,
            ((one.name, *astuple(said)) for one, said in rows if said != NOTHING),
        )

    def _read_again(self, paths: Iterable[str]) -> None:
        sidecars = (generation_at(path) for path in paths if path.endswith(".json"))
        names = [(generation.name,) for generation in sidecars if generation]
        self.connection.executemany("UPDATE generation SET described = 0 WHERE name = ?", names)
        self.connection.executemany("DELETE FROM entry WHERE name = ?", names)

    def _hold(self, files: Iterable[BagFile], now: str) -> None:
        rows = [(file.path, file.sha256, file.bytes) for file in files]
        self.connection.execute(_HOLD, {"files": json.dumps(rows), "now": now})

    def _set_properties(self, properties: Iterable[FileProperties]) -> None:
        rows = [
            (
                path, said.duration, said.width, said.height,
                said.frame_rate, said.video_codec, said.audio_codec,
            )
            for path, said in properties
        ]  # fmt: skip
        if rows:
            self.connection.execute(_SET_PROPERTIES, (json.dumps(rows),))

    def _upsert(self, records: Iterable[Record], now: str) -> None:
        rows = json.dumps([*map(_row, records)])
        self.connection.execute(_UPSERT, {"records": rows, "now": now})

    def _set_mark(self, mark: Mark) -> None:
        query = "UPDATE absorbed SET bytes = ?, tail = ?"
        self.connection.execute(query, (mark.size, mark.tail))


def _row(record: Record) -> tuple[str | int | None, ...]:
    name, last = record.generation.name, ("\n".join(record.served_by) or None, record.since)
    match record.streak:
        case Streak(trouble, runs, seconds):
            return name, record.state, record.reason, trouble, runs, seconds, *last
        case None:
            return name, record.state, record.reason, None, 0, 0, *last


def _generations(paths: Iterable[str]) -> Iterator[Generation]:
    """Yield the generations whose videos lie at these paths, each once."""
    found = (generation_at(path) for path in paths if not path.endswith(".json"))
    return (generation for generation in dict.fromkeys(found) if generation)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
