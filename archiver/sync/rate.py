"""The rate: a limit on the bytes that all threads read together."""

import threading
import time
from math import inf


class Rate:
    """A limit in bytes a second, or none. What is `stopping` ends a wait."""

    def __init__(self, limit: float | None, stopping: threading.Event) -> None:
        self._limit = limit or inf
        self._stopping = stopping
        self._lock = threading.Lock()
        self._free = 0.0

    def wait(self, count: int) -> None:
        """Take bytes that were read, and wait until they were allowed to be."""
        if self._limit == inf:
            return
        with self._lock:
            now = time.monotonic()
            self._free = max(self._free, now) + count / self._limit
            pause = self._free - now
        self._stopping.wait(pause)
