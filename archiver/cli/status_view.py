"""The status of an archive on a terminal: a glance at it, in rows, with colours or without.

No colour says anything that no word says.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import click

from archiver.catalogue.queries import State
from archiver.cli.status_report import FOUND, Running, Status, described, local
from archiver.cli.terminal import fill
from archiver.location import absolute
from archiver.run import Run
from archiver.units import counted, format_duration, format_size

_LABELS = 10
"""The width of the labels, in columns."""
_SHOWN = 5
"""How many generations of a state are named."""
_COLOURS: dict[State, str] = {
    "held": "green", "pending": "yellow", "failed": "red", "lost": "magenta",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """A label, and what there is to say; the label or, if there is one, the mark has a colour."""

    label: str
    text: str
    colour: str = ""
    mark: str = ""


def rows(status: Status) -> Iterator[Row]:
    """Describe where an archive stands."""
    yield Row("archive", absolute(status.archive))
    yield _held(status)
    for state, unfinished in status.unfinished.items():
        if tally := unfinished.tally.count:
            since = local(unfinished.tally.last)
            yield Row(state, f"{tally:,}, the last since {since}", _COLOURS[state])
    yield from _here(status)
    never = f"never checked{' on this machine' if status.here else ''}"
    yield _run("fixity", status.fixity) if status.fixity else Row("fixity", never)
    for number, run in enumerate(status.runs):
        yield _run("" if number else "runs", run, running=bool(status.running))
    if any(unfinished.latest for unfinished in status.unfinished.values()):
        yield Row("", "")
    for state, unfinished in status.unfinished.items():
        for number, known in enumerate(unfinished.latest[:_SHOWN]):
            text = described(known).replace(f"  {state} since", " since", 1)
            yield Row("" if number else state, text, _COLOURS[state])
        if (more := unfinished.tally.count - _SHOWN) > 0:
            yield Row("", f"… and {more:,} more (archiver export lists them all)")


def rows_of_run(running: Running, now: datetime) -> Iterator[Row]:
    """Describe how far a run is."""
    if running.elsewhere:
        yield Row("running", f"{running.name}, {running.process}", "cyan")
    elif running.run:
        took = format_duration((now - running.run.began).total_seconds())
        yield Row("running", f"{running.name} for {took}, {running.process}", "cyan")
    else:
        yield Row("running", f"a run begins or ends, {running.process}", "cyan")
    for state, count in running.found.items():
        yield Row(FOUND[state], f"{count:,}", _COLOURS[state] if count else "")
    holds = running.holdings
    yield Row("held", f"{counted(holds.generations, 'generation')}, {format_size(holds.bytes)}")
    if running.unfinished:
        size = format_size(running.unfinished_bytes)
        yield Row("partial", f"{counted(running.unfinished, 'download')}, {size} until now")


def drawn(rows: Iterable[Row], width: int, *, colours: bool, clip: bool = False) -> list[str]:
    """Return the lines of rows; no word is torn unless they are to be clipped to the width."""
    return [line for row in rows for line in _lines(row, width, colours=colours, clip=clip)]


def _lines(row: Row, width: int, *, colours: bool, clip: bool) -> Iterator[str]:
    mark = f"{row.mark:8}" if row.mark else ""
    label = f"{row.label:{_LABELS}}"
    lines = fill(f"{label}{mark}{row.text}", width, " " * _LABELS)
    for number, text in enumerate(lines):
        line = text[:width] if clip else text
        if colours and not number and line.startswith(label + mark):
            rest = line[len(label) + len(mark) :]
            line = click.style(label, bold=True, fg=None if mark else row.colour or None)
            line += (click.style(mark, fg=row.colour or None) if mark else "") + rest
        yield line


def _here(status: Status) -> Iterator[Row]:
    free, size = format_size(status.disk_free), format_size(status.disk_size)
    if status.here:
        yield Row("records", f"{status.here.state}, {free} of {size} free")
    else:
        yield Row("disk", f"{free} free of {size}")
    if status.running:
        yield Row("running", f"{status.running} (--watch follows it)", "cyan")
    if status.here and status.here.killed:
        yield Row("lease", status.here.killed, "red")


def _held(status: Status) -> Row:
    holds = status.holdings
    if not holds.generations:
        return Row("held", "nothing yet")
    generations, files = counted(holds.generations, "generation"), counted(holds.files, "file")
    size, last = format_size(holds.bytes), local(status.held.last)
    return Row("held", f"{generations} in {files}, {size}, the last since {last}", "green")


def _run(label: str, run: Run, *, running: bool = False) -> Row:
    began = f"{local(run.began)}  {run.command}"
    if run.ended:
        mark = f"exit {run.exit_status}" if run.exit_status else "ok"
        return Row(label, f"{began}: {run.summary}", "red" if run.exit_status else "green", mark)
    if running:
        return Row(label, f"{began}, in progress", "cyan", "…")
    return Row(label, f"{began}: it was killed, or the machine stopped", "red", "no end")
