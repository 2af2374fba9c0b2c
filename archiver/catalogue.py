"""The catalogue: what is held, pending, lost or failing, and why, in SQLite.

It is an index of the checksum manifest, and a memory of what was asked in vain. Losing it loses
only that memory: `absorb` reads the checksum manifest from where the catalogue ends, which is
its beginning where the catalogue is new.
"""

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Self, assert_never

from archiver.bag import Bag, Checksum, Mark
from archiver.errors import ConfigurationError, DiskTrouble
from archiver.generation import Generation, generation_at
from archiver.outcome import Archived, Failed, Lost, Outcome, Pending
from archiver.staging import StagedFile

PATH = Path(".archiver") / "catalogue.sqlite"
_VERSION = 1
_BATCH = 10_000
_RANK = {None: 0, "pending": 1}
_GONE_NIGHTS = 3
_GONE_FOR = timedelta(hours=40)
"""Links that were dead on three nights, the first and last this far apart, stay dead."""

_SCHEMA = """
CREATE TABLE generation (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,       -- v6/deepfake/263
    state TEXT NOT NULL CHECK (state IN ('held', 'pending', 'lost', 'failed')),
    reason TEXT,
    since TEXT NOT NULL,             -- when it came into this state, UTC
    asked TEXT NOT NULL,             -- when this was last found, UTC
    gone_nights INTEGER NOT NULL DEFAULT 0,
    gone_since TEXT,                 -- the first of the nights on which all its links were dead
    served_by TEXT                   -- the links that gave the payloads
);
CREATE TABLE file (
    path TEXT PRIMARY KEY,           -- data/v6/deepfake/263.mp4
    sha256 TEXT NOT NULL,
    bytes INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE absorbed (              -- one row: how much of the checksum manifest is known here
    bytes INTEGER NOT NULL,
    tail BLOB NOT NULL
);
INSERT INTO absorbed VALUES (0, x'');
"""
_UPSERT = """
INSERT INTO generation (name, state, reason, since, asked, gone_nights, gone_since, served_by)
VALUES (:name, :state, :reason, :now, :now, :gone, iif(:gone, :now, NULL), :served_by)
ON CONFLICT (name) DO UPDATE SET
    state = excluded.state,
    reason = excluded.reason,
    since = iif(state = excluded.state, since, excluded.since),
    asked = excluded.asked,
    gone_nights = iif(:gone, gone_nights + 1, 0),
    gone_since = iif(:gone, coalesce(gone_since, :now), NULL),
    served_by = excluded.served_by
"""
_TONIGHT = """
CREATE TEMP TABLE waiting (
    place INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    rank INTEGER NOT NULL            -- 0 never tried, 1 was still processing, 2 old trouble
);
CREATE INDEX temp.by_rank ON waiting (rank, place);
"""


@dataclass(slots=True)
class Enlisted:
    """What a night's list amounts to; each generation is counted once."""

    already_held: int = 0
    known_lost: int = 0
    to_ask: int = 0


class _Damaged(DiskTrouble):
    """The file is no SQLite database, or a broken one."""


