"""Link hosts: how many downloads run from one, and which have asked for a pause."""

import asyncio
import time
from collections import defaultdict

from yarl import URL

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
"""How long a host that gives no hint is left alone, in seconds: at first, and at most."""


class Host:
    """One host: how many downloads run from it, and whether it has asked for a pause."""

    def __init__(self, slots: int) -> None:
        self.slots = asyncio.Semaphore(slots)
        self._resume_at = 0.0
        self._reason = ""
        self._pauses = 0
        """How many pauses there were since it last served something."""
        self._refused = set[URL]()
        """Which links it has refused since then."""

    def pause(self) -> tuple[float, str]:
        """Return how many seconds it is still to be left alone, if any, and why."""
        return max(0.0, self._resume_at - time.monotonic()), self._reason

    def throttled(self, url: URL, reason: str, wait: float | None) -> float:
        """Leave it alone for `wait` seconds or, without a hint, for longer each time.

        A wait of 0, such as a date in the past, is no hint. A long one may be about one link:
        until another link is refused too, it is kept short.

        Return for how many seconds from now.
        """
        now = time.monotonic()
        self._refused.add(url)
        # A single link that is refused for a day must not keep its host's other videos waiting.
        if wait and len(self._refused) == 1:
            wait = min(wait, _LONGEST_PAUSE)
        self._reason = reason
        if now >= self._resume_at:  # else other downloads of the same moment were refused before
            self._pauses += 1
            growing = min(_FIRST_PAUSE * 2.0 ** min(self._pauses - 1, 10), _LONGEST_PAUSE)
            self._resume_at = now + (growing if not wait else 0)
        self._resume_at = max(self._resume_at, now + (wait or 0))
        return self._resume_at - now

    def served(self) -> None:
        """Note that it has served something: it throttles no longer."""
        self._pauses = 0
        self._refused.clear()


class Hosts:
    """The hosts that links lead to. One that throttles is left alone; the others go on."""

    def __init__(self, downloads: int, per_host: int) -> None:
        self.slots = asyncio.Semaphore(downloads)
        """Those among all; wait for one of the host first."""
        self._hosts = defaultdict[tuple[str | None, int | None], Host](lambda: Host(per_host))
        self._silent: dict[tuple[str, URL], str] = {}
        """Links of an output that did not respond on this run, without their queries, and why."""

    def of(self, url: URL) -> Host:
        """Return the host of a URL."""
        return self._hosts[url.host, url.port]

    def was_silent(self, output: str, url: URL, reason: str) -> None:
        """Note that a link of an output did not respond in time."""
        self._silent[output, url.with_query(None)] = reason

    def silence(self, output: str, url: URL) -> str:
        """Return why a link counts as silent, "" if it does not, however it is signed anew.

        The query may also tell one file from another: nothing follows for another output.
        """
        return self._silent.get((output, url.with_query(None)), "") if self._silent else ""
