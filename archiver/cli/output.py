"""What every command says, to a person or to a program: meanwhile, and in the end."""

import json
import logging
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias

import click

from archiver.cli.progress import ProgressLog
from archiver.fixity.report import FixityReport
from archiver.monitoring.logs import log_to
from archiver.outcomes import Report
from archiver.progress import Progress

Options: TypeAlias = dict[str, Any]
"""What was said on the command line, by the names of the options."""
_FIRST_COLUMN = re.compile(r" *\S+( \S+)* {2,}|  +(?=\S)")


@contextmanager
def watching(options: Options, *, generations: bool = True) -> Iterator[Progress]:
    """Tell log lines on standard error, and show bars there if a person is looking."""
    if options["quiet"] or not sys.stderr.isatty():
        log_to(logging.StreamHandler(), options["verbose"])
        yield ProgressLog()
        return
    from archiver.cli.bars import AboveBars, ProgressBars  # noqa: PLC0415 (cron needs none)

    log_to(AboveBars(), options["verbose"])
    bars = ProgressBars(generations=generations)
    try:
        yield bars
    finally:
        bars.close()


def wrapped(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines, no longer than a person's terminal is wide, if one is looking."""
    if not sys.stdout.isatty():
        yield from lines
        return
    width = shutil.get_terminal_size().columns
    for line in lines:
        yield from textwrap.wrap(
            line,
            width,
            subsequent_indent=_hanging(line, width),
            break_long_words=False,  # a link that is torn cannot be followed
            break_on_hyphens=False,
        ) or [""]


def _hanging(line: str, width: int) -> str:
    """Return the indent of what does not fit: below the second column, where there is room."""
    column = match.end() if (match := _FIRST_COLUMN.match(line)) else 0
    beside = 0 < column <= width // 3
    return " " * (column if beside else len(line) - len(line.lstrip()) + 2)


def tell(report: Report | FixityReport, options: Options) -> None:
    """Cron is told nothing when all is well; a person at a terminal is."""
    if options["as_json"]:
        click.echo(json.dumps(report.as_json(), indent=2))
    wanted = sys.stderr.isatty() or options["verbose"]
    if report.noteworthy or (wanted and not options["quiet"]):
        with suppress(OSError):  # who does not listen changes no result
            click.echo("\n".join(report.lines()), err=True)
