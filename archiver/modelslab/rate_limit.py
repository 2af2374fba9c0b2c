"""Rate limit: when the next request may be sent."""

import asyncio
import time

from aiolimiter import AsyncLimiter

from archiver.generation import Generation
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
        self._limiter = AsyncLimiter(burst, burst / rate)
        self._max_wait = max(max_wait, timings.short_pause)
        self._limited_since: float | None = None
        self._limited: set[Generation] = set()
        """Those that were rate-limited in a row, without a response in between."""
        self._certain = 0
        """How many of these limits were certain to be the account's."""
        self._resume_at = 0.0
        self._message = ""

    async def acquire(self) -> Skipped | None:
        """Wait until a request may be sent.

        Return None, or why there will be no request: the run may not wait that long.
        """
        while (wait := self._resume_at - time.monotonic()) > 0:
            if self._waits_too_long():
                return Skipped(self._reason(wait))
            await asyncio.sleep(wait)
        await self._limiter.acquire()
        return None

    def pause(self, limited: RateLimited, generation: Generation) -> float | Skipped:
        """Send no requests for as long as ModelsLab asks.

        Return for how many seconds from now, or why there will be no request any more.

        A pause that the run cannot wait for must be asked for twice without a response in
        between, or it may be about one generation. One that is not `certain` must be asked for
        by several generations before it is a long one.
        """
        default, now = self.timings.default_pause, time.monotonic()
        if self._limited_since is None:
            self._limited_since, self._certain = now, 0
        self._limited.add(generation)
        self._certain += limited.certain
        wait = default if limited.wait is None else limited.wait
        if not self.is_general or (wait > self._max_wait and self._certain == 1):
            wait = min(wait, default)
        self._message = limited.message
        self._resume_at = max(self._resume_at, now + wait)
        left = self._resume_at - now
        return Skipped(self._reason(left)) if self._waits_too_long() else left

    def responded(self) -> None:
        """Note that a request was responded to: its rate limit is over."""
        self._limited_since = None
        self._limited.clear()

    @property
    def is_general(self) -> bool:
        """Whether the limit is the account's: not the message of a few generations."""
        return self._certain > 0 or len(self._limited) >= IN_A_ROW

    @property
    def pause_reason(self) -> str:
        """Why no request may be sent now, for people; "" if one may."""
        wait = self._resume_at - time.monotonic()
        return self._reason(wait) if wait > 0 else ""

    def _reason(self, wait: float) -> str:
        return f"rate-limited, retry in {format_duration(wait)} ({self._message})"

    def _waits_too_long(self) -> bool:
        since = self._limited_since
        if since is None or not self.is_general:
            return False
        return self._resume_at - since > self._max_wait
