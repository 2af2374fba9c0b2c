"""The history of an archive: a row for each run, begun when it begins and closed when it ends.

A run that was killed leaves a row without an end.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Protocol

from archiver.catalogue.database import sqlite_errors
from archiver.errors import ArchiverError, StorageError
from archiver.run import Command, Run
from archiver.units import printable


class Reporting(Protocol):
    """What a run's own report must tell of it."""

    ending: ArchiverError | None

    def as_run(self, command: Command, began: datetime) -> Run:
        """Return what is to be remembered."""


class History:
    """The runs in an open catalogue, the last of them first."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    @contextmanager
    def recorded(self, command: Command, report: Reporting) -> Iterator[None]:
        """Record a run from its beginning to its end, however it ends, with what `report` says.

        Raises:
            StorageError: if its beginning cannot be recorded. Its end is, or not: that changes
                nothing.
        """
        began = datetime.now(UTC)
        number = self.add(Run(command, began))
        try:
            yield
        except ArchiverError as error:
            report.ending = report.ending or error
            self._close(number, report.as_run(command, began))
            raise
        except Exception as bug:
            summary = f"a bug: {type(bug).__name__}"
            self._close(number, Run(command, began, datetime.now(UTC), 1, summary=summary))
            raise
        self._close(number, report.as_run(command, began))

    def add(self, run: Run) -> int:
        """Remember a run; return its number."""
        with sqlite_errors(), self._db:
            query = "INSERT INTO run VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)"
            return self._db.execute(query, (run.command, *_columns(run))).lastrowid or 0

    def last(self, limit: int, *commands: Command) -> list[Run]:
        """Return the last runs, or the last of these commands."""
        with sqlite_errors():
            rows = self._db.execute(
                "SELECT command, began, ended, exit_status, counts, bytes, summary, version"
                " FROM run WHERE :these = '[]' OR command IN (SELECT value FROM json_each(:these))"
                " ORDER BY number DESC LIMIT :limit",
                {"these": json.dumps(commands), "limit": limit},
            ).fetchall()
        return [_run(row) for row in rows]

    def last_success(self, command: Command) -> datetime | None:
        """Return when the last run of a command with exit status 0 ended."""
        query = "SELECT max(ended) FROM run WHERE command = ? AND exit_status = 0"
        with sqlite_errors():
            (ended,) = self._db.execute(query, (command,)).fetchone()
        return datetime.fromisoformat(ended) if ended else None

    def _close(self, number: int, run: Run) -> None:
        with suppress(StorageError), sqlite_errors(), self._db:
            self._db.execute(
                "UPDATE run SET began = ?, ended = ?, exit_status = ?, counts = ?, bytes = ?,"
                " summary = ?, version = ? WHERE number = ?",
                (*_columns(run), number),
            )


def _columns(run: Run) -> tuple[object, ...]:
    return (
        run.began.isoformat(timespec="seconds"),
        run.ended and run.ended.isoformat(timespec="seconds"),
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
