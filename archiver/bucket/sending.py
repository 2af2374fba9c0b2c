"""Sending: the bytes of an object on their way to the store."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from archiver.bucket.objects import Body
from archiver.errors import StorageError
from archiver.http.bandwidth import Bandwidth
from archiver.threads import in_thread

_BLOCK = 1 << 18
_SLOW_BLOCK = 1 << 14
"""Where the rate is limited: bytes leave evenly."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some of the bytes of an object, from `start` on, and their checksum."""

    body: Body
    start: int
    size: int
    sha256: str

    @classmethod
    def whole(cls, body: Body) -> "Part":
        """Return all of them."""
        return cls(body, 0, body.size, body.sha256)


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
        content = self.part.body.content
        if content is None:
            async for data in self._file_blocks():
                yield data
            return
        view = memoryview(content)[self.part.start : self.part.start + self.part.size]
        for start in range(0, len(view), self._block):
            yield view[start : start + self._block]

    async def _file_blocks(self) -> AsyncIterator[bytes]:
        left = self.part.size
        try:
            file = await in_thread(self._open)
            with file:
                while left:
                    block = await in_thread(file.read, min(left, self._block))
                    if not block:
                        raise OSError(f"it ends {left} bytes too early")  # noqa: TRY301
                    left -= len(block)
                    yield block
        except OSError as error:
            why = f"{self.part.body.file} could not be read: {error.strerror or error}"
            self.failure = StorageError(why)
            raise self.failure from error

    def _open(self) -> FileIO:
        file = Path(self.part.body.file).open("rb", buffering=0)  # noqa: SIM115 (closed above)
        file.seek(self.part.start)
        return file
