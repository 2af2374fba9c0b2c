"""Groups: results that are committed together, since a group costs little more than one alone."""

import asyncio
from collections.abc import Iterable

from archiver.pipeline.results import Result

_MOST = 64
"""At most this many results are committed in one group."""
_ENOUGH = 32
"""This many are committed at once."""
_MOMENT = 0.03
"""In seconds: fewer are committed this long after the first of them."""


class Groups:
    """Gathers results for a moment, and hands them out in groups."""

    def __init__(self) -> None:
        self._results: list[Result] = []
        self._slots = asyncio.Semaphore(_MOST)
        self._due = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False

    async def put(self, result: Result) -> None:
        """Add a result, then wait while many are not committed: it is safe meanwhile."""
        self._results.append(result)
        if len(self._results) >= _ENOUGH:
            self._due.set()
        elif not self._timer:
            self._timer = asyncio.get_running_loop().call_later(_MOMENT, self._due.set)
        await self._slots.acquire()

    def end(self, results: Iterable[Result]) -> None:
        """Add the last results: nothing is waited for any more."""
        self._results.extend(results)
        self._ended = True
        self._due.set()

    async def next(self) -> list[Result]:
        """Return the next group, which is empty only at the end."""
        await self._due.wait()
        if self._timer:
            self._timer.cancel()
            self._timer = None
        group, self._results = self._results[:_MOST], self._results[_MOST:]
        if not self._results and not self._ended:
            self._due.clear()
        return group

    def committed(self, group: list[Result]) -> None:
        """Note that a group is committed: others may be added."""
        for _ in group:
            self._slots.release()
