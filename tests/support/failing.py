"""Run the archiver with a disk that fails at the n-th step, with the system's own errors.

    python -m tests.support.failing N ERROR once|onward archiver-arguments...

A step is a call that changes the disk: one of `os` or `io`, a write to a file, or a statement of
SQLite. Step N raises the error of that name (ENOSPC, EIO, …), and with `onward` so do all that
follow. The last line on standard output is the number of steps.
"""

import atexit
import errno
import io
import os
import sqlite3
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

from archiver.cli import backup  # noqa: F401 (a module imported later might be compiled)
from archiver.cli import main as cli
from archiver.pipeline import workers  # noqa: F401

CALLS = [
    "fsync", "rename", "replace", "truncate", "ftruncate", "pwrite", "mkdir", "rmdir", "unlink",
    "write",
]  # fmt: skip
SQLITE_MESSAGES = {
    "ENOSPC": "database or disk is full",
    "EDQUOT": "database or disk is full",
    "EIO": "disk I/O error",
    "EROFS": "attempt to write a readonly database",
}


class Steps:
    """Counts steps, and makes one of them fail, or all from there on."""

    def __init__(self, first: int, error: str, *, onward: bool) -> None:
        self.taken = 0
        self._first = first
        self._error = error
        self._onward = onward
        self._lock = threading.Lock()

    def _fails(self) -> bool:
        with self._lock:
            self.taken += 1
            return self.taken == self._first or (self._onward and self.taken > self._first)

    def take(self) -> None:
        """Count one system call."""
        if self._fails():
            number = getattr(errno, self._error)
            raise OSError(number, os.strerror(number))

    def take_in_sqlite(self) -> None:
        """Count one step of SQLite."""
        if self._fails():
            raise sqlite3.OperationalError(SQLITE_MESSAGES[self._error])


def arm_calls(names: Sequence[str], take: Callable[[], None]) -> None:
    """Count a step before each of these calls of `os`, and before a file is opened for writing."""
    for name in names:
        setattr(os, name, stepping(getattr(os, name), take))
    plain_open = os.open

    def opening(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            take()
        return plain_open(path, flags, *args, **kwargs)

    os.open = opening


def stepping(function: Callable[..., Any], take: Callable[[], None]) -> Callable[..., Any]:
    """Return `function`, with a step counted before each call."""

    def call(*args: Any, **kwargs: Any) -> Any:
        take()
        return function(*args, **kwargs)

    return call


def arm_files(steps: Steps) -> None:
    """Count a step before each change to a file."""
    arm_calls(CALLS, steps.take)
    plain_open = io.open

    class FileIO(io.FileIO):
        def write(self, data: Any) -> int:
            steps.take()
            return super().write(data)

        def truncate(self, size: int | None = None) -> int:
            steps.take()
            return super().truncate(size)

    def opening(
        file: Any, mode: str = "r", buffering: int = -1, encoding: str | None = None, *args: Any,
        **kwargs: Any,
    ) -> Any:  # fmt: skip
        if not set(mode) & set("wax+"):
            return plain_open(file, mode, buffering, encoding, *args, **kwargs)
        steps.take()
        raw = FileIO(file, mode.replace("b", "").replace("t", ""))
        if buffering == 0:
            return raw
        buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding, *args, **kwargs)

    io.open = opening  # what pathlib opens files with


def arm_sqlite(steps: Steps) -> None:
    """Count a step before each statement and each commit."""

    class Connection(sqlite3.Connection):
        def execute(self, *args: Any) -> sqlite3.Cursor:
            steps.take_in_sqlite()
            return super().execute(*args)

        def executemany(self, *args: Any) -> sqlite3.Cursor:
            steps.take_in_sqlite()
            return super().executemany(*args)

        def executescript(self, *args: Any) -> sqlite3.Cursor:
            steps.take_in_sqlite()
            return super().executescript(*args)

        def __exit__(self, *args: Any) -> Any:
            if args[0] is None:
                try:
                    steps.take_in_sqlite()
                except sqlite3.OperationalError:
                    self.rollback()  # as when a commit fails
                    raise
            return super().__exit__(*args)

    connect = sqlite3.connect

    def connecting(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        steps.take_in_sqlite()
        return connect(*args, factory=Connection, **kwargs)

    sqlite3.connect = connecting  # type: ignore[assignment]


def main() -> None:
    """Arm the steps and run."""
    first, error, how = (sys.argv.pop(1) for _ in range(3))
    steps = Steps(int(first), error, onward=how == "onward")
    arm_files(steps)
    arm_sqlite(steps)
    atexit.register(lambda: print(steps.taken))
    cli.main()


if __name__ == "__main__":
    main()
