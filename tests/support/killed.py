"""Run the archiver and kill it, for real, at its n-th step on the disk.

    python -m tests.support.killed < runs

Each line of the input is one run, in JSON: the step, the arguments and where standard error goes.
Each run is a process of its own, forked from this one, which has already imported everything; its
exit status is printed as a line.

A step is a call that changes the disk or makes a change durable: one of `os` or `io`, or a
statement of SQLite. With `bucket` in the input it is a request to a store, before it is sent and
once its response has come; leases go stale after a second then. The process sends itself SIGKILL
just before that step, so nothing is flushed, closed or cleaned up. Where there are fewer steps, and
for step 0, the run ends by itself.
"""

import io
import json
import os
import signal
import sqlite3
import sys
import threading
from typing import Any

from archiver.archive import partial_file
from archiver.cli import backup, sync  # noqa: F401 (everything is imported before a fork)
from archiver.cli import main as cli
from archiver.pipeline import workers  # noqa: F401
from archiver.sync import spool
from archiver.sync import sync as syncing  # noqa: F401
from tests.support.failing import arm_calls, stepping

CALLS = [
    "fsync", "rename", "replace", "truncate", "ftruncate", "mkdir", "rmdir", "unlink", "write",
]  # fmt: skip


class Steps:
    """Counts steps, and kills the process at one of them."""

    def __init__(self, last: int) -> None:
        self._last = last
        self._taken = 0
        self._lock = threading.Lock()

    def take(self) -> None:
        """Count one step; do not return from the last."""
        with self._lock:
            self._taken += 1
            if self._taken == self._last:
                os.kill(os.getpid(), signal.SIGKILL)
                signal.pause()


def main() -> None:
    """Fork a process for each run in the input."""
    for line in sys.stdin:
        run = json.loads(line)
        if (process := os.fork()) == 0:
            os.dup2(os.open(run["stderr"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
            sys.argv[1:] = run["arguments"]
            if run.get("bucket"):
                arm_requests(Steps(run["step"]))
            else:
                arm(Steps(run["step"]))
            cli.main()
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def arm_requests(steps: Steps) -> None:
    """Count a step before each request to a store, and one after it."""
    from aiobotocore import client  # noqa: PLC0415 (an extra)

    from archiver.bucket import lease  # noqa: PLC0415

    lease.TTL = 1.0
    calling: Any = client.AioBaseClient
    request = calling._make_api_call

    async def counted(*args: Any, **kwargs: Any) -> Any:
        steps.take()
        try:
            return await request(*args, **kwargs)
        finally:
            steps.take()

    calling._make_api_call = counted


def arm(steps: Steps) -> None:
    """Count a step before everything that changes the disk."""
    arm_calls(CALLS, steps.take)
    plain_open = io.open

    def opening(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if set(mode) & set("wax+"):
            steps.take()
        return plain_open(file, mode, *args, **kwargs)

    io.open = opening  # what pathlib opens files with
    spool.Spool.write = stepping(spool.Spool.write, steps.take)  # type: ignore[method-assign]
    partial_file.PartialFile.write = stepping(partial_file.PartialFile.write, steps.take)  # type: ignore[method-assign]

    class Connection(sqlite3.Connection):
        def execute(self, *args: Any) -> sqlite3.Cursor:
            steps.take()
            return super().execute(*args)

        def executemany(self, *args: Any) -> sqlite3.Cursor:
            steps.take()
            return super().executemany(*args)

        def __exit__(self, *args: Any) -> Any:
            steps.take()
            return super().__exit__(*args)

    connect = sqlite3.connect
    sqlite3.connect = lambda *args, **kwargs: connect(*args, factory=Connection, **kwargs)  # type: ignore[assignment]


if __name__ == "__main__":
    main()
