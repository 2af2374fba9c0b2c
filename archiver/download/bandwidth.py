"""A limit on how many bytes come each second, over all downloads, shared among them fairly."""

from math import inf

from aiolimiter import AsyncLimiter

_PIECES = 100
"""Bytes are counted in pieces, so many a second at the full rate."""
_BURST = 0.1
"""The rate is held over this many seconds."""


class ByteRate:
    """So many bytes a second, or any number. Pieces are let through in the order they come."""

    def __init__(self, rate: float | None) -> None:
        self.piece = rate / _PIECES if rate else inf
        self.limiter = AsyncLimiter(_PIECES * _BURST, _BURST)

    def share(self) -> "Share":
        """Return one download's share."""
        return Share(self)


class Share:
    """What one download has taken and not yet waited for."""

    def __init__(self, rate: ByteRate) -> None:
        self._rate = rate
        self._owed = 0.0

    def take(self, count: int) -> bool:
        """Take so many bytes that have come; return whether they are to be waited for."""
        self._owed += count
        return self._owed >= self._rate.piece

    async def wait(self) -> None:
        """Wait until what was taken was allowed to come."""
        while self._owed >= self._rate.piece:
            await self._rate.limiter.acquire()
            self._owed -= self._rate.piece
