"""What a terminal shows: progress on standard error, and lines no longer than it is wide."""

import logging
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO, TypeVar

from archiver.cli.progress import ProgressLog
from archiver.monitoring.logs import log_to
from archiver.progress import Progress


class Closeable(Protocol):
    """What is shown until it is closed."""

    def close(self) -> None:
        """Remove it."""


Shown = TypeVar("Shown", bound=Closeable)
_FIRST_COLUMN = re.compile(r" *\S+( \S+)* {2,}|  +(?=\S)")


def wrapped(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines, wrapped if standard output is a terminal; no word or link is torn."""
    if not sys.stdout.isatty():
        yield from lines
        return
    width = shutil.get_terminal_size().columns
    for line in lines:
        yield from fill(line, width, _hanging_indent(line, width))


def coloured(stream: TextIO, wanted: bool | None = None) -> bool:
    """Return whether to write colours to a stream: where they are `wanted`, or it is a terminal.

    The environment may say otherwise: NO_COLOR (no-color.org) or CLICOLOR_FORCE
    (bixense.com/clicolors).
    """
    if wanted is not None:
        return wanted
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("CLICOLOR_FORCE", "") not in ("", "0"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def fill(line: str, width: int, indent: str) -> list[str]:
    """Return the lines of one that is wrapped at a width; all but the first are indented."""
    return textwrap.wrap(
        line,
        width,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]


def _hanging_indent(line: str, width: int) -> str:
    """Return the indent of what does not fit: below the second column, where that is not far."""
    column = match.end() if (match := _FIRST_COLUMN.match(line)) else 0
    if 0 < column <= width // 3:
        return " " * column
    return " " * (len(line) - len(line.lstrip()) + 2)


def log_to_terminal() -> None:
    """Log warnings to standard error and, if it is a terminal, what is waited for."""
    log_to(logging.StreamHandler(), 0, watched=sys.stderr.isatty())


@contextmanager
def shown_progress(verbosity: int, *, quiet: bool, generations: bool = True) -> Iterator[Progress]:
    """Log to standard error and, unless `quiet`, show bars if it is a terminal.

    There is a bar for bytes and, where a run has `generations`, one for these.
    """

    def bars() -> Progress:
        from archiver.cli.bars import ProgressBars

        return ProgressBars(generations=generations)

    with shown(verbosity, None if quiet else bars) as progress:
        yield progress or ProgressLog()


@contextmanager
def shown(verbosity: int, bars: Callable[[], Shown] | None) -> Iterator[Shown | None]:
    """Log to standard error and, if it is a terminal, show `bars`; yield them, if any are shown."""
    if not bars or not sys.stderr.isatty():
        log_to(logging.StreamHandler(), verbosity)
        yield None
        return
    from archiver.cli.bars import AboveBars

    log_to(AboveBars(), verbosity, watched=True)
    progress = bars()
    try:
        yield progress
    finally:
        progress.close()
