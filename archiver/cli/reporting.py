"""A run as the outside sees it: its progress, its report, its log file, metrics and pings."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import click

from archiver.catalogue.store import Catalogue
from archiver.cli.terminal import shown_progress
from archiver.errors import ArchiverError, NotAnArchive, StorageError
from archiver.location import Location
from archiver.monitoring.logs import log_summary
from archiver.progress import Progress
from archiver.run import Command, Run
from archiver.stores import layout_of

if TYPE_CHECKING:
    from archiver.monitoring.log_file import Format
    from archiver.monitoring.ping import PingUrl


@dataclass(frozen=True, slots=True)
class ReportingOptions:
    """What to report of a run, and where."""

    verbose: int = 0
    quiet: bool = False
    as_json: bool = False
    log_file: Path | None = None
    log_format: "Format" = "text"
    metrics: Path | None = None
    ping: "PingUrl | None" = None


class RunReport(Protocol):
    """The report of a run: `Report` or `FixityReport`."""

    @property
    def run(self) -> Run:
        """What is remembered of the run."""

    @property
    def exit_status(self) -> int:
        """The process's exit status."""

    @property
    def noteworthy(self) -> bool:
        """Whether it is printed even where silence means that all is well."""

    def lines(self) -> Iterator[str]:
        """Describe the run."""

    def as_json(self) -> dict[str, object]:
        """Return the report for `--json`."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a command does in an archive, and its report where it cannot begin."""

    command: Command
    archive: Location
    work: Callable[[Progress], RunReport]
    failed_to_begin: Callable[[datetime, ArchiverError], RunReport]


def perform(job: Job, options: ReportingOptions) -> int:
    """Do the work of a command and report it; return the exit status.

    Raises:
        ArchiverError: if it could not begin, which is reported but not yet printed.
    """
    if options.log_file:
        from archiver.monitoring.log_file import log_to_file

        log_to_file(options.log_file, options.log_format, options.verbose)
    monitors = _Monitors(job, options)
    monitors.begin()
    try:
        report = _work(job, options)
        _print(report, options)
    except ArchiverError as error:
        failed = job.failed_to_begin(monitors.began, error)
        if not isinstance(error, NotAnArchive):  # else it is not this run's: see its shard
            _remember(job.archive, failed.run)
        monitors.end(failed.run, list(failed.lines()))
        if options.as_json:
            click.echo(json.dumps(failed.as_json(), indent=2))
        raise
    except (KeyboardInterrupt, Exception) as error:
        run = _broken_off(job.command, monitors.began, error)
        monitors.end(run, [run.summary])
        raise
    monitors.end(report.run, list(report.lines()))
    return report.exit_status


def _work(job: Job, options: ReportingOptions) -> RunReport:
    has_generations = job.command not in ("verify", "sync")
    with shown_progress(
        options.verbose, quiet=options.quiet, generations=has_generations
    ) as progress:
        return job.work(progress)


def _print(report: RunReport, options: ReportingOptions) -> None:
    """Print a report: nothing when all is well, as cron wants it, unless a person is looking."""
    if options.as_json:
        click.echo(json.dumps(report.as_json(), indent=2))
    wanted = (sys.stderr.isatty() or options.verbose) and not options.quiet
    if report.noteworthy or wanted:
        with suppress(OSError):  # a closed standard error changes no result
            click.echo("\n".join(report.lines()), err=True)


def _remember(archive: Location, run: Run) -> None:
    """Add a run that failed to begin to the history, unless it is there or there is none.

    Otherwise the metrics of the next run, of another command, would show the run before it.
    """
    path = layout_of(archive).catalogue
    if not Catalogue.is_writable(path):
        return
    with suppress(ArchiverError), closing(Catalogue.open(path)) as catalogue:
        latest = catalogue.history.last(1, run.command)
        if all(earlier.began < run.began for earlier in latest):
            catalogue.history.add(run)


def _broken_off(command: Command, began: datetime, error: BaseException) -> Run:
    """Return a run that has no report: it was interrupted, or there is a bug."""
    match error:
        case KeyboardInterrupt():
            status, summary = 130, "interrupted"
        case OSError():
            status, summary = 74, f"the disk failed: {error.strerror or error}"
        case _:
            status, summary = 1, f"a bug: {type(error).__name__}"
    return Run(command, began, datetime.now(UTC), status, summary=summary)


class _Monitors:
    """Writes a run's beginning and end to its log file, its metrics and the URL to ping."""

    def __init__(self, job: Job, options: ReportingOptions) -> None:
        self.began = datetime.now(UTC)
        self._job = job
        self._metrics = options.metrics
        self._pinger = None
        if options.ping:
            from archiver.monitoring.ping import Pinger

            self._pinger = Pinger(options.ping)

    def begin(self) -> None:
        log_summary(f"{self._job.command} begins in {self._job.archive}", wrong=False)
        if self._pinger:
            self._pinger.start()

    def end(self, run: Run, lines: Sequence[str]) -> None:
        for line in lines:
            log_summary(line, wrong=bool(run.exit_status))
        log_summary(f"{run.command} ends with exit status {run.exit_status}", wrong=False)
        if self._metrics:
            _write_metrics(self._metrics, self._job.archive, run)
        if self._pinger:
            self._pinger.end(run.exit_status or 0, "\n".join(lines))


def _write_metrics(path: Path, archive: Location, run: Run) -> None:
    from archiver.monitoring.metrics import look, write

    try:
        write(path, look(archive, run))
    except StorageError as error:
        click.echo(f"archiver: no metrics: {error}", err=True)
