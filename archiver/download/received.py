"""What has come of a body: counted, shown as progress, and given up if it crawls."""

import time

from archiver.download.faults import TransferError
from archiver.progress import ByteProgress

_CRAWL = 1024
"""Slower than this many bytes a second, over the time a connection may be silent, is a crawl."""


class Crawl:
    """Gives up a body that comes more slowly than a person would wait for."""

    def __init__(self, window: float) -> None:
        self._window = window
        self._since = 0
        self._started = time.monotonic()

    def check(self, count: int) -> None:
        """Count bytes.

        Raises:
            TransferError: if too few have come of late.
        """
        self._since += count
        if (spent := time.monotonic() - self._started) < self._window:
            return
        if self._since < _CRAWL * spent:
            reason = f"too slow: {self._since:,} bytes in {spent:.0f} s"
            raise TransferError(reason, transient=True)
        self._since, self._started = 0, time.monotonic()


class Received:
    """The bytes of one try, shown as progress, and taken back if it comes to nothing."""

    def __init__(self, progress: ByteProgress) -> None:
        self._progress = progress
        self._before = 0
        self._count = 0
        self._length: int | None = None

    def begin(self, length: int | None, before: int) -> None:
        """Expect a payload of `length` bytes, of which `before` are there."""
        self._length, self._before = length, before
        self._progress.expected((length or before) - before)

    def add(self, count: int) -> None:
        """Count bytes that have come."""
        self._count += count
        self._progress.received(count)

    def expect_again(self) -> None:
        """Leave what is still to come to the next request."""
        self._progress.expected(self.total - (self._length or self.total))

    def undo(self) -> None:
        """Take back what was counted: the try came to nothing."""
        self._progress.expected(self._before - (self._length or self._before))
        self._progress.received(-self._count)

    @property
    def total(self) -> int:
        """How many bytes of the payload there are now."""
        return self._before + self._count

    def so_far(self) -> str:
        """How much had come, for the reason."""
        if self._length is not None:
            return f" after {self.total:,} of {self._length:,} bytes"
        return f" after {self.total:,} bytes" if self.total else ""
