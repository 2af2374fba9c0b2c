"""The worklist of a run: what the manifests list and the archive does not hold."""

import json
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, repeat
from typing import Any

from archiver.catalogue.database import sqlite_errors
from archiver.generation import LISTED, Generation
from archiver.manifest import Ids
from archiver.outcomes import Lost, Worklist

_BEGUN = -1
_RANK = {None: 0, "pending": 1}
_OLD_FAILURE = 2
_HANDED_OUT = -2
"""Below the rank from which `take` begins."""

_TABLES = """
CREATE TEMP TABLE waiting (
    place INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    rank INTEGER NOT NULL,           -- -1 begun, 0 new, 1 was still processing, 2 failed before
    hopeless INTEGER NOT NULL,       -- an earlier run has found it so
    assumed INTEGER NOT NULL,        -- the manifests do not name its family
    links TEXT,                      -- JSON: those that are listed of it
    item TEXT                        -- JSON: what ModelsLab lists, where no manifest lists it
);
CREATE INDEX temp.by_rank ON waiting (rank, place);
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A generation that the manifests list and the archive does not hold."""

    generation: Generation
    first: bool = True
    """No run has tried it before, or one ended while it was downloaded."""
    hopeless: bool = False
    """The last run found nothing that promises that it will ever be there."""
    assumed: bool = False
    """Its family was assumed: the manifests do not name it."""
    links: tuple[str, ...] = ()
    """The links that are listed of it."""
    item: str | None = None
    """The JSON of what ModelsLab lists of it, where no manifest does."""

    @property
    def is_news(self) -> bool:
        """Whether nothing but ModelsLab's listing has ever named it."""
        return self.item is not None and (self.first or self.generation.endpoint == LISTED)


