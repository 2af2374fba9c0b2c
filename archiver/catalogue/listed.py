"""What is known of the generations that ModelsLab itself lists, which it does by ID alone."""

import json
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from archiver.catalogue.database import sqlite_errors
from archiver.generation import LISTED, Generation

if TYPE_CHECKING:
    from archiver.catalogue.queries import State


@dataclass(frozen=True, slots=True)
class Namesake:
    """A generation with the ID of one that is listed: perhaps that one."""

    generation: Generation
    state: "State"
    served_by: tuple[str, ...] = ()
    """The links that gave its payloads, without their queries."""


@dataclass(frozen=True, slots=True)
class Dead:
    """That the links of a listed generation, which have these paths, were dead."""

    paths: tuple[str, ...]
    runs: int
    """On this many runs in a row."""
    checked: str
    """When the last of them found that, in UTC, ISO 8601."""


@dataclass(slots=True)
class Listed:
    """What is known of the generation that is listed with an ID."""

    namesakes: list[Namesake] = field(default_factory=list)
    known_as: Generation | None = None
    """What it proved to be, once its links agreed."""
    dead: Dead | None = None


class ListedTable:
    """What is known of listed generations, in an open catalogue.

    Its methods block; they may be called from any thread.
    """

    def __init__(self, connection: sqlite3.Connection, lock: threading.RLock) -> None:
        self._db = connection
        self._lock = lock

    def of(self, ids: Sequence[str]) -> dict[str, Listed]:
        """Return what is known of each of these IDs."""
        found = defaultdict[str, Listed](Listed)
        with sqlite_errors(), self._lock:
            for endpoint in self._endpoints():
                for name, state, served_by in self._rows(_NAMESAKES, endpoint, ids):
                    one = Generation.from_name(name)
                    served = served_by.split("\n") if served_by else ()
                    links = tuple(each.rpartition(" ")[2] for each in served)  # after its role
                    found[one.id].namesakes.append(Namesake(one, state, links))
            for name, actual in self._rows(_KNOWN_AS, LISTED, ids):
                found[Generation.from_name(name).id].known_as = Generation.from_name(actual)
            for name, paths, runs, checked in self._rows(_DEAD, LISTED, ids):
                dead = Dead(tuple(json.loads(paths)), runs, checked)
                found[Generation.from_name(name).id].dead = dead
        return found

    def set_dead(self, found: Iterable[tuple[Generation, Sequence[str]]]) -> None:
        """Record that all links of these, which have these paths, are dead."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        rows = [(f"{LISTED}/{one.id}", json.dumps(list(paths)), now) for one, paths in found]
        if rows:
            with sqlite_errors(), self._lock, self._db:
                self._db.executemany(_SET_DEAD, rows)
                self._db.executemany(  # an earlier run may have failed to find that out
                    "DELETE FROM generation WHERE name = ? AND state <> 'held'",
                    ((name,) for name, *_ in rows),
                )

    def _endpoints(self) -> list[str]:
        """Return the endpoints that anything is known of: a look at the index for each."""
        endpoints: list[str] = []
        query, after = "SELECT name FROM generation WHERE name > ? ORDER BY name LIMIT 1", ""
        while row := self._db.execute(query, (after,)).fetchone():
            endpoint = Generation.from_name(row[0]).endpoint
            endpoints.append(endpoint)
            after = f"{endpoint}0"  # the character after a slash
        return endpoints

    def _rows(self, query: str, endpoint: str, ids: Iterable[str]) -> sqlite3.Cursor:
        return self._db.execute(query, (json.dumps([f"{endpoint}/{id_}" for id_ in ids]),))


_NAMESAKES = "SELECT name, state, served_by FROM json_each(?) CROSS JOIN generation ON name = value"
_KNOWN_AS = "SELECT name, actual FROM json_each(?) CROSS JOIN known_as ON name = value"
_DEAD = "SELECT name, paths, runs, checked FROM json_each(?) CROSS JOIN dead ON name = value"
_SET_DEAD = (
    "INSERT INTO dead VALUES (?, ?, 1, ?) ON CONFLICT (name) DO UPDATE SET"
    " runs = iif(paths = excluded.paths, runs + 1, 1), paths = excluded.paths,"
    " checked = excluded.checked"
)
