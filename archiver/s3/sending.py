"""Sending: the bytes of an object on their way to the store."""

from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
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

    def __init__(self, part: Part, bandwidth: Bandwidth) -> None:
        self.failure: StorageError | None = None
        """Why the bytes could not be read: aiohttp takes that for a broken connection."""
        self.tries = 0
        """How often it was to be sent."""
        self.part = part
        self._bandwidth = bandwidth
        self._block = _BLOCK if bandwidth.piece > _BLOCK else _SLOW_BLOCK

    @contextmanager
    def again(self) -> Iterator[IO[bytes]]:
        """Send it; what keeps it from being read is raised as it is."""
        self.tries += 1
        try:
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
            yield block

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
