"""The catalogue: what is held, pending, lost or failing, and why, in SQLite.

It is an index of the checksum manifest, and a memory of what was asked in vain. Losing it loses
only that memory: `absorb` reads the checksum manifest from where the catalogue ends, which is
its beginning where the catalogue is new.
"""

import json
import os
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import Self, assert_never

from archiver.archive.bag import Bag
from archiver.archive.checksum_manifest import Checksum, Mark
from archiver.archive.staging import StagedFile
from archiver.catalogue.database import CATALOGUE, Damaged, sqlite_errors
from archiver.catalogue.history import History
from archiver.catalogue.queries import Queries
from archiver.catalogue.schema import connect, connect_to_read, upgraded
from archiver.errors import storage_errors
from archiver.fixity.reconcile import Audit
from archiver.generation import Generation, generation_at
from archiver.manifest.entries import Ids
from archiver.outcomes import Archived, Enlisted, Failed, Lost, Outcome, Pending
from archiver.pipeline.give_up import Before, decide

_BATCH = 10_000
_RANK = {None: 0, "pending": 1}

_UPSERT = """
INSERT INTO generation (name, state, reason, since, asked, first_asked, told, gone_nights,
    gone_since, pending_since, served_by)
VALUES (:name, :state, :reason, :now, :now, :now, :state <> 'lost', :gone,
    iif(:gone, :now, NULL), iif(:making, :now, NULL), :served_by)
ON CONFLICT (name) DO UPDATE SET
    state = excluded.state,
    reason = excluded.reason,
    since = iif(state = excluded.state, since, excluded.since),
    asked = excluded.asked,
    told = excluded.told,
    gone_nights = iif(:gone, gone_nights + 1, 0),
    gone_since = iif(:gone, coalesce(gone_since, :now), NULL),
    pending_since = iif(:making, coalesce(pending_since, :now), NULL),
    served_by = excluded.served_by
"""
_TONIGHT = """
CREATE TEMP TABLE waiting (
    place INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    rank INTEGER NOT NULL            -- 0 never tried, 1 was still processing, 2 old trouble
);
CREATE INDEX temp.by_rank ON waiting (rank, place);
CREATE TEMP TABLE listed (path TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TEMP TABLE unlisted (path TEXT PRIMARY KEY, sha256 TEXT, bytes INTEGER) WITHOUT ROWID;
"""


