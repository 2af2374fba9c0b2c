"""What link hosts bear: so many downloads at once, and none while a host has asked for a pause."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from yarl import URL

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
"""Without being told for how long, a host is left alone for so many seconds: at first, at most."""


@dataclass(slots=True)
class _Host:
    slots: asyncio.Semaphore
    resume_at: float = 0.0
    why: str = ""
    pauses: int = 0
    """How many pauses there were since it last served something."""
    refused: set[URL] = field(default_factory=set)
    """Which links it has refused since then."""


class Hosts:
    """The hosts that links lead to. One that throttles is left alone; the others go on."""

    def __init__(self, downloads: int, per_host: int) -> None:
        self._slots = asyncio.Semaphore(downloads)
        self._hosts = defaultdict[tuple[str | None, int | None], _Host](
            lambda: _Host(asyncio.Semaphore(per_host))
        )

    @asynccontextmanager
    async def slot(self, url: URL) -> AsyncIterator[None]:
        """Wait for the host's turn, then for one among all."""
        async with self._of(url).slots, self._slots:
            yield

    def pause(self, url: URL) -> tuple[float, str]:
        """Return how many seconds the host is still to be left alone, if any, and what it said."""
        host = self._of(url)
        return max(0.0, host.resume_at - time.monotonic()), host.why

    def throttled(self, url: URL, why: str, wait: float | None) -> float:
        """Leave the host alone for as long as it says, or for longer each time if it does not.

        A wait of none at all, such as a date in the past, says nothing. A long one may be about
        one link: until it is said of another, it is kept short.

        Return for how many seconds from now.
        """
        host, now = self._of(url), time.monotonic()
        host.refused.add(url)
        if wait and len(host.refused) == 1:
            wait = min(wait, _LONGEST_PAUSE)
        host.why = why
        if now >= host.resume_at:  # else it was said to the same crowd of downloads
            host.pauses += 1
            growing = min(_FIRST_PAUSE * 2.0 ** min(host.pauses - 1, 10), _LONGEST_PAUSE)
            host.resume_at = now + (growing if not wait else 0)
        host.resume_at = max(host.resume_at, now + (wait or 0))
        return host.resume_at - now

    def served(self, url: URL) -> None:
        """Note that the host has served something: the throttling is over."""
        host = self._of(url)
        host.pauses = 0
        host.refused.clear()

    def _of(self, url: URL) -> _Host:
        return self._hosts[url.host, url.port]
