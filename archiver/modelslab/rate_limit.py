"""Rate limit: when the next request may be sent."""

import asyncio
import time

from aiolimiter import AsyncLimiter

from archiver.modelslab.circuit_breaker import IN_A_ROW
from archiver.modelslab.responses import RateLimited
from archiver.run import Skipped
from archiver.settings import Timings
from archiver.units import format_duration

_WINDOW = 0.1
"""The rate is kept over this many seconds."""


class RateLimit:
    """A rate of requests a second, and one pause for all of them while ModelsLab asks for it.

    A run waits at most `max_wait` seconds in all for the next response, and a short pause in any
    case.
    """

    def __init__(self, rate: float, max_wait: float, timings: Timings) -> None:
        burst = max(1.0, rate * _WINDOW)
        self.timings = timings
        self.responses = 0
        """How many requests were responded to."""
        self._limiter = AsyncLimiter(burst, burst / rate)
        self._max_wait = max(max_wait, timings.short_pause)
        self._limited_since: float | None = None
        self._limited = 0
        """How often in a row, without a response in between."""
        self._resume_at = 0.0
        self._message = ""

    async def acquire(self, *, after_others: bool = False) -> Skipped | None:
        """Wait until a request may be sent.

        One that led to a pause goes `after_others`. Return None, or why there will be no request:
        the run may not wait that long.
        """
        delay = self.timings.after_pause if after_others else 0.0
        while (wait := self._resume_at + delay - time.monotonic()) > 0:
            if self._waits_too_long():
                return Skipped(self._reason(wait))
            await asyncio.sleep(wait)
        await self._limiter.acquire()
        return None

    def pause(self, limited: RateLimited) -> None:
        """Send no requests for as long as ModelsLab asks.

        A pause that the run cannot wait for must be asked for twice without a response in
        between, or it may be about one generation. One that is not `certain` must be asked for
        several times before it is a long one.
        """
        default, now = self.timings.default_pause, time.monotonic()
        if self._limited_since is None:
            self._limited_since, self._limited = now, 0
        self._limited += 1
        wait = default if limited.wait is None else limited.wait
        if not limited.certain and self._limited < IN_A_ROW:
            wait = min(wait, default)
        if wait > self._max_wait and self._limited == 1:
            wait = default
        self._message = limited.message
        self._resume_at = max(self._resume_at, now + wait)

    def responded(self) -> None:
        """Note that a request was responded to: its rate limit is over."""
        self.responses += 1
        self._limited_since = None

    @property
    def pause_reason(self) -> str:
        """Why no request may be sent now, for people; "" if one may."""
        wait = self._resume_at - time.monotonic()
        return self._reason(wait) if wait > 0 else ""

    def _reason(self, wait: float) -> str:
        return f"rate-limited, retry in {format_duration(wait)} ({self._message})"

    def _waits_too_long(self) -> bool:
        since = self._limited_since
        return since is not None and self._resume_at - since > self._max_wait
