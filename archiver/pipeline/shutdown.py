"""Shutdown: what ends a run before its worklist is done, and how it ends cleanly."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from archiver.errors import Interrupted
from archiver.progress import Progress
from archiver.run import Completed, Ended, Skipped, Stopped, TimeUp

_LOG = logging.getLogger(__name__)
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Shutdown:
    """Ends a run: `drain` starts nothing more, `abort` cancels what is under way.

    How the run ended is in `ended`.
    """

    def __init__(
        self,
        drain: Callable[[], None],
        abort: Callable[[], None],
        progress: Progress,
        grace: float,
    ) -> None:
        self.ended: Ended = Completed()
        self._drain = drain
        self._abort = abort
        self._progress = progress
        self._grace = grace
        self._interrupted = False

    def note(self, ended: Ended) -> None:
        """Note a reason: an error counts most, then whatever came first."""
        if isinstance(self.ended, Stopped):
            return
        if isinstance(ended, Stopped) or isinstance(self.ended, Completed):
            self.ended = ended

    def drain(self, ended: Ended) -> None:
        """Start nothing more; downloads go on, for their links may die."""
        self.note(ended)
        self._drain()

    def abort(self, ended: Ended) -> None:
        """Start nothing more, and cancel what is under way."""
        self.drain(ended)
        self._abort()

    def drain_in_time(self, ended: Ended) -> None:
        """Start nothing more, and cancel what is still under way after the grace period."""
        interrupted = isinstance(ended, Stopped)
        _LOG.log(
            logging.WARNING if interrupted else logging.INFO,
            "ending: downloads have %.0f s to finish%s",
            self._grace,
            "; a second signal stops them at once" if interrupted else "",
        )
        self.drain(ended)
        asyncio.get_running_loop().call_later(self._grace, self._abort)

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """End the run cleanly on SIGINT and SIGTERM, and at once on the second."""
        with handling_signals(self._interrupt):
            yield

    @contextmanager
    def after(self, max_time: float | None, reason: Callable[[], Ended]) -> Iterator[None]:
        """End the run cleanly after `max_time` seconds, if that is given, for this reason."""
        if max_time is None:
            yield
            return
        loop = asyncio.get_running_loop()
        timer = loop.call_later(max_time, lambda: self.drain_in_time(reason()))
        try:
            yield
        finally:
            timer.cancel()

    def _interrupt(self, number: int) -> None:
        """Leave at once on the second signal: recovery loses nothing."""
        if self._interrupted:
            self._progress.close()
            _LOG.warning("stopped at once: what is finished is held, the next run does the rest")
            os._exit(128 + number)
        self._interrupted = True
        self.drain_in_time(Stopped(Interrupted(number)))


@contextmanager
def handling_signals(handle: Callable[[int], object]) -> Iterator[None]:
    """Call `handle` with the number of each SIGINT and SIGTERM, between two steps of the loop."""
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, handle, number)
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


def without_response(ended: Ended) -> Ended:
    """Return how a run without a single response ended: more time would have brought no more."""
    return Skipped(ended.reason) if isinstance(ended, TimeUp) else ended
