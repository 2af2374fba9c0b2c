"""The history of an archive: a row for each run, added when it begins and closed when it ends.

A run that was killed leaves a row without an end.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial

from archiver.catalogue.database import sqlite_errors
from archiver.errors import ArchiverError, StorageError
from archiver.run import Command, Run
from archiver.units import printable


class History:
    """The runs in an open catalogue, the last of them first."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    @contextmanager
    def recording(self, command: Command, began: datetime) -> Iterator[Callable[[Run], None]]:
        """Record a run from its beginning to its end, however it ends.

        Yield the function to record what came of it with.

        Raises:
            StorageError: if its beginning cannot be recorded. If its end cannot, nothing changes.
        """
        number = self.add(Run(command, began))
        try:
            yield partial(self._close, number)
        except ArchiverError as error:
            self._close(number, _failed(command, began, error.exit_status, f"{error}"))
            raise
        except Exception as bug:
            self._close(number, _failed(command, began, 1, f"a bug: {type(bug).__name__}"))
            raise

    def add(self, run: Run) -> int:
        """Remember a run; return its number.

        Raises:
            StorageError: if the disk does not take it.
        """
        with sqlite_errors(), self._db:
            query = "INSERT INTO run VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)"
            return self._db.execute(query, (run.command, *_columns(run))).lastrowid or 0

    def last(self, limit: int, *commands: Command) -> list[Run]:
        """Return the last runs, or the last of these commands.

        Raises:
            StorageError: if they cannot be read.
        """
        with sqlite_errors():
            rows = self._db.execute(
                "SELECT command, began, ended, exit_status, counts, bytes, summary, version"
                " FROM run WHERE :these = '[]' OR command IN (SELECT value FROM json_each(:these))"
                " ORDER BY number DESC LIMIT :limit",
                {"these": json.dumps(commands), "limit": limit},
            ).fetchall()
        return [_run(row) for row in rows]

    def last_success(self, command: Command) -> datetime | None:
        """Return when the last run of a command with exit status 0 ended, in UTC.

        One in the future does not count: the clock was ahead, and an alarm that waits for the
        success to grow old would never go off.

        Raises:
            StorageError: if it cannot be read.
        """
        query = "SELECT max(ended) FROM run WHERE command = ? AND exit_status = 0 AND ended <= ?"
        with sqlite_errors():
            now = datetime.now(UTC).isoformat()
            (ended,) = self._db.execute(query, (command, now)).fetchone()
        return datetime.fromisoformat(ended) if ended else None

    def _close(self, number: int, run: Run) -> None:
        with suppress(StorageError), sqlite_errors(), self._db:
            self._db.execute(
                "UPDATE run SET began = ?, ended = ?, exit_status = ?, counts = ?, bytes = ?,"
                " summary = ?, version = ? WHERE number = ?",
                (*_columns(run), number),
            )


def _failed(command: Command, began: datetime, exit_status: int, summary: str) -> Run:
    return Run(command, began, datetime.now(UTC), exit_status, summary=summary)


def _columns(run: Run) -> tuple[object, ...]:
    return (
        run.began.isoformat(),
        run.ended and run.ended.isoformat(),
        run.exit_status,
        json.dumps(dict(run.counts)),
        run.bytes,
        printable(run.summary),
        run.version,
    )


def _run(row: tuple[Command, str, str | None, int | None, str, int, str, str]) -> Run:
    command, began, ended, exit_status, counts, size, summary, version = row
    times = datetime.fromisoformat(began), datetime.fromisoformat(ended) if ended else None
    return Run(command, *times, exit_status, json.loads(counts), size, summary, version)
