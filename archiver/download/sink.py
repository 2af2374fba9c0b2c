"""The sink of a body: gathers what comes into blocks, and writes them in a thread."""

import asyncio
from contextlib import suppress
from typing import Self

from archiver.archive.disk_space import DiskSpace
from archiver.archive.fitting import DoesNotFit
from archiver.archive.partial_file import PartialFile
from archiver.errors import StorageError
from archiver.media.reader import NotWhole
from archiver.threads import finished, in_thread

_BLOCK = 1 << 20
_NOT_KEPT = (NotWhole, StorageError, DoesNotFit)
"""After these there is no use in writing what has come."""


class Sink:
    """Writes one block to a partial file while the next is gathered.

    What has come before a connection breaks is written too, if it can be resumed.
    """

    def __init__(self, partial: PartialFile, space: DiskSpace) -> None:
        self._partial = partial
        self._space = space
        self._gathered: list[bytes] = []
        self._size = 0
        self._writing: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, _error: object, _traceback: object
    ) -> None:
        if not kind:
            await self._written()
            return
        with suppress(DoesNotFit):  # it is deleted then; why the body ended counts for more
            await self._written()
            if self._partial.origin and not issubclass(kind, _NOT_KEPT):
                await in_thread(self._store, self._gathered)

    def take(self, chunk: bytes) -> bool:
        """Gather a chunk; return whether there is a block to be written."""
        self._gathered.append(chunk)
        self._size += len(chunk)
        return self._size >= _BLOCK

    async def write(self) -> None:
        """Begin to write what is gathered, once the block before is written."""
        await self._written()
        block, self._gathered, self._size = self._gathered, [], 0
        loop = asyncio.get_running_loop()
        self._writing = loop.run_in_executor(None, self._store, block)

    async def rest(self) -> bytes:
        """Return what is gathered and not written; the thread is idle then."""
        await self._written()
        return b"".join(self._gathered)

    def _store(self, block: list[bytes]) -> None:
        data = b"".join(block)
        try:
            self._space.require_next(self._partial, len(data))
        except DoesNotFit:
            self._partial.reset()
            raise
        self._partial.write(data)

    async def _written(self) -> None:
        writing, self._writing = self._writing, None
        if writing:
            await finished(writing)
