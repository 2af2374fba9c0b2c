"""What a person is told while the night goes on."""

import logging

from archiver.outcomes import Archived, Enlisted, Failed, Lost, Outcome, Pending
from archiver.progress import Progress
from archiver.units import format_size

_LOG = logging.getLogger(__name__)


class ProgressLog(Progress):
    """Tells each outcome as a log line, and shows no bars."""

    def enlisted(self, enlisted: Enlisted) -> None:
        """Say what the night's list amounts to."""
        _LOG.info(
            "%d to ask for, %d already held, %d known to be lost",
            enlisted.to_ask,
            enlisted.already_held,
            enlisted.known_lost,
        )

    def ended(self, outcome: Outcome) -> None:
        """Say what became of one generation."""
        match outcome:
            case Archived(generation, size, served_by, faults):
                why = "".join(f"; {fault}" for fault in faults)
                links = ", ".join(served_by)
                _LOG.info("archived %s: %s from %s%s", generation, format_size(size), links, why)
            case Pending():
                _LOG.info("%s", outcome)
            case Failed() | Lost():  # the report tells them too
                _LOG.debug("%s", outcome)

    def close(self) -> None:
        """Show nothing."""

    def expected(self, count: int) -> None:
        """Show nothing."""

    def received(self, count: int) -> None:
        """Show nothing."""
