"""What to ask about next: the night's list, and what is still being made."""

import asyncio
import heapq
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from archiver.generation import Generation
from archiver.settings import SHORT_PAUSE

_SOONEST = 5.0
_LATEST = 60.0
"""Between two questions about one generation lie this many seconds. The provider's samples ask
every 5 to 10; identical questions in quick succession have been punished as spam."""
_MOST_PUT_OFF = 1000
"""When so many are ready and their hosts ask for a pause, no more are asked about meanwhile."""
_FIRST_GUESS = 5.0
"""Without the provider's guess, in seconds; each one after it is `_GROWTH` times as long."""
_GROWTH = 1.5
_GROWTHS = 10
_DOUBLINGS = 10
_TAKE = 1000


@dataclass(frozen=True, slots=True)
class Turn:
    """One generation's turn to be asked about."""

    generation: Generation
    first: bool
    """It was never tried before, on no night."""
    asked: int = 0
    """How often it was asked about tonight, and found to be still in the making."""
    give_up_at: float | None = None
    """On the monotonic clock: when, if it is still being made then, it is left for tomorrow."""
    sit_out_until: float | None = None
    """The same, if its links are still to be left alone then."""
    refused: int = 0
    """How often a host has answered a request for its links by asking for a pause."""


class Scheduler:
    """Hands out turns until nothing is left to ask about, or it is closed.

    `take` gives the next so many generations of the night's list, those never tried first;
    `wait` is how many seconds a generation that is being made is asked about again.
    """

    def __init__(self, take: Callable[[int], list[tuple[Generation, bool]]], wait: float) -> None:
        self._take = take
        self._wait = wait
        self._listed: deque[Turn] = deque()
        self._polls: list[tuple[float, int, Turn]] = []
        self._put_off: list[tuple[float, int, Turn]] = []
        self._under_way = 0
        self._closed = False
        self._changed = asyncio.Event()

    async def next(self) -> Turn | None:
        """Return the next turn, or None when there will be none.

        Each turn that is returned must be ended by `again` or `done`.
        """
        while not self._closed:
            if turn := self._pick():
                self._under_way += 1
                return turn
            if not self._polls and not self._put_off and not self._under_way:
                break
            await self._change()
        return None

    def again(self, turn: Turn, eta: float | None) -> bool:
        """End a turn that found its generation in the making: it comes again if there is time.

        `eta` is the provider's guess of how many seconds it will take.
        """
        now = time.monotonic()
        give_up_at = turn.give_up_at or now + self._wait
        self.done()
        if self._closed or now >= give_up_at:
            return False
        guess = _FIRST_GUESS * _GROWTH ** min(turn.asked, _GROWTHS) if eta is None else eta
        due = min(now + min(max(guess, _SOONEST), _LATEST), max(give_up_at, now + _SOONEST))
        later = replace(turn, asked=turn.asked + 1, give_up_at=give_up_at)
        heapq.heappush(self._polls, (due, id(later), later))
        return True

    def put_off(self, turn: Turn, pause: float, *, refused: bool) -> bool:
        """End a turn whose links are to be left alone for so many seconds.

        It comes again then, if there is time. A short pause is always sat out. One that was
        `refused` itself, and again, waits twice as long each time: for each of its requests
        the whole host is left alone, and the others there are not to wait for it alone.
        """
        now = time.monotonic()
        until = turn.sit_out_until or now + max(self._wait, SHORT_PAUSE)
        self.done()
        if self._closed or now + pause > until:
            return False
        later = replace(turn, sit_out_until=until, refused=turn.refused + refused)
        longer = pause * 2.0 ** min(turn.refused, _DOUBLINGS) if refused else pause
        due = now + max(min(longer, until - now), _SOONEST)
        heapq.heappush(self._put_off, (due, id(later), later))
        return True

    def done(self) -> None:
        """End a turn that needs no other."""
        self._under_way -= 1
        self._changed.set()

    def close(self) -> None:
        """Hand out nothing any more."""
        self._closed = True
        self._changed.set()

    def in_the_making(self) -> list[Generation]:
        """Return what was to be asked about again and, since the scheduler is closed, will not be."""
        return [turn.generation for _, _, turn in self._polls]

    def left_alone(self) -> list[Generation]:
        """Return what is ready, and whose links were to be left alone until the end."""
        return [turn.generation for _, _, turn in self._put_off]

    def _pick(self) -> Turn | None:
        """Ready before never tried before what is due, for links die; old troubles last."""
        now = time.monotonic()
        if self._put_off and self._put_off[0][0] <= now:
            return heapq.heappop(self._put_off)[2]
        if not self._listed and len(self._put_off) < _MOST_PUT_OFF:
            self._listed.extend(Turn(*row) for row in self._take(_TAKE))
        overdue = now - self._polls[0][0] if self._polls else -1.0
        if self._listed and self._listed[0].first and overdue < _LATEST:
            return self._listed.popleft()
        if overdue >= 0:
            return heapq.heappop(self._polls)[2]
        return self._listed.popleft() if self._listed else None

    async def _change(self) -> None:
        """Wait for the end of a turn, or until something is due again."""
        self._changed.clear()
        due = [queue[0][0] for queue in (self._polls, self._put_off) if queue]
        pause = min(due) - time.monotonic() if due else None
        try:
            async with asyncio.timeout(pause):
                await self._changed.wait()
        except TimeoutError:
            return
