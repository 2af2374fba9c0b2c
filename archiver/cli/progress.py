"""Progress of a run as log lines."""

import logging

from archiver.outcomes import (
    Archived,
    DeadLinks,
    Duplicate,
    Failed,
    Lost,
    Outcome,
    Pending,
    Unfinished,
    Worklist,
)
from archiver.progress import Silent
from archiver.units import format_size

_LOG = logging.getLogger(__name__)


class ProgressLog(Silent):
    """Logs the worklist and each outcome, and shows no bars."""

    def discovered(self, count: int, page: int, last: int | None) -> None:
        """Log how far the list of one's own generations is read."""
        of = f" of {last:,}" if last else ""
        _LOG.info("page %d%s of your generations: %d so far", page, of, count)

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
            case Archived() if not _LOG.isEnabledFor(logging.INFO):
                pass
            case Archived(generation, size, served_by, faults):
                links = ", ".join(served_by)
                why = "".join(f"; {fault}" for fault in faults)
                _LOG.info("archived %s: %s from %s%s", generation, format_size(size), links, why)
            case Pending() | Unfinished() | Duplicate() | DeadLinks():
                _LOG.info("%s", outcome)
            case Failed() | Lost():  # the report has them too
                _LOG.debug("%s", outcome)
