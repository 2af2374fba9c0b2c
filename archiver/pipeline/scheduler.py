"""The scheduler: which generation comes next, and when one that is not ready comes again."""

import asyncio
import heapq
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from itertools import count
from math import inf

from archiver.catalogue.worklist import Entry
from archiver.generation import Generation
from archiver.modelslab.responses import Ready
from archiver.outcomes import Failed, Pending
from archiver.settings import Timings

_GROWTH = 1.5
_LINK_GROWTH = 2.0
_GROWTHS = 10
"""Without the provider's estimate each pause is longer than the last, this many times."""
_DOUBLINGS = 10
_THROTTLED_AT_MOST = 10
"""After this many pauses a throttled request is left to the next run: the limit may be its own,
between responses to others or to other requests about the same generation."""
_BATCH = 1000


class Reason(Enum):
    """Why a generation is to come again on this run."""

    PROCESSING = auto()
    """ModelsLab is still making it."""
    NOT_FOUND = auto()
    """ModelsLab does not know it, or not yet."""
    NOT_READABLE = auto()
    """Its links name a file that cannot be read, or not yet."""
    HOST_PAUSED = auto()
    """The host of its links has asked for a pause."""
    THROTTLED = auto()
    """ModelsLab has asked for a pause, with words that may be about this generation alone."""


@dataclass(frozen=True, slots=True)
class _Wait:
    """For how long a job may come again for a reason."""

    until: float
    """On the monotonic clock."""
    times: int = 0
    """How often it has come again already; of pauses, those that it was refused itself."""


@dataclass(frozen=True, slots=True)
class Job:
    """One generation whose turn it is."""

    entry: Entry
    response: Ready | None = None
    """The response whose links are to be tried once more."""
    elsewhere: str | None = None
    """The other family that knows the ID, "" if none does; None if they were not asked."""
    waits: Mapping[Reason, _Wait] = field(default_factory=dict)

    @property
    def generation(self) -> Generation:
        """The generation itself."""
        return self.entry.generation


@dataclass(frozen=True, slots=True)
class Again:
    """A job that is to come again on this run, if there is time; otherwise it ends like this."""

    job: Job
    reason: Reason
    otherwise: Failed | Pending
    pause: float | None = None
    """For how many seconds, by the provider's estimate or the host's request, if there is one."""
    refused: bool = False
    """The host has refused this very generation's link."""


