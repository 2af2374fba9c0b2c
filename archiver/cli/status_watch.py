"""Following a run from outside: without the lock, and in nobody's way."""

import shutil
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from archiver.cli.status_report import Running, follow
from archiver.cli.status_view import drawn, rows_of_run
from archiver.location import Location
from archiver.units import format_size

_INTERVAL = 1.0
_INTERVAL_OF_BUCKET = 5.0
"""How often to look, in seconds."""


def runs(archive: Location) -> Iterator[Running]:
    """Yield how far the run is that holds an archive, until it ends: about once a second.

    In a bucket every look is some requests, and there are fewer.

    Raises:
        NotAnArchive: if there is no archive.
        StorageError: if its records cannot be read.
    """
    while running := follow(archive):
        yield running
        time.sleep(_INTERVAL if isinstance(archive, Path) else _INTERVAL_OF_BUCKET)


class Screen:
    """Shows a run in place: what was shown before is overwritten."""

    def __init__(self, out: TextIO, *, colours: bool) -> None:
        self._out = out
        self._colours = colours
        self._height = 0

    def show(self, running: Running) -> None:
        """Draw it as it is now; on a terminal that is too low, the beginning."""
        size = shutil.get_terminal_size()
        rows = rows_of_run(running, datetime.now(UTC))
        lines = drawn(rows, size.columns - 1, colours=self._colours, clip=True)
        self.clear()
        for line in lines[: max(size.lines - 1, 1)]:
            self._out.write(f"{line}\n")
            self._height += 1
        self._out.flush()

    def clear(self) -> None:
        """Remove what is shown."""
        if self._height:
            self._out.write(f"\x1b[{self._height}A\r\x1b[J")
        self._height = 0


class Lines:
    """Prints a line each time something has changed: for a log, or a program."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._last = ""

    def show(self, running: Running) -> None:
        """Print a line, if it is another one."""
        holds = running.holdings
        line = (
            f"{running.name}: {running.counts}; {holds.generations:,} held,"
            f" {format_size(holds.bytes)}"
        )
        if line != self._last:
            self._out.write(f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S}  {line}\n")
            self._out.flush()
        self._last = line

    def clear(self) -> None:
        """Leave what is printed."""


def watch(archive: Location, *, colours: bool) -> Running | None:
    """Follow a run to its end on standard output; return how far it was then, if there was one.

    Raises:
        NotAnArchive: if there is no archive.
        StorageError: if its records cannot be read.
    """
    out = sys.stdout
    shown = Screen(out, colours=colours) if out.isatty() else Lines(out)
    last = None
    for running in runs(archive):
        shown.show(running)
        if running.run or not last:  # a moment before its end it is recorded as ended
            last = running
    shown.clear()
    return last
