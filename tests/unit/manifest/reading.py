"""Manifests that tests make, and how they read them."""

import io
from collections.abc import Iterable, Iterator
from typing import BinaryIO, cast

from archiver.generation import Generation
from archiver.manifest.entries import BadLine, Ids, read

SPELLING = "expected an ID, ENDPOINT/ID or a fetch URL"
NO_ID = "expected id, request_id or fetch_result"
URL = "https://modelslab.com/api/v6/video/fetch/147"


def readings(content: bytes | str, name: str = "ids") -> list[Generation | BadLine]:
    """Return each generation and each bad line, in order."""
    data = content.encode() if isinstance(content, str) else content
    return list(each(read(io.BytesIO(data), name, "deepfake")))


def each(items: Iterable[Ids | BadLine]) -> Iterator[Generation | BadLine]:
    """Yield the generations one by one."""
    for item in items:
        if isinstance(item, Ids):
            yield from item.generations()
        else:
            yield item


def names(content: bytes | str, name: str = "ids") -> list[str]:
    """Return the names of the generations and the messages of the bad lines, in order."""
    return [str(reading) for reading in readings(content, name)]


def ids(items: Iterable[Generation | BadLine]) -> list[str]:
    """Return the IDs of the generations; a bad line gives its message."""
    return [item.id if isinstance(item, Generation) else str(item) for item in items]


def stream(chunks: Iterator[bytes]) -> BinaryIO:
    """Return a stream of chunks that are made when they are read."""
    return cast("BinaryIO", _Stream(chunks))


class _Stream(io.RawIOBase):
    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.chunks, self.rest = chunks, b""

    def read(self, size: int = -1) -> bytes:
        while len(self.rest) < size and (chunk := next(self.chunks, b"")):
            self.rest += chunk
        block, self.rest = self.rest[:size], self.rest[size:]
        return block
