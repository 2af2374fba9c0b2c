"""Sending: the bytes of an object on their way to the store."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, suppress
from typing import IO, cast

from archiver.errors import StorageError
from archiver.http.bandwidth import Bandwidth
from archiver.s3.bodies import blocks
from archiver.s3.parts import Part
from archiver.threads import in_thread

_BLOCK = 1 << 18
_SLOW_BLOCK = 1 << 14
"""Where the rate is limited: bytes leave evenly."""


class Sending:
    """The body of a request: read anew, from memory or a file, whenever it is sent.

    It is as much of a file as botocore asks for, and iterated over by aiohttp.
    """

    def __init__(self, part: Part, bandwidth: Bandwidth, silence: float) -> None:
        self.failure: StorageError | None = None
        """Why the bytes could not be read: aiohttp takes that for a broken connection."""
        self.tries = 0
        """How often it was to be sent."""
        self.part = part
        self._bandwidth = bandwidth
        self._silence = silence
        self._limit = asyncio.timeout(None)
        self._block = _BLOCK if bandwidth.piece > _BLOCK else _SLOW_BLOCK

    @asynccontextmanager
    async def again(self) -> AsyncIterator[IO[bytes]]:
        """Send it; what keeps it from being read is raised as it is.

        Raises:
            TimeoutError: if the store takes none of it for too long: aiohttp's own timeouts are
                for what is received.
        """
        self.tries += 1
        try:
            async with asyncio.timeout(None) as self._limit:
                yield cast("IO[bytes]", self)
        except Exception:
            if self.failure:
                raise self.failure from None
            raise

    def __len__(self) -> int:
        return self.part.size

    def read(self, size: int = -1) -> bytes:
        """Refuse: botocore has no reason to read it."""
        raise NotImplementedError

    def seek(self, offset: int) -> int:
        """Return to the start, which is where each reading of it begins."""
        return offset

    async def __aiter__(self) -> AsyncIterator[bytes | memoryview]:
        share = self._bandwidth.share()
        async for block in self._blocks():
            if share.take(len(block)):
                await share.wait()
            self._allow(self._silence)
            yield block
            self._allow(None)

    def _allow(self, seconds: float | None) -> None:
        """Let the next block take so long; any time if that is None."""
        with suppress(RuntimeError):  # it is over already
            now = asyncio.get_running_loop().time()
            self._limit.reschedule(None if seconds is None else now + seconds)

    async def _blocks(self) -> AsyncIterator[bytes | memoryview]:
        part = self.part
        with closing(blocks(part.body, part.start, part.size, self._block)) as left:
            while block := await self._next(left):
                yield block

    async def _next(self, left: Iterator[bytes | memoryview]) -> bytes | memoryview:
        """Return the next block, read in a thread; none at the end."""
        try:
            return await in_thread(next, left, b"")
        except StorageError as error:
            self.failure = error
            raise
