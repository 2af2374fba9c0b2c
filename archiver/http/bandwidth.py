"""Bandwidth: a limit on the bytes of all transfers together, shared among them fairly."""

from math import inf

from aiolimiter import AsyncLimiter

_PIECES = 100
"""Bytes are counted in pieces: this many a second at the full rate."""
_BURST = 0.1
"""The rate holds over this many seconds."""


class Bandwidth:
    """A limit in bytes a second, or none. Pieces pass in the order in which they come."""

    def __init__(self, rate: float | None) -> None:
        self.piece = rate / _PIECES if rate else inf
        self.limiter = AsyncLimiter(_PIECES * _BURST, _BURST)

    def share(self) -> "Share":
        """Return the share of one transfer."""
        return Share(self)


class Share:
    """The bytes that one transfer has taken and not yet waited for."""

    def __init__(self, bandwidth: Bandwidth) -> None:
        self._bandwidth = bandwidth
        self._owed = 0.0

    def take(self, count: int) -> bool:
        """Take bytes that have come; return whether to wait."""
        self._owed += count
        return self._owed >= self._bandwidth.piece

    async def wait(self) -> None:
        """Wait until what was taken was allowed to come."""
        while self._owed >= self._bandwidth.piece:
            await self._bandwidth.limiter.acquire()
            self._owed -= self._bandwidth.piece
