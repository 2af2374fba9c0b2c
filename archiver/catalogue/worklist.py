"""The worklist of a run: what the manifests list and the archive does not hold."""

import json
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator
from itertools import islice

from archiver.catalogue.database import sqlite_errors
from archiver.generation import Generation
from archiver.outcomes import Lost, Worklist

_RANK = {None: 0, "pending": 1}
_OLD_FAILURE = 2

_TABLES = """
CREATE TEMP TABLE waiting (
    place INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    rank INTEGER NOT NULL            -- 0 never tried, 1 was still processing, 2 failed before
);
CREATE INDEX temp.by_rank ON waiting (rank, place);
"""


class WorklistTable:
    """The worklist, in a temporary table of an open catalogue: its length needs no memory.

    Its methods block; they may be called from any thread.
    """

    def __init__(self, connection: sqlite3.Connection, lock: threading.RLock, batch: int) -> None:
        self._db = connection
        self._lock = lock
        self._batch = batch
        self._taken = (-1, -1)
        self._unreported: list[str] = []
        with sqlite_errors():
            connection.executescript(_TABLES)

    def add(self, names: Iterable[str], *, retry_lost: bool) -> Worklist:
        """Add generations by their names; those that are held or lost are only counted.

        A generation that is listed more than once is counted and kept once.
        """
        with sqlite_errors(), self._lock, self._db:
            last = self._db.execute("SELECT max(number) FROM generation").fetchone()[0] or 0
            # A byte for each generation: a set of a million numbers would take 60 times as much.
            held, lost, rest = bytearray(last + 1), set[int](), iter(names)
            while batch := list(islice(rest, self._batch)):
                document = json.dumps(batch)
                if _mark(held, self._held(document)) < len(batch):
                    lost |= self._keep_the_rest(document, retry_lost=retry_lost)
                self._db.commit()  # a manifest may come slowly, and others want to write meanwhile
            return self._worklist(held.count(1), json.dumps(list(lost)))

    def take(self, limit: int) -> list[tuple[Generation, bool]]:
        """Return the next generations, and whether each was never tried before.

        Those never tried come first, for their links may die; then those that were still
        processing; then old failures.
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

    def take_all(self) -> Iterator[Generation]:
        """Yield all of them."""
        while rows := self.take(self._batch):
            yield from (generation for generation, _ in rows)

    def set_reported(self) -> None:
        """Note that all losses on the worklist have been reported."""
        with sqlite_errors(), self._lock, self._db:
            self._db.execute(
                "UPDATE generation SET reported = 1 WHERE state = 'lost' AND NOT reported AND"
                " (name IN (SELECT name FROM waiting) OR name IN (SELECT value FROM json_each(?)))",
                (json.dumps(self._unreported),),
            )

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

    def _keep_the_rest(self, names: str, *, retry_lost: bool) -> set[int]:
        """Keep those that are neither held nor lost; return the numbers of those that are lost."""
        rows = self._db.execute(
            "SELECT value, number, state FROM json_each(?) LEFT JOIN generation ON name = value"
            " WHERE state IS NOT 'held'",
            (names,),
        ).fetchall()
        lost = {number for _, number, state in rows if state == "lost" and not retry_lost}
        self._db.executemany(
            "INSERT OR IGNORE INTO waiting (name, rank) VALUES (?, ?)",
            (
                (name, _RANK.get(state, _OLD_FAILURE))
                for name, number, state in rows
                if number not in lost
            ),
        )
        return lost

    def _worklist(self, already_held: int, lost: str) -> Worklist:
        """Count what there is; losses that no run lived to report are named."""
        waiting = self._db.execute("SELECT count(*) FROM waiting").fetchone()[0]
        among = "FROM json_each(?) CROSS JOIN generation ON number = value WHERE"
        reported = self._db.execute(f"SELECT count(*) {among} reported", (lost,)).fetchone()[0]
        rows = self._db.execute(f"SELECT name, reason {among} NOT reported", (lost,))
        unreported = tuple(Lost(Generation.from_name(name), reason) for name, reason in rows)
        self._unreported = [each.generation.name for each in unreported]
        return Worklist(already_held, reported, waiting, unreported)


def _mark(marks: bytearray, numbers: Collection[int]) -> int:
    """Set these marks; return how many numbers there were."""
    for number in numbers:
        marks[number] = 1
    return len(numbers)
