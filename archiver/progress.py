"""What a person sees while the night goes on: bars on a terminal, and log lines beside them."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import stamina
from tqdm import tqdm

from archiver.night import Watch
from archiver.outcome import Archived, Enlisted, Failed, Lost, Outcome, Pending
from archiver.quantity import format_size

_LOG = logging.getLogger(__name__)


class Told(Watch):
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

    def expected(self, count: int) -> None:
        """Show nothing."""

    def received(self, count: int) -> None:
        """Show nothing."""


class Bars(Told):
    """Shows a bar for generations and one for bytes, and tells outcomes above them."""

    def __init__(self, *, generations: bool) -> None:
        self._expected = 0
        self._generations = tqdm(
            unit="", desc="generations", position=0, dynamic_ncols=True, disable=not generations
        )
        self._bytes = tqdm(
            unit="B",
            unit_scale=True,
            desc="bytes",
            position=int(generations),
            dynamic_ncols=True,
            total=0,
        )

    def enlisted(self, enlisted: Enlisted) -> None:
        """Set the first bar's length."""
        super().enlisted(enlisted)
        self._generations.reset(enlisted.to_ask)

    def ended(self, outcome: Outcome) -> None:
        """Move the first bar."""
        super().ended(outcome)
        self._generations.update()

    def expected(self, count: int) -> None:
        """Set the second bar's length."""
        self._expected += count
        self._bytes.total = self._expected
        self._bytes.refresh()

    def received(self, count: int) -> None:
        """Move the second bar."""
        self._bytes.update(count)

    def close(self) -> None:
        """Take the bars away."""
        for bar in (self._bytes, self._generations):
            bar.leave = False
            bar.close()


@contextmanager
def watching(*, bars: bool, generations: bool = True) -> Iterator[Watch]:
    """Show the work on standard error, with bars or without."""
    if not bars:
        yield Told()
        return
    shown = Bars(generations=generations)
    try:
        yield shown
    finally:
        shown.close()


def log_to_stderr(verbosity: int) -> None:
    """Send log lines to standard error, above the bars: 0 warnings, 1 what happens, 2 all."""
    logger = logging.getLogger("archiver")
    logger.setLevel([logging.WARNING, logging.INFO, logging.DEBUG][min(verbosity, 2)])
    logger.addHandler(_AboveBars())
    stamina.instrumentation.set_on_retry_hooks(())  # what is tried again is told in the end


class _AboveBars(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stderr)
