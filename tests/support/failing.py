"""Run the archiver with a disk that fails it at its n-th step, as the system would say it.

    python failing.py N ERROR once|onward archiver-arguments...

A step is each call that needs the disk to take something: what `os` and `io` offer for that, each
write to a file, and each statement that SQLite carries out. Step N raises the error of that name
(ENOSPC, EIO, …), and with `onward` so do all that follow. The last line on standard output says
how many steps there were.
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
SQLITE_SAYS = {
    "ENOSPC": "database or disk is full",
    "EDQUOT": "database or disk is full",
    "EIO": "disk I/O error",
    "EROFS": "attempt to write a readonly database",
}


class Steps:
    """Counts steps, and lets one of them fail, or all from there on."""

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
        """Count one step of the system's."""
        if self._fails():
            number = getattr(errno, self._error)
            raise OSError(number, os.strerror(number))

    def take_in_sqlite(self) -> None:
        """Count one step of SQLite's."""
        if self._fails():
            raise sqlite3.OperationalError(SQLITE_SAYS[self._error])


def arm_calls(names: Sequence[str], take: Callable[[], None]) -> None:
    """Let these calls of `os`, and opening a file to write to it, take a step before."""
    for name in names:
        setattr(os, name, stepping(getattr(os, name), take))
    plain_open = os.open

    def opening(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            take()
        return plain_open(path, flags, *args, **kwargs)

    os.open = opening


def stepping(function: Callable[..., Any], take: Callable[[], None]) -> Callable[..., Any]:
    """Return `function`, with a step before each call."""

    def call(*args: Any, **kwargs: Any) -> Any:
        take()
        return function(*args, **kwargs)

    return call


def arm_files(steps: Steps) -> None:
    """Let what changes files take steps."""
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

    io.open = opening  # type: ignore[assignment]  # what pathlib opens files with


def arm_sqlite(steps: Steps) -> None:
    """Let each statement and each commit take a step."""

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
