"""The worklist of a run: what the manifests list and the archive does not hold."""

import hashlib
import json
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TypeAlias

from archiver.catalogue.database import sqlite_errors
from archiver.generation import LISTED, Generation
from archiver.manifest import Ids
from archiver.outcomes import Lost, Worklist

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
CREATE TEMP TABLE said (             -- what manifests say of generations, and no sidecar has yet
    place INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    text TEXT NOT NULL,              -- JSON, without the key
    UNIQUE (name, digest)
);
"""
# A download that was cut off twice may well be endless: it comes with the old failures.
_KEEP_THE_REST = """
INSERT INTO waiting (name, rank, hopeless, assumed)
SELECT value,
    CASE
        WHEN trouble = 'unfinished' AND trouble_runs = 1 THEN -1
        WHEN state IS NULL THEN 0
        WHEN state = 'pending' THEN 1
        ELSE 2
    END,
    trouble IS 'hopeless',
    value NOT IN (SELECT value FROM json_each(:named))
FROM json_each(:names) LEFT JOIN generation ON name = value
WHERE state IS NULL OR state NOT IN (SELECT value FROM json_each(:left_alone))
ON CONFLICT (name) DO UPDATE SET assumed = min(assumed, excluded.assumed)
"""
# In two: for (rank, place) > (?, ?) SQLite would read a rank from its beginning each time.
_NEXT = """
SELECT rank, place, name, hopeless, assumed, links, item FROM waiting
    WHERE rank = ?1 AND place > ?2
