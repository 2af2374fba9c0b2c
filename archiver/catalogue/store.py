"""The catalogue: what is held, pending, failed or lost, and why.

It is an index of the checksum manifest, and a memory of what was tried in vain. Losing it loses
only that memory: what is held is read again from the checksum manifest.
"""

import json
import logging
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Self, TypeAlias

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
from archiver.catalogue.queries import Queries, State
from archiver.catalogue.worklist import WorklistTable
from archiver.checksums import BagFile, Mark
from archiver.errors import storage_errors
from archiver.generation import Generation, generation_at
from archiver.media.info import Properties
from archiver.metadata import Metadata
from archiver.outcomes import Streak

_LOG = logging.getLogger(__name__)
_BATCH = 10_000

_UPSERT = """
INSERT INTO generation (name, state, reason, since, checked, first_checked, reported, trouble,
    trouble_runs, trouble_seconds, served_by)
VALUES (:name, :state, :reason, :now, :now, :now, :state <> 'lost', :trouble,
    :trouble_runs, :trouble_seconds, :served_by)
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
_SET_PROPERTIES = "INSERT OR REPLACE INTO properties VALUES (?, ?, ?, ?, ?, ?, ?)"
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
    state: State
    reason: str | None = None
    streak: Streak | None = None
    """The trouble that runs in a row had with it, if any."""
    served_by: tuple[str, ...] = ()


_Row: TypeAlias = dict[str, object]


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
        self.queries = Queries(connection)
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
            reason = damage.reason
            _LOG.warning("%s: it is set aside and rebuilt, without its history", reason)
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
                self._upsert(Record(g, "held") for g in _generations(f.path for f in batch))
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

        A generation that has lost a video, even one of several, is not held any more.
        """
        paths = [file.path for file in files]
        with sqlite_errors(), self._lock, self.connection as db:
            db.executemany("DELETE FROM file WHERE path = ?", ((path,) for path in paths))
            db.executemany(
                "DELETE FROM generation WHERE name = ? AND state = 'held'",
                ((generation.name,) for generation in _generations(paths)),
            )

    def known(self, paths: Iterable[str]) -> list[str]:
        """Return those of these paths that are known here."""
        # CROSS JOIN: each path is looked up, where the planner might scan the whole table.
        query = "SELECT file.path FROM json_each(?) CROSS JOIN file ON file.path = value"
        with sqlite_errors(), self._lock:
            rows = self.connection.execute(query, (json.dumps(list(paths)),))
            return [path for (path,) in rows]

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

    def record(self, records: Iterable[Record], files: Iterable[BagFile], mark: Mark) -> None:
        """Commit what a run found of some generations, and the files it committed for them."""
        with sqlite_errors(), self._lock, self.connection:
            self._hold(files)
            self._upsert(records)
            self._set_mark(mark)

    def correct(self, files: Iterable[BagFile]) -> None:
        """Record the checksums of files that a repair has put in place."""
        with sqlite_errors(), self._lock, self.connection:
            self._hold(files)

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

    def set_metadata(self, metadata: Iterable[tuple[Generation, Metadata]]) -> None:
        """Record what is said of generations, in place of what was known."""
        rows = [(generation.name, *astuple(said)) for generation, said in metadata]
        with sqlite_errors(), self._lock, self.connection as db:
            db.executemany(_SET_METADATA, rows)

    def set_properties(self, properties: Iterable[tuple[str, Properties]]) -> None:
        """Record what the videos at these paths say of themselves."""
        rows = [(path, *astuple(found)) for path, found in properties]
        with sqlite_errors(), self._lock, self.connection as db:
            db.executemany(_SET_PROPERTIES, rows)

    def totals(self) -> tuple[int, int]:
        """Return how many files are held, and their bytes: the bag's Payload-Oxum."""
        with sqlite_errors(), self._lock:
            files, size = self.connection.execute("SELECT files, bytes FROM total").fetchone()
        return files, size

    def _hold(self, files: Iterable[BagFile]) -> None:
        now = _now()
        self.connection.executemany(
            "INSERT INTO file VALUES (?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET"
            " sha256 = excluded.sha256, bytes = excluded.bytes, verified = excluded.verified",
            ((file.path, file.sha256, file.bytes, now) for file in files),
        )

    def _upsert(self, records: Iterable[Record]) -> None:
        now = _now()
        self.connection.executemany(_UPSERT, (_row(record, now) for record in records))

    def _set_mark(self, mark: Mark) -> None:
        query = "UPDATE absorbed SET bytes = ?, tail = ?"
        self.connection.execute(query, (mark.size, mark.tail))


def _row(record: Record, now: str) -> _Row:
    streak = record.streak
    return {
        "name": record.generation.name,
        "state": record.state,
        "reason": record.reason,
        "trouble": streak and streak.trouble,
        "trouble_runs": streak.runs if streak else 0,
        "trouble_seconds": streak.seconds if streak else 0,
        "served_by": "\n".join(record.served_by) or None,
        "now": now,
    }


def _generations(paths: Iterable[str]) -> Iterator[Generation]:
    """Yield the generations whose videos lie at these paths, each once."""
    found = (generation_at(path) for path in paths if not path.endswith(".json"))
    return (generation for generation in dict.fromkeys(found) if generation)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
