"""Waiting for manifests: a pipe may stay silent, and a signal or the time limit ends the run."""

import os
import select
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from archiver.errors import Interrupted
from archiver.manifest.sources import OutOfTime
from archiver.run import TimeUp

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_TICK = 0.2
"""How often to look whether the run is to end, in seconds: handlers of signals only note them."""


class Waiting:
    """Waits until a manifest can be read, and at most as long as the run may take.

    The time limit runs from the first wait on: files are not waited for.
    """

    def __init__(self, max_time: float | None) -> None:
        self._max_time = max_time
        self._until: float | None = None
        self._signal: int | None = None

    @property
    def time_left(self) -> float | None:
        """How many seconds of the time limit are left."""
        return self._max_time if self._until is None else max(0, self._until - time.monotonic())

    def begin(self) -> None:
        """Let the time limit run, if it does not yet."""
        if self._until is None and self._max_time is not None:
            self._until = time.monotonic() + self._max_time

    def until_readable(self, descriptor: int) -> None:
        """Wait until something can be read, or the end is reached.

        Raises:
            Interrupted: if a signal comes first.
            OutOfTime: if the time limit is reached first.
        """
        self._end_if_interrupted()
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return
        self.begin()
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        while self.time_left != 0:
            if poll.poll(1000 * min(_TICK, self.time_left or _TICK)):
                return
            self._end_if_interrupted()
        raise OutOfTime(TimeUp().reason)

    def for_seconds(self, seconds: float) -> Callable[[], bool]:
        """Return what says whether there is still time for something.

        Raises (when it is called):
            Interrupted: if a signal has come.
        """
        until = time.monotonic() + seconds

        def has_time() -> bool:
            self._end_if_interrupted()
            return time.monotonic() < until

        return has_time

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """End the wait on SIGINT and SIGTERM; the second ends the process.

        Raises:
            Interrupted: if one of them came.
        """
        in_main_thread = threading.current_thread() is threading.main_thread()
        numbers = _SIGNALS if in_main_thread else ()  # no other thread may handle them
        handlers = {number: signal.signal(number, self._note) for number in numbers}
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        self._end_if_interrupted()

    def _note(self, number: int, _frame: object) -> None:
        self._signal = number
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)

    def _end_if_interrupted(self) -> None:
        if self._signal is not None:
            raise Interrupted(self._signal)