UNION ALL
SELECT rank, place, name, hopeless, assumed, links, item FROM waiting WHERE rank > ?1
ORDER BY rank, place LIMIT ?3
"""
_Row: TypeAlias = tuple[int, int, str, int, int, str | None, str | None]
_SAID_AT_ONCE = 4 << 20
"""Characters of what manifests say that are in memory at once, about."""
_SAYINGS_LIMIT = 100
"""At most this many sayings of a generation are handed out on a run."""

_SAYINGS = """
SELECT text, digest FROM said WHERE name = ?
AND NOT EXISTS (SELECT 1 FROM entry WHERE entry.name = said.name AND entry.digest = said.digest)
ORDER BY place LIMIT ?
"""
_HELD_WITH_SAYINGS = """
SELECT DISTINCT name FROM said CROSS JOIN generation USING (name)
WHERE name > ? AND state = 'held'
AND NOT EXISTS (SELECT 1 FROM entry WHERE entry.name = said.name AND entry.digest = said.digest)
ORDER BY name LIMIT ?
"""

Redact: TypeAlias = Callable[[str], str]
"""Returns a text without the API key."""


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
    named: list[str] = field(default_factory=list)
    """Those whose family was not assumed."""
    links: dict[str, tuple[str, ...]] = field(default_factory=dict)
    said: list[tuple[str, str]] = field(default_factory=list)
    characters: int = 0
    """Of what is said."""
    items: dict[str, str] = field(default_factory=dict)

    def add(self, ids: Ids) -> None:
        names = list(ids.names())
        self.names += names
        if not ids.assumed:
            self.named += names
        if ids.links:
            self.links[names[-1]] = ids.links
        if ids.said:
            self.said.append((names[-1], ids.said))
            self.characters += len(ids.said)
        if ids.item:
            self.items.setdefault(names[-1], ids.item)


@dataclass(frozen=True, slots=True)
class Saying:
    """What a manifest says of a generation, in JSON, and its digest."""

    text: str
    digest: str


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
        self,
        listed: Iterable[Ids],
        discovered: Iterable[Ids] = (),
        *,
        retry_lost: bool,
        redact: Redact | None = None,
    ) -> Worklist:
        """Add what the manifests list, then what was `discovered`; the held and lost only count.

        A generation that is listed more than once is counted and kept once, as it was first listed.
        With `redact`, what the manifests say of it is kept, too, unless a sidecar has it.
        """
        if retry_lost:
            self._left_alone.discard("lost")
        with sqlite_errors(), self._lock, self._db:
            last = self._db.execute("SELECT max(number) FROM generation").fetchone()[0] or 0
            # A byte for each generation: a set of a million numbers would take 60 times as much.
            held, lost = bytearray(last + 1), set[int]()
            batches = (_batches(each, self._batch) for each in (self._known(listed), discovered))
            for batch in chain.from_iterable(batches):
                if batch.said and redact:
                    self._keep_said(batch.said, redact)
                names = json.dumps(batch.names)
                if _mark(held, self._numbers(names, "held")) < len(batch.names):
                    lost.update(() if retry_lost else self._numbers(names, "lost"))
                    self._keep_the_rest(names, batch)
                self._db.commit()  # a manifest may come slowly, and others want to write meanwhile
            return self._worklist(held.count(1), json.dumps(list(lost)))

    def says(self, generations: Collection[Generation]) -> set[str]:
        """Return the names of those of which manifests say anything that no sidecar has yet."""
        query = "SELECT value FROM json_each(?) WHERE value IN (SELECT name FROM said)"
        names = json.dumps([generation.name for generation in generations])
        with sqlite_errors(), self._lock:
            return {name for (name,) in self._db.execute(query, (names,))}

    def sayings(self, generation: Generation) -> list[Saying]:
        """Return what the manifests say of a generation and no sidecar has yet."""
        with sqlite_errors(), self._lock:
            rows = self._db.execute(_SAYINGS, (generation.name, _SAYINGS_LIMIT)).fetchall()
        return [Saying(*row) for row in rows]

    def held_with_sayings(self, after: Generation | None, limit: int) -> list[Generation]:
        """Return held generations of which manifests say what no sidecar has, by name."""
        with sqlite_errors(), self._lock:
            rows = self._db.execute(
                _HELD_WITH_SAYINGS, (after.name if after else "", limit)
            ).fetchall()
        return [Generation.from_name(name) for (name,) in rows]

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
            self._db.execute(
                "UPDATE OR IGNORE said SET name = ? WHERE name = ?", (actual.name, assumed.name)
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
        return [_entry(row) for row in self._next(limit)]

    def names(self) -> Iterator[list[str]]:
        """Yield the names of all of them, some at a time, in the order of `take`."""
        while rows := self._next(self._batch):
            yield [row[2] for row in rows]

    def set_reported(self) -> None:
        """Note that all losses on the worklist have been reported."""
        with sqlite_errors(), self._lock, self._db:
            self._db.execute(
                "UPDATE generation SET reported = 1 WHERE state = 'lost' AND NOT reported AND"
                " (name IN (SELECT name FROM waiting) OR name IN (SELECT value FROM json_each(?)))",
                (json.dumps(self._unreported),),
            )

    def _keep_said(self, said: list[tuple[str, str]], redact: Redact) -> None:
        """Keep what no sidecar has: of most items all is known, and their digests show it."""
        items = [(name, _digest(text), text) for name, text in said]
        query = (
            "SELECT key FROM json_each(?) CROSS JOIN entry ON name = json_extract(value, '$[0]')"
            " AND digest = json_extract(value, '$[1]')"
        )
        document = json.dumps([item[:2] for item in items])
        known = {number for (number,) in self._db.execute(query, (document,))}
        self._db.executemany(
            "INSERT OR IGNORE INTO said (name, digest, text) VALUES (?, ?, ?)",
            (
                (name, digest, redact(text))
                for number, (name, digest, text) in enumerate(items)
                if number not in known
            ),
        )

    def _holds_any(self, endpoint: str) -> bool:
        # The "+" keeps SQLite from the index of states, by which it would read all that is held.
        query = "SELECT 1 FROM generation WHERE name > ? AND name < ? AND +state = 'held' LIMIT 1"
        return self._db.execute(query, (f"{endpoint}/", f"{endpoint}0")).fetchone() is not None

    def _next(self, limit: int) -> list[_Row]:
        with sqlite_errors(), self._lock:
            rows = self._db.execute(_NEXT, (*self._taken, limit)).fetchall()
        if rows:
            self._taken = rows[-1][:2]
        return rows

    def _numbers(self, names: str, state: str) -> list[int]:
        """Return the numbers of those in a state: in one value, since a row each takes longer.

        The join keeps its order, or each name would be looked for in all of the table.
        """
        query = (
            "SELECT json_group_array(number) FROM json_each(?) CROSS JOIN generation"
            " ON name = value WHERE state = ?"
        )
        numbers: list[int] = json.loads(self._db.execute(query, (names, state)).fetchone()[0])
        return numbers

    def _keep_the_rest(self, names: str, batch: _Batch) -> None:
        """Keep those that are not left alone; SQLite does it, for a row each takes longer."""
        parameters = {
            "names": names,
            "named": json.dumps(batch.named),
            "left_alone": json.dumps(list(self._left_alone)),
        }
        before = self._among_waiting(batch.items)
        self._db.execute(_KEEP_THE_REST, parameters)
        self._db.executemany(
            "UPDATE waiting SET links = coalesce(links, ?) WHERE name = ?",
            ((json.dumps(links), name) for name, links in batch.links.items()),
        )
        self._db.executemany(
            "UPDATE waiting SET item = ? WHERE name = ?",
            ((item, name) for name, item in batch.items.items() if name not in before),
        )

    def _among_waiting(self, names: Collection[str]) -> set[str]:
        """Return those of the names that are on the worklist already."""
        query = "SELECT value FROM json_each(?) CROSS JOIN waiting ON name = value"
        rows = self._db.execute(query, (json.dumps(list(names)),)) if names else ()
        return {name for (name,) in rows}

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
            yield Ids(known.endpoint, (known.id,), said=ids.said)

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


def _batches(listed: Iterable[Ids], size: int) -> Iterator[_Batch]:
    batch = _Batch()
    for ids in listed:
        batch.add(ids)
        if len(batch.names) >= size or batch.characters > _SAID_AT_ONCE:
            yield batch
            batch = _Batch()
    if batch.names:
        yield batch


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _entry(row: _Row) -> Entry:
    rank, _, name, hopeless, assumed, links, item = row
    found = tuple(json.loads(links)) if links else ()
    generation = Generation.from_name(name)
    return Entry(generation, rank <= 0, bool(hopeless), bool(assumed), found, item)
