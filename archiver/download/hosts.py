"""Link hosts: how many downloads run from one, and which have asked for a pause."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from yarl import URL

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
"""How long a host that gives no hint is left alone, in seconds: at first, and at most."""


@dataclass(slots=True)
class _Host:
    slots: asyncio.Semaphore
    resume_at: float = 0.0
    reason: str = ""
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
        self._silent: dict[tuple[str, URL], str] = {}
        """Links of an output that did not respond on this run, without their queries, and why."""

    @asynccontextmanager
    async def slot(self, url: URL) -> AsyncIterator[None]:
        """Wait for a slot of the host, then for one among all."""
        async with self._of(url).slots, self._slots:
            yield

    def pause(self, url: URL) -> tuple[float, str]:
        """Return how many seconds the host is still to be left alone, if any, and why."""
        host = self._of(url)
        return max(0.0, host.resume_at - time.monotonic()), host.reason

    def throttled(self, url: URL, reason: str, wait: float | None) -> float:
        """Leave the host alone for `wait` seconds or, without a hint, for longer each time.

        A wait of 0, such as a date in the past, is no hint. A long one may be about one link:
        until another link is refused too, it is kept short.

        Return for how many seconds from now.
        """
        host, now = self._of(url), time.monotonic()
        host.refused.add(url)
        # A single link that is refused for a day must not keep its host's other videos waiting.
        if wait and len(host.refused) == 1:
            wait = min(wait, _LONGEST_PAUSE)
        host.reason = reason
        if now >= host.resume_at:  # else other downloads of the same moment were refused before
            host.pauses += 1
            growing = min(_FIRST_PAUSE * 2.0 ** min(host.pauses - 1, 10), _LONGEST_PAUSE)
            host.resume_at = now + (growing if not wait else 0)
        host.resume_at = max(host.resume_at, now + (wait or 0))
        return host.resume_at - now

    def served(self, url: URL) -> None:
        """Note that the host has served something: it throttles no longer."""
        host = self._of(url)
        host.pauses = 0
        host.refused.clear()

    def was_silent(self, output: str, url: URL, reason: str) -> None:
        """Note that a link of an output did not respond in time."""
        self._silent[output, url.with_query(None)] = reason

    def silence(self, output: str, url: URL) -> str:
        """Return why a link counts as silent, "" if it does not, however it is signed anew.

        The query may also tell one file from another: nothing follows for another output.
        """
        return self._silent.get((output, url.with_query(None)), "")

    def _of(self, url: URL) -> _Host:
        return self._hosts[url.host, url.port]