@dataclass(slots=True)
class _Batch:
    """A stretch of what the manifests list: names, and what else they say of each."""

    names: list[str] = field(default_factory=list)
    assumed: list[bool] = field(default_factory=list)
    links: dict[str, tuple[str, ...]] = field(default_factory=dict)
    items: dict[str, str] = field(default_factory=dict)

    def add(self, ids: Ids) -> None:
        before = len(self.names)
        self.names.extend(ids.names())
        self.assumed.extend(repeat(ids.assumed, len(self.names) - before))
        if ids.links:
            self.links[self.names[-1]] = ids.links
        if ids.item:
            self.items.setdefault(self.names[-1], ids.item)


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
        self._left_alone = {"held", "lost"}
        with sqlite_errors():
            connection.executescript(_TABLES)

    def add(
        self, listed: Iterable[Ids], discovered: Iterable[Ids] = (), *, retry_lost: bool
    ) -> Worklist:
        """Add what the manifests list, then what was `discovered`; the held and lost only count.

        A generation that is listed more than once is counted and kept once, as it was first listed.
        """
        if retry_lost:
            self._left_alone.discard("lost")
        with sqlite_errors(), self._lock, self._db:
            last = self._db.execute("SELECT max(number) FROM generation").fetchone()[0] or 0
            # A byte for each generation: a set of a million numbers would take 60 times as much.
            held, lost = bytearray(last + 1), set[int]()
            batches = (_batches(each, self._batch) for each in (self._known(listed), discovered))
            for batch in chain.from_iterable(batches):
                document = json.dumps(batch.names)
                if _mark(held, self._held(document)) < len(batch.names):
                    lost |= self._keep_the_rest(document, batch, retry_lost=retry_lost)
                self._db.commit()  # a manifest may come slowly, and others want to write meanwhile
            return self._worklist(held.count(1), json.dumps(list(lost)))

    def resolve(self, assumed: Generation, actual: Generation) -> Entry | None:
        """Remember that what was listed under an assumed family is another generation.

        Return the entry of that one if it is to be fetched and not on the worklist itself.
        """
        with sqlite_errors(), self._lock, self._db:
            self._db.execute(
                "INSERT OR REPLACE INTO known_as VALUES (?, ?)", (assumed.name, actual.name)
            )
            self._db.execute(
                "DELETE FROM generation WHERE name = ? AND state <> 'held'", (assumed.name,)
            )
            query = "SELECT state, trouble FROM generation WHERE name = ?"
            state, trouble = self._db.execute(query, (actual.name,)).fetchone() or (None, None)
            listed = "SELECT 1 FROM waiting WHERE name = ?"
            if state in self._left_alone or self._db.execute(listed, (actual.name,)).fetchone():
                return None
            self._db.execute(
                "INSERT INTO waiting (name, rank, hopeless, assumed) VALUES (?, ?, 0, 0)",
                (actual.name, _HANDED_OUT),
            )
        return Entry(actual, first=state is None, hopeless=trouble == "hopeless")

    def families(self, endpoints: Iterable[str]) -> list[str]:
        """Return these endpoints, those first of which the archive holds a generation."""
        with sqlite_errors(), self._lock:
            return sorted(endpoints, key=self._holds_any, reverse=True)

    def take(self, limit: int) -> list[Entry]:
        """Return the next entries.

        What the end of a run has cut off comes first, then those never tried, for their links
        may die; then those that were still processing; then old failures.
        """
        with sqlite_errors(), self._lock:
            rows = self._db.execute(
                "SELECT rank, place, name, hopeless, assumed, links, item FROM waiting"
                " WHERE (rank, place) > (?, ?) ORDER BY rank, place LIMIT ?",
                (*self._taken, limit),
            ).fetchall()
        if rows:
            self._taken = rows[-1][:2]
        return [_entry(*row) for row in rows]

    def take_all(self) -> Iterator[Generation]:
        """Yield all of them."""
        while rows := self.take(self._batch):
            yield from (entry.generation for entry in rows)

    def set_reported(self) -> None:
        """Note that all losses on the worklist have been reported."""
        with sqlite_errors(), self._lock, self._db:
            self._db.execute(
                "UPDATE generation SET reported = 1 WHERE state = 'lost' AND NOT reported AND"
                " (name IN (SELECT name FROM waiting) OR name IN (SELECT value FROM json_each(?)))",
                (json.dumps(self._unreported),),
            )

    def _holds_any(self, endpoint: str) -> bool:
        query = "SELECT 1 FROM generation WHERE name > ? AND name < ? AND state = 'held' LIMIT 1"
        return self._db.execute(query, (f"{endpoint}/", f"{endpoint}0")).fetchone() is not None

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

    def _keep_the_rest(self, names: str, batch: _Batch, *, retry_lost: bool) -> set[int]:
        """Keep those that are neither held nor lost; return the numbers of those that are lost."""
        rows = self._db.execute(
            "SELECT value, number, state, trouble, trouble_runs FROM json_each(?)"
            " LEFT JOIN generation ON name = value WHERE state IS NOT 'held'",
            (names,),
        ).fetchall()
        lost = {number for _, number, state, *_ in rows if state == "lost" and not retry_lost}
        named = {
            name for name, assumed in zip(batch.names, batch.assumed, strict=True) if not assumed
        }
        self._db.executemany(
            "INSERT INTO waiting (name, rank, hopeless, assumed, links, item)"
            " VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (name) DO UPDATE SET assumed = min(assumed, excluded.assumed),"
            " links = coalesce(links, excluded.links)",
            (
                (
                    name,
                    _rank(state, trouble, runs),
                    trouble == "hopeless",
                    name not in named,
                    json.dumps(batch.links[name]) if name in batch.links else None,
                    batch.items.get(name),
                )
                for name, number, state, trouble, runs in rows
                if number not in lost
            ),
        )
        return lost

    def _known(self, listed: Iterable[Ids]) -> Iterator[Ids]:
        """Yield what is listed; what proved to be of another family, under its own."""
        any_known = self._db.execute("SELECT EXISTS (SELECT 1 FROM known_as)").fetchone()[0]
        return (one for ids in listed for one in self._renamed(ids)) if any_known else iter(listed)

    def _renamed(self, ids: Ids) -> Iterator[Ids]:
        if not ids.assumed:
            yield ids
            return
        query = "SELECT name, actual FROM json_each(?) CROSS JOIN known_as ON name = value"
        actual = dict(self._db.execute(query, (json.dumps(list(ids.names())),)))
        if not actual:
            yield ids
            return
        if rest := [id_ for id_ in ids.ids if f"{ids.endpoint}/{id_}" not in actual]:
            yield replace(ids, ids=rest)
        for name in actual.values():
            known = Generation.from_name(name)
            yield Ids(known.endpoint, (known.id,))

    def _worklist(self, already_held: int, lost: str) -> Worklist:
        """Count what there is; losses that no run lived to report are named."""
        waiting = self._db.execute("SELECT count(*) FROM waiting").fetchone()[0]
        among = "FROM json_each(?) CROSS JOIN generation ON number = value WHERE"
        reported = self._db.execute(f"SELECT count(*) {among} reported", (lost,)).fetchone()[0]
        rows = self._db.execute(f"SELECT name, reason {among} NOT reported", (lost,))
        unreported = tuple(Lost(Generation.from_name(name), reason) for name, reason in rows)
        self._unreported = [each.generation.name for each in unreported]
        return Worklist(already_held, reported, waiting, unreported)


def _rank(state: str | None, trouble: str | None, runs: int) -> int:
    """Return when a generation comes; one whose download was cut off twice may well be endless."""
    return _BEGUN if trouble == "unfinished" and runs == 1 else _RANK.get(state, _OLD_FAILURE)


def _mark(marks: bytearray, numbers: Collection[int]) -> int:
    """Set these marks; return how many numbers there were."""
    for number in numbers:
        marks[number] = 1
    return len(numbers)


def _batches(listed: Iterable[Ids], size: int) -> Iterator[_Batch]:
    batch = _Batch()
    for ids in listed:
        batch.add(ids)
        if len(batch.names) >= size:
            yield batch
            batch = _Batch()
    if batch.names:
        yield batch


def _entry(rank: int, _place: int, name: str, *rest: Any) -> Entry:
    hopeless, assumed, links, item = rest
    found = tuple(json.loads(links)) if links else ()
    generation = Generation.from_name(name)
    return Entry(generation, rank <= 0, bool(hopeless), bool(assumed), found, item)