class Catalogue:
    """An open catalogue. Its methods block; they may be called from any thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._lock = threading.RLock()
        with sqlite_errors():
            self._db.executescript(_TONIGHT)
        self._taken = (-1, -1)
        self._untold: list[str] = []

    @classmethod
    def open(cls, root: Path) -> Self:
        """Open the catalogue of the archive at `root`, or begin one.

        One that is damaged is kept aside and begun anew.

        Raises:
            StorageError: if the disk does not let it.
            ConfigurationError: if a newer archiver wrote it.
        """
        try:
            return cls(connect(root / CATALOGUE))
        except Damaged:
            cls.put_aside(root)
            return cls(connect(root / CATALOGUE))

    @staticmethod
    def put_aside(root: Path) -> None:
        """Keep a damaged catalogue aside: where there is none, one is made anew.

        Raises:
            StorageError: if the disk does not let it.
        """
        path, suffix = root / CATALOGUE, f".damaged-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
        with storage_errors(f"putting {path} aside"):
            for damaged in path.parent.glob(f"{path.name}*"):
                if ".damaged-" not in damaged.name:
                    damaged.rename(damaged.with_name(f"{damaged.name}{suffix}"))

    @classmethod
    def look(cls, root: Path) -> Self:
        """Open a catalogue only to read it; where there is none, the checksum manifest serves."""
        path = root / CATALOGUE
        with storage_errors(f"looking at {path}"):
            there = path.exists()
        if there and (connection := connect_to_read(path)):
            return cls(connection)
        catalogue = cls(upgraded(sqlite3.connect(":memory:")))
        if (bag := Bag(root)).checksums.path.exists():
            catalogue.absorb(bag)
        return catalogue

    def close(self) -> None:
        """Close it; at rest it is a single file, unless somebody else is reading."""
        with suppress(sqlite3.Error):
            self._db.execute("PRAGMA journal_mode = DELETE")
        self._db.close()

    def absorb(self, bag: Bag) -> int:
        """Learn from the checksum manifest what is not known here yet; return how many lines.

        Where it is not the manifest that was known here, all of it is read. What is known here
        and not listed there stays known: see `unlisted`.
        """
        with sqlite_errors(), self._lock, self._db:
            known = Mark(*self._db.execute("SELECT bytes, tail FROM absorbed").fetchone())
            whole = not bag.checksums.has(known)
            if whole:
                self._db.execute("DELETE FROM listed")
                self._db.execute("DELETE FROM unlisted")
            count, lines = 0, bag.checksums.lines(0 if whole else known.size)
            while batch := list(islice(lines, _BATCH)):
                if whole:
                    paths = ((line.path,) for line in batch)
                    self._db.executemany("INSERT OR IGNORE INTO listed VALUES (?)", paths)
                self._learn(batch, bag.size_of)
                count += len(batch)
            if whole:
                self._db.execute(
                    "INSERT INTO unlisted SELECT path, sha256, bytes FROM file"
                    " WHERE path NOT IN (SELECT path FROM listed)"
                )
            self._absorbed(bag.checksums.mark())
            return count

    def unlisted(self) -> list[StagedFile]:
        """Return the files that were held when the checksum manifest still listed them."""
        with sqlite_errors(), self._lock:
            rows = self._db.execute("SELECT path, path, sha256, bytes FROM unlisted").fetchall()
        return [StagedFile(*row) for row in rows]

    def forget(self, files: Iterable[StagedFile]) -> None:
        """Forget files that are neither listed nor there: somebody has taken them away.

        A generation that has lost a video, even one of several, is not held any more.
        """
        paths = [file.path for file in files]
        with sqlite_errors(), self._lock, self._db:
            self._db.executemany("DELETE FROM file WHERE path = ?", ((path,) for path in paths))
            self._db.executemany(
                "DELETE FROM generation WHERE name = ? AND state = 'held'",
                ((name,) for name in _names(paths)),
            )

    def listed(self, files: Iterable[StagedFile]) -> list[str]:
        """Return those paths among these that are held: of a generation that had lost others."""
        document = json.dumps([file.path for file in files])
        with sqlite_errors(), self._lock:
            query = "SELECT file.path FROM json_each(?) CROSS JOIN file ON file.path = value"
            return [path for (path,) in self._db.execute(query, (document,))]

    def enlist(self, listed: Iterable[Ids], *, retry_lost: bool) -> Enlisted:
        """Take tonight's list: keep what is to be asked, count what is held or lost for good.

        A generation that is listed more than once is counted and kept once.
        """
        with sqlite_errors(), self._lock, self._db:
            enlisted = Enlisted()
            last = self._db.execute("SELECT max(number) FROM generation").fetchone()[0] or 0
            held, lost = bytearray(last + 1), set[int]()
            names = chain.from_iterable(ids.names() for ids in listed)
            while batch := list(islice(names, _BATCH)):
                document = json.dumps(batch)
                if _mark(held, self._held(document)) < len(batch):
                    lost |= self._keep_those_to_ask(document, retry_lost=retry_lost)
                self._db.commit()  # a list may come slowly, and others want to write meanwhile
            enlisted.already_held = held.count(1)
            self._count_lost(lost, enlisted)
            enlisted.to_ask = self._db.execute("SELECT count(*) FROM waiting").fetchone()[0]
            return enlisted

    def _held(self, names: str) -> list[int]:
        """Return the numbers of those that are held: in one value, since a row each takes longer.

        The join keeps its order, or each name would be looked for in all of the table.
        """
        query = (
            "SELECT json_group_array(number) FROM json_each(?) CROSS JOIN generation"
            " ON name = value WHERE state = 'held'"
        )
        numbers: list[int] = json.loads(self._db.execute(query, (names,)).fetchone()[0])
        return numbers

    def _keep_those_to_ask(self, names: str, *, retry_lost: bool) -> set[int]:
        """Keep those that are neither held nor lost; return the numbers of those that are lost."""
        rows = self._db.execute(
            "SELECT value, number, state FROM json_each(?) LEFT JOIN generation ON name = value"
            " WHERE state IS NOT 'held'",
            (names,),
        ).fetchall()
        lost = {number for _, number, state in rows if state == "lost" and not retry_lost}
        self._db.executemany(
            "INSERT OR IGNORE INTO waiting (name, rank) VALUES (?, ?)",
            ((name, _RANK.get(state, 2)) for name, number, state in rows if number not in lost),
        )
        return lost

    def _count_lost(self, numbers: Iterable[int], enlisted: Enlisted) -> None:
        """Count what is known to be lost, and bring up what nobody was told of yet."""
        told = self._db.execute(
            "SELECT count(*) FROM json_each(?) CROSS JOIN generation ON number = value WHERE told",
            (document := json.dumps(list(numbers)),),
        )
        enlisted.known_lost = told.fetchone()[0]
        untold = self._db.execute(
            "SELECT name, reason FROM json_each(?) CROSS JOIN generation ON number = value"
            " WHERE NOT told",
            (document,),
        )
        enlisted.untold = [Lost(Generation.from_name(name), reason) for name, reason in untold]
        self._untold = [lost.generation.name for lost in enlisted.untold]

    def take(self, limit: int) -> list[tuple[Generation, bool]]:
        """Return the next generations to ask about, and whether each was never tried before.

        Those never tried come first, for their links may die; then those that were still being
        made; then old troubles.
        """
        with sqlite_errors(), self._lock:
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
        with sqlite_errors(), self._lock, self._db:
            self._hold((file.path, file.sha256, file.bytes) for file in placed)
            self._upsert(_row(outcome) for outcome in outcomes)
            self._absorbed(mark)

    def judge(self, outcome: Outcome) -> Outcome:
        """Say whether what has lasted for many nights is a loss by now, or worth telling."""
        with sqlite_errors(), self._lock:
            row = self._db.execute(
                "SELECT gone_nights, gone_since, pending_since FROM generation WHERE name = ?",
                (outcome.generation.name,),
            ).fetchone()
        return decide(outcome, Before(*row), datetime.now(UTC)) if row else outcome

    def have_told(self) -> None:
        """Note that all losses on tonight's list have been told."""
        with sqlite_errors(), self._lock, self._db:
            self._db.execute(
                "UPDATE generation SET told = 1 WHERE state = 'lost' AND NOT told AND"
                " (name IN (SELECT name FROM waiting) OR name IN (SELECT value FROM json_each(?)))",
                (json.dumps(self._untold),),
            )

    def holds(self, generation: Generation) -> bool:
        """Tell whether a generation is held."""
        with sqlite_errors(), self._lock:
            query = "SELECT 1 FROM generation WHERE name = ? AND state = 'held'"
            return self._db.execute(query, (generation.name,)).fetchone() is not None

    def history(self) -> History:
        """Return the runs there were."""
        return History(self._db)

    def queries(self) -> Queries:
        """Return whom to ask where things stand."""
        return Queries(self._db)

    def audit(self) -> Audit:
        """Begin to compare what is known here with what is found."""
        return Audit(self._db)

    @staticmethod
    def is_writable(root: Path) -> bool:
        """Tell whether there is a catalogue that could be written to."""
        return os.access(root / CATALOGUE, os.W_OK) and os.access(
            (root / CATALOGUE).parent, os.W_OK
        )

    def prove(self, paths: Iterable[str]) -> None:
        """Remember that these files were just proven to match."""
        now, rest = _now(), iter(paths)
        with sqlite_errors(), self._lock:
            while batch := [(now, path) for path in islice(rest, _BATCH)]:
                with self._db:  # a backup may want to write in between
                    self._db.executemany("UPDATE file SET proven = ? WHERE path = ?", batch)

    def checksums(self, path: str) -> set[str]:
        """Return the checksum that is known of a file, if one is."""
        with sqlite_errors(), self._lock:
            rows = self._db.execute("SELECT sha256 FROM file WHERE path = ?", (path,))
            return {sha256 for (sha256,) in rows}

    def correct(self, path: str, sha256: str, size: int) -> None:
        """Take over the checksum of a file that has been put in its place by a repair."""
        with sqlite_errors(), self._lock, self._db:
            self._hold([(path, sha256, size)])

    def totals(self) -> tuple[int, int]:
        """Return how many files are held, and their bytes: the bag's Payload-Oxum."""
        with sqlite_errors(), self._lock:
            files, size = self._db.execute("SELECT files, bytes FROM total").fetchone()
        return files, size

    def _learn(self, lines: Sequence[Checksum], size_of: Callable[[str], int]) -> None:
        """A file that is known here keeps its checksum: `verify` compares the two."""
        self._db.executemany(
            "INSERT OR IGNORE INTO file VALUES (?, ?, ?, NULL)",
            ((line.path, line.sha256, size_of(line.path)) for line in lines),
        )
        paths = (line.path for line in lines)
        self._upsert({"name": name, "state": "held"} for name in _names(paths))

    def _hold(self, files: Iterable[tuple[str, str, int]]) -> None:
        now = _now()
        rows = ((path, sha256, size, now) for path, sha256, size in files)
        self._db.executemany(
            "INSERT INTO file VALUES (?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET"
            " sha256 = excluded.sha256, bytes = excluded.bytes, proven = excluded.proven",
            rows,
        )

    def _upsert(self, rows: Iterable[dict[str, object]]) -> None:
        now = _now()
        blank = {"reason": None, "gone": 0, "making": 0, "served_by": None, "now": now}
        self._db.executemany(_UPSERT, (blank | row for row in rows))

    def _absorbed(self, mark: Mark) -> None:
        self._db.execute("UPDATE absorbed SET bytes = ?, tail = ?", (mark.size, mark.tail))


def _mark(marks: bytearray, numbers: Collection[int]) -> int:
    """Set these marks; return how many numbers there were."""
    for number in numbers:
        marks[number] = 1
    return len(numbers)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _names(paths: Iterable[str]) -> Iterator[str]:
    """Yield the names of the generations whose videos lie at these paths, each once."""
    generations = (generation_at(path) for path in paths if not path.endswith(".json"))
    return (name for name in dict.fromkeys(g.name for g in generations if g))


def _row(outcome: Outcome) -> dict[str, object]:
    row: dict[str, object] = {"name": outcome.generation.name}
    match outcome:
        case Archived(served_by=links):
            return row | {"state": "held", "served_by": "\n".join(links)}
        case Pending():
            return row | {"state": "pending", "making": 1}
        case Lost():
            return row | {"state": "lost", "reason": outcome.why}
        case Failed():
            troubles = {"gone": outcome.gone, "making": outcome.stuck}
            return row | {"state": "failed", "reason": outcome.why} | troubles
        case _:
            assert_never(outcome)