class Catalogue:
    """An open catalogue. Its methods block; they may be called from any thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._lock = threading.RLock()
        with _trouble(PATH):
            self._db.executescript(_TONIGHT)
        self._taken = (-1, -1)

    @classmethod
    def open(cls, root: Path) -> Self:
        """Open the catalogue of the archive at `root`, or begin one.

        One that is damaged is kept aside and begun anew.

        Raises:
            DiskTrouble: if the disk does not let it.
            ConfigurationError: if a newer archiver wrote it.
        """
        path = root / PATH
        try:
            return cls(_connect(path))
        except _Damaged:
            stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
            for damaged in path.parent.glob(f"{path.name}*"):
                if ".damaged-" not in damaged.name:
                    damaged.rename(damaged.with_name(f"{damaged.name}.damaged-{stamp}"))
            return cls(_connect(path))

    @classmethod
    def look(cls, root: Path) -> Self:
        """Open a catalogue only to read it; where there is none, the checksum manifest serves."""
        path = root / PATH
        if not path.exists():
            catalogue = cls(_begin(sqlite3.connect(":memory:")))
            if (bag := Bag(root)).checksums.exists():
                catalogue.absorb(bag)
            return catalogue
        with _trouble(path):
            return cls(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True))

    def close(self) -> None:
        """Close it; at rest it is a single file, unless somebody else is reading."""
        with suppress(sqlite3.Error):
            self._db.execute("PRAGMA journal_mode = DELETE")
        self._db.close()

    def absorb(self, bag: Bag) -> int:
        """Learn from the checksum manifest what is not known here yet; return how many lines."""
        with _trouble(PATH), self._lock, self._db:
            known = Mark(*self._db.execute("SELECT bytes, tail FROM absorbed").fetchone())
            if not bag.has(known):
                self._db.execute("DELETE FROM file")
                self._db.execute("DELETE FROM generation WHERE state = 'held'")
                known = Mark(0, b"")
            count, lines = 0, bag.lines(known.size)
            while batch := list(islice(lines, _BATCH)):
                self._hold((line.path, line.sha256, bag.size_of(line.path)) for line in batch)
                self._upsert({"name": name, "state": "held"} for name in _names(batch))
                count += len(batch)
            self._absorbed(bag.mark())
            return count

    def enlist(self, generations: Iterable[Generation], *, retry_lost: bool) -> Enlisted:
        """Take tonight's list: keep what is to be asked, count what is held or lost for good.

        A generation that is listed more than once is counted and kept once.
        """
        with _trouble(PATH), self._lock, self._db:
            enlisted = Enlisted()
            last = self._db.execute("SELECT max(number) FROM generation").fetchone()[0] or 0
            seen, names = bytearray(last + 1), (generation.name for generation in generations)
            while batch := list(islice(names, _BATCH)):
                to_ask = []
                for name, number, state in self._states(batch):
                    done = state == "held" or (state == "lost" and not retry_lost)
                    if not done:
                        to_ask.append((name, _RANK.get(state, 2)))
                    elif not seen[number]:
                        seen[number] = 1
                        enlisted.already_held += state == "held"
                        enlisted.known_lost += state == "lost"
                self._db.executemany(
                    "INSERT OR IGNORE INTO waiting (name, rank) VALUES (?, ?)", to_ask
                )
            enlisted.to_ask = self._db.execute("SELECT count(*) FROM waiting").fetchone()[0]
            return enlisted

    def take(self, limit: int) -> list[tuple[Generation, bool]]:
        """Return the next generations to ask about, and whether each was never tried before.

        Those never tried come first, for their links may die; then those that were still being
        made; then old troubles.
        """
        with _trouble(PATH), self._lock:
            rows = self._db.execute(
                "SELECT rank, place, name FROM waiting WHERE (rank, place) > (?, ?)"
                " ORDER BY rank, place LIMIT ?",
                (*self._taken, limit),
            ).fetchall()
        if rows:
            self._taken = rows[-1][:2]
        return [(Generation.from_name(name), rank == 0) for rank, _, name in rows]

    def taken(self) -> Iterator[Generation]:
        """Take all of them, one after the other, and close the catalogue at the end."""
        with closing(self):
            while rows := self.take(_BATCH):
                yield from (generation for generation, _ in rows)

    def record(self, outcomes: Iterable[Outcome], placed: Iterable[StagedFile], mark: Mark) -> None:
        """Commit what became of some generations, and the files placed in the bag for them."""
        with _trouble(PATH), self._lock, self._db:
            self._hold((file.path, file.sha256, file.bytes) for file in placed)
            self._upsert(_row(outcome) for outcome in outcomes)
            self._absorbed(mark)

    def judge(self, outcome: Outcome) -> Outcome:
        """Say that a generation is lost if its links have been dead for several nights."""
        if not isinstance(outcome, Failed) or not outcome.gone:
            return outcome
        with _trouble(PATH), self._lock:
            row = self._db.execute(
                "SELECT gone_nights, gone_since FROM generation WHERE name = ?",
                (outcome.generation.name,),
            ).fetchone()
        if not row or not row[1] or row[0] + 1 < _GONE_NIGHTS:
            return outcome
        if datetime.now(UTC) - datetime.fromisoformat(row[1]) < _GONE_FOR:
            return outcome
        reason = f"its links have been dead for {row[0] + 1} nights, and ModelsLab has no others"
        return Lost(outcome.generation, reason, outcome.faults)

    def holds(self, generation: Generation) -> bool:
        """Tell whether a generation is held."""
        with _trouble(PATH), self._lock:
            query = "SELECT 1 FROM generation WHERE name = ? AND state = 'held'"
            return self._db.execute(query, (generation.name,)).fetchone() is not None

    def totals(self) -> tuple[int, int]:
        """Return how many files are held, and their bytes: the bag's Payload-Oxum."""
        with _trouble(PATH), self._lock:
            files, size = self._db.execute("SELECT count(*), total(bytes) FROM file").fetchone()
        return files, int(size)

    def _states(self, names: list[str]) -> Iterator[tuple[str, int, str | None]]:
        return self._db.execute(
            "SELECT value, number, state FROM json_each(?) LEFT JOIN generation ON name = value",
            (json.dumps(names),),
        )

    def _hold(self, files: Iterable[tuple[str, str, int]]) -> None:
        self._db.executemany("INSERT OR REPLACE INTO file VALUES (?, ?, ?)", files)

    def _upsert(self, rows: Iterable[dict[str, object]]) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        blank = {"reason": None, "gone": 0, "served_by": None, "now": now}
        self._db.executemany(_UPSERT, (blank | row for row in rows))

    def _absorbed(self, mark: Mark) -> None:
        self._db.execute("UPDATE absorbed SET bytes = ?, tail = ?", (mark.size, mark.tail))


def _names(lines: Sequence[Checksum]) -> Iterator[str]:
    generations = (generation_at(line.path) for line in lines)
    return (name for name in dict.fromkeys(g.name for g in generations if g))


def _row(outcome: Outcome) -> dict[str, object]:
    row: dict[str, object] = {"name": outcome.generation.name}
    match outcome:
        case Archived(served_by=links):
            return row | {"state": "held", "served_by": "\n".join(links)}
        case Pending():
            return row | {"state": "pending"}
        case Lost():
            return row | {"state": "lost", "reason": outcome.why}
        case Failed():
            return row | {"state": "failed", "reason": outcome.why, "gone": outcome.gone}
        case _:
            assert_never(outcome)


def _connect(path: Path) -> sqlite3.Connection:
    with _trouble(path):
        connection = sqlite3.connect(path, timeout=60, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        return _begin(connection)


def _begin(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Make the tables in a new catalogue; refuse one of a later kind."""
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found > _VERSION:
        raise ConfigurationError("the catalogue was written by a newer archiver: upgrade this one")
    if found == 0:
        connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
    return connection


@contextmanager
def _trouble(path: Path) -> Iterator[None]:
    """Translate SQLite's errors: a broken file is one thing, a disk that fails another."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise DiskTrouble(f"the disk failed while using {path}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise _Damaged(
            f"{path} is damaged ({error}): move it away, and it is made anew from the archive"
        ) from error
