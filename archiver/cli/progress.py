"""Progress of a run on standard error: log lines, and bars where it is a terminal."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from archiver.monitoring.logs import log_to
from archiver.outcomes import Archived, Failed, Lost, Outcome, Pending, Worklist
from archiver.progress import Progress, Silent
from archiver.units import format_size

_LOG = logging.getLogger(__name__)


class ProgressLog(Silent):
    """Logs the worklist and each outcome, and shows no bars."""

    def planned(self, worklist: Worklist) -> None:
        """Log what there is to do."""
        _LOG.info(
            "%d to fetch, %d already held, %d known lost",
            worklist.to_fetch,
            worklist.already_held,
            worklist.known_lost,
        )

    def finished(self, outcome: Outcome) -> None:
        """Log an outcome."""
        match outcome:
            case Archived(generation, size, served_by, faults):
                links = ", ".join(served_by)
                why = "".join(f"; {fault}" for fault in faults)
                _LOG.info("archived %s: %s from %s%s", generation, format_size(size), links, why)
            case Pending():
                _LOG.info("%s", outcome)
            case Failed() | Lost():  # the report has them too
                _LOG.debug("%s", outcome)


@contextmanager
def shown_progress(verbosity: int, *, quiet: bool, generations: bool = True) -> Iterator[Progress]:
    """Log to standard error and, unless `quiet`, show bars if it is a terminal.

    There is a bar for bytes and, where a run has `generations`, one for these.
    """
    if quiet or not sys.stderr.isatty():
        log_to(logging.StreamHandler(), verbosity)
        yield ProgressLog()
        return
    from archiver.cli.bars import AboveBars, ProgressBars

    log_to(AboveBars(), verbosity)
    bars = ProgressBars(generations=generations)
    try:
        yield bars
    finally:
        bars.close()
