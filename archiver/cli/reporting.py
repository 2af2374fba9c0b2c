"""What is done around a run that cron starts: it is logged, watched over, and told of."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import click

from archiver.catalogue.store import Catalogue
from archiver.cli.output import Options, tell, watching
from archiver.errors import ArchiverError, StorageError
from archiver.fixity.report import FixityReport
from archiver.monitoring.logs import log_summary, log_to_file
from archiver.outcomes import Report
from archiver.progress import Progress
from archiver.run import Command, Holdings, Run

if TYPE_CHECKING:
    from archiver.monitoring.ping import Pinger

R = TypeVar("R", Report, FixityReport)


def conduct(options: Options, command: Command, blank: R, work: Callable[[Progress], R]) -> int:
    """Do the work of a command and tell of it; return the exit status.

    `blank` is a report of nothing: where the work cannot even begin, it says why.

    Raises:
        ArchiverError: what `work` raised, when everybody but the person has been told.
    """
    if options["log_file"]:
        log_to_file(options["log_file"], options["log_format"], options["verbose"])
    with _reported(options, command) as reporter:
        try:
            with watching(options, generations=command != "verify") as progress:
                report = work(progress)
        except ArchiverError as error:
            blank.ending = error
            reporter.ended(blank.as_run(command, reporter.began), blank)
            if options["as_json"]:
                click.echo(json.dumps(blank.as_json(), indent=2))
            raise
        tell(report, options)
        reporter.ended(report.as_run(command, reporter.began), report)
        return report.exit_status


class _Reporter:
    """Tells the log file, Prometheus and a watcher on the network how a run begins and ends."""

    def __init__(self, options: Options, command: Command) -> None:
        self.began = datetime.now(UTC)
        self._options = options
        self._command = command
        self._pinger = _pinger(options)
        self._told = False

    def begin(self) -> None:
        log_summary(f"{self._command} begins in {self._options['archive']}", wrong=False)
        if self._pinger:
            self._pinger.start()

    def ended(self, run: Run, report: Report | FixityReport | None = None) -> None:
        lines = list(report.lines()) if report else [run.summary]
        self._told = True
        for line in lines:
            log_summary(line, wrong=bool(run.exit_status))
        log_summary(f"{self._command} ends with exit status {run.exit_status}", wrong=False)
        self._write_metrics(run)
        if self._pinger:
            self._pinger.end(run.exit_status or 0, "\n".join(lines))

    def broke_off(self, error: BaseException) -> None:
        """Tell of what no report tells: an interruption, or a bug."""
        status = 130 if isinstance(error, KeyboardInterrupt) else 1
        summary = "interrupted" if status == 130 else f"a bug: {type(error).__name__}"
        if not self._told:
            self.ended(Run(self._command, self.began, datetime.now(UTC), status, summary=summary))

    def _write_metrics(self, run: Run) -> None:
        if not self._options["metrics"]:
            return
        from archiver.monitoring.metrics import write  # noqa: PLC0415 (only who wants it waits for it)

        archive = str(self._options["archive"].absolute())
        try:
            write(self._options["metrics"], archive, run, self._holdings())
        except StorageError as error:
            click.echo(f"archiver: no metrics: {error}", err=True)

    def _holdings(self) -> Holdings | None:
        with suppress(ArchiverError), closing(Catalogue.look(self._options["archive"])) as known:
            return known.queries().holdings()
        return None


@contextmanager
def _reported(options: Options, command: Command) -> Iterator[_Reporter]:
    reporter = _Reporter(options, command)
    reporter.begin()
    try:
        yield reporter
    except ArchiverError:
        raise
    except (KeyboardInterrupt, Exception) as error:
        reporter.broke_off(error)
        raise


def _pinger(options: Options) -> "Pinger | None":
    if not options["ping"]:
        return None
    from archiver.monitoring.ping import Pinger  # noqa: PLC0415

    return Pinger(options["ping"])
