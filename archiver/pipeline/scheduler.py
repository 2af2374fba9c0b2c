"""The scheduler: which generation comes next, and when one that is not ready comes again."""

import asyncio
import heapq
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from archiver.generation import Generation
from archiver.settings import Timings

_MOST_DEFERRED = 1000
"""When this many wait for their hosts, no new ones are started meanwhile."""
_GROWTH = 1.5
_GROWTHS = 10
"""Without the provider's estimate each pause is longer than the last, this many times."""
_DOUBLINGS = 10
_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Job:
    """One generation whose turn it is."""

    generation: Generation
    first: bool
    """No run has tried it before."""
    polls: int = 0
    """How often it was found still processing on this run."""
    poll_until: float | None = None
    """On the monotonic clock: if it is still processing then, it is left for the next run."""
    defer_until: float | None = None
    """The same, if its hosts still ask for a pause then."""
    refusals: int = 0
    """How often a host has refused one of its links, and asked for a pause."""


class Scheduler:
    """Hands out jobs until nothing is left to do, or it is closed.

    `take(n)` returns the next at most n generations of the worklist, those never tried first.
    `wait` is how many seconds a generation that is still processing is polled.
    """

    def __init__(
        self,
        take: Callable[[int], list[tuple[Generation, bool]]],
        wait: float,
        timings: Timings,
        batch: int = _BATCH,
    ) -> None:
        self._take = take
        self._wait = wait
        self._timings = timings
        self._batch = batch
        self._listed: deque[Job] = deque()
        self._polls: list[tuple[float, int, Job]] = []
        self._deferred: list[tuple[float, int, Job]] = []
        self._under_way = 0
        self._closed = False
        self._changed = asyncio.Event()

    async def next(self) -> Job | None:
        """Return the next job, or None when there will be none.

        Each job that is returned must be ended by `poll_again`, `defer` or `done`.
        """
        while not self._closed:
            if job := self._pick():
                self._under_way += 1
                return job
            if not self._polls and not self._deferred and not self._under_way:
                break
            await self._change()
        return None

    def poll_again(self, job: Job, eta: float | None) -> bool:
        """End a job whose generation is still processing: it comes again if there is time.

        `eta` is the provider's estimate of how many seconds it will take.
        """
        now, timings = time.monotonic(), self._timings
        until = job.poll_until or now + self._wait
        self.done()
        if self._closed or now >= until:
            return False
        growing = timings.poll_first * _GROWTH ** min(job.polls, _GROWTHS)
        pause = max(growing if eta is None else eta, timings.poll_min)
        due = min(now + min(pause, timings.poll_max), max(until, now + timings.poll_min))
        later = replace(job, polls=job.polls + 1, poll_until=until)
        heapq.heappush(self._polls, (due, id(later), later))
        return True

    def defer(self, job: Job, pause: float, *, refused: bool) -> bool:
        """End a job whose hosts ask for a pause, in seconds: it comes again if there is time.

        A short pause is always waited out. A job that was itself `refused` waits twice as long
        each time: each of its requests pauses the whole host, and others want to go there.
        """
        now = time.monotonic()
        # Also without --wait: hosts limit bursts by the minute, and the link may be dead tomorrow.
        until = job.defer_until or now + max(self._wait, self._timings.short_pause)
        self.done()
        if self._closed or now + pause > until:
            return False
        later = replace(job, defer_until=until, refusals=job.refusals + refused)
        longer = pause * 2.0 ** min(job.refusals, _DOUBLINGS) if refused else pause
        due = now + max(min(longer, until - now), self._timings.poll_min)
        heapq.heappush(self._deferred, (due, id(later), later))
        return True

    def done(self) -> None:
        """End a job that does not come again."""
        self._under_way -= 1
        self._changed.set()

    def close(self) -> None:
        """Hand out nothing any more."""
        self._closed = True
        self._changed.set()

    def processing(self) -> list[Generation]:
        """Return what was to be polled again and, since the scheduler is closed, will not be."""
        return [job.generation for _, _, job in self._polls]

    def deferred(self) -> list[Generation]:
        """Return what was ready and waited for its hosts until the end."""
        return [job.generation for _, _, job in self._deferred]

    def _pick(self) -> Job | None:
        """Ready before never tried before what is due, for links die; old failures can wait."""
        now = time.monotonic()
        if self._deferred and self._deferred[0][0] <= now:
            return heapq.heappop(self._deferred)[2]
        # Each new one would be requested now and again later, and its links age while it waits.
        if not self._listed and len(self._deferred) < _MOST_DEFERRED:
            self._listed.extend(Job(*row) for row in self._take(self._batch))
        overdue = now - self._polls[0][0] if self._polls else -1.0
        if self._listed and self._listed[0].first and overdue < self._timings.poll_max:
            return self._listed.popleft()
        if overdue >= 0:
            return heapq.heappop(self._polls)[2]
        return self._listed.popleft() if self._listed else None

    async def _change(self) -> None:
        """Wait for the end of a job, or until one is due again."""
        self._changed.clear()
        due = [queue[0][0] for queue in (self._polls, self._deferred) if queue]
        pause = min(due) - time.monotonic() if due else None
        try:
            async with asyncio.timeout(pause):
                await self._changed.wait()
        except TimeoutError:
            return