class Scheduler:
    """Hands out jobs until nothing is left to do, or it is closed.

    `take(n)` returns the next at most n entries of the worklist, those never tried first. `wait`
    is how many seconds a generation that is still processing is polled. Unless `patient`, no link
    is tried again.
    """

    def __init__(
        self,
        take: Callable[[int], list[Entry]],
        wait: float,
        timings: Timings,
        batch: int = _BATCH,
        *,
        patient: bool = True,
    ) -> None:
        self._take = take
        self._timings = timings
        self._batch = batch
        self._patience = {
            Reason.PROCESSING: wait,
            Reason.NOT_FOUND: min(wait, timings.not_found),
            Reason.NOT_READABLE: min(wait, timings.not_readable) if patient else 0.0,
            # Also without --wait: hosts limit bursts by the minute, and links die.
            Reason.HOST_PAUSED: max(wait, timings.short_pause) if patient else -inf,
            Reason.THROTTLED: inf,  # the client ends that sooner where nothing else responds
        }
        self._listed: deque[Job] = deque()
        self._polls: list[tuple[float, int, Again]] = []
        self._ready: list[tuple[float, int, Again]] = []
        self._order = count()
        self.waiting = dict.fromkeys(Reason, 0)
        """How many jobs are to come again, for each reason."""
        self._under_way = 0
        self._served_at = -inf
        """When a host that had asked for a pause served something, on the monotonic clock."""
        self._closed = False
        self._changed = asyncio.Event()

    async def next(self) -> Job | None:
        """Return the next job, or None when there will be none.

        Each job that is returned must be ended by `again` or `done`.
        """
        while not self._closed:
            if job := self._pick():
                self._under_way += 1
                return job
            if not self._polls and not self._ready and not self._under_way:
                break
            await self._change()
        return None

    def again(self, again: Again) -> bool:
        """End a job that is to come again, and return True; if its time is up, return False."""
        now = time.monotonic()
        wait = again.job.waits.get(again.reason) or _Wait(now + self._patience[again.reason])
        due = None if self._closed else self._due(again, wait, now)
        if due is None:
            return False
        times = wait.times + (again.refused or again.reason is not Reason.HOST_PAUSED)
        waits = {**again.job.waits, again.reason: replace(wait, times=times)}
        later = replace(again, job=replace(again.job, waits=waits))
        ready = again.reason in (Reason.HOST_PAUSED, Reason.NOT_READABLE)
        heapq.heappush(self._ready if ready else self._polls, (due, next(self._order), later))
        self.waiting[again.reason] += 1
        self.done()
        return True

    def add(self, entry: Entry, response: Ready | None = None) -> None:
        """Add an entry that the worklist does not have; it comes next, with this response."""
        self._listed.appendleft(Job(entry, response))
        self._changed.set()

    def served(self, job: Job) -> None:
        """Note that a job was served: a host that had asked it for a pause goes on serving."""
        if Reason.HOST_PAUSED in job.waits:
            self._served_at = time.monotonic()

    def done(self) -> None:
        """End a job that does not come again."""
        self._under_way -= 1
        self._changed.set()

    def close(self) -> None:
        """Hand out nothing any more."""
        self._closed = True
        self._changed.set()

    def left(self) -> Iterator[Failed | Pending]:
        """Yield the outcomes of what was to come again and, since it is closed, will not.

        What ModelsLab throttled is as good as never asked.
        """
        waiting = (again for _, _, again in (*self._polls, *self._ready))
        return (each.otherwise for each in waiting if each.reason is not Reason.THROTTLED)

    def _due(self, again: Again, wait: _Wait, now: float) -> float | None:
        """Return when a job comes again, on the monotonic clock; None if there is no time."""
        timings, pause = self._timings, again.pause
        match again.reason:
            case Reason.HOST_PAUSED:
                return self._after_pause(again, wait, now)
            case Reason.THROTTLED if wait.times >= _THROTTLED_AT_MOST:
                return None
            case Reason.THROTTLED:
                return now + (pause or 0) + timings.after_pause
            case Reason.NOT_READABLE:
                shortest = timings.links_first
                growing = shortest * _LINK_GROWTH ** min(wait.times, _GROWTHS)
            case _:
                shortest = timings.poll_min
                growing = timings.poll_first * _GROWTH ** min(wait.times, _GROWTHS)
                growing = max(growing if pause is None else pause, shortest)
        if now >= wait.until:
            return None
        return now + min(growing, timings.poll_max, max(wait.until - now, shortest))

    def _after_pause(self, again: Again, wait: _Wait, now: float) -> float | None:
        """A short pause is always waited out, and any while the host goes on serving others.

        A job that was itself `refused` waits twice as long each time: each of its requests pauses
        the whole host, and others want to go there.
        """
        pause = again.pause or 0.0
        until = max(wait.until, self._served_at + self._patience[Reason.HOST_PAUSED])
        if now + pause > until:
            return None
        longer = pause * 2.0 ** min(wait.times, _DOUBLINGS) if again.refused else pause
        return now + max(min(longer, until - now), self._timings.poll_min)

    def _pick(self) -> Job | None:
        """Ready before never tried before what is due, for links die; old failures can wait."""
        now = time.monotonic()
        if self._ready and self._ready[0][0] <= now:
            return self._pop(self._ready)
        if not self._listed:
            self._listed.extend(map(Job, self._take(self._batch)))
        overdue = now - self._polls[0][0] if self._polls else -1.0
        if self._listed and self._listed[0].entry.first and overdue < self._timings.poll_max:
            return self._listed.popleft()
        if overdue >= 0:
            return self._pop(self._polls)
        return self._listed.popleft() if self._listed else None

    def _pop(self, queue: list[tuple[float, int, Again]]) -> Job:
        again = heapq.heappop(queue)[2]
        self.waiting[again.reason] -= 1
        return again.job

    async def _change(self) -> None:
        """Wait for the end of a job, or until one is due again."""
        self._changed.clear()
        due = [queue[0][0] for queue in (self._polls, self._ready) if queue]
        pause = min(due) - time.monotonic() if due else None
        try:
            async with asyncio.timeout(pause):
                await self._changed.wait()
        except TimeoutError:
            return
