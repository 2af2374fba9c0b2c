"""Compressed responses: plain bytes are asked for, and yet some gateways send gzip."""

import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial

_MAGIC = b"\x1f\x8b"
"""How gzip begins (RFC 1952, 2.3.1), and JSON does not."""
_GZIP = 16 + zlib.MAX_WBITS
_PIECE = 1 << 20
"""In bytes: no more is decompressed at once, since few bytes may become very many."""


async def plain(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the bytes of a body, decompressed if it is gzip, whatever its headers call it.

    Where it is damaged it ends.
    """
    head, decode = b"", None
    async for chunk in chunks:
        head += chunk
        if not decode and len(head) < len(_MAGIC):
            continue
        decode = decode or _decoder(head)
        for piece in decode(head):
            yield piece
        head = b""
    yield head


def _decoder(head: bytes) -> Callable[[bytes], Iterable[bytes]]:
    if head.startswith(_MAGIC):
        return partial(_decompressed, zlib.decompressobj(_GZIP))
    return lambda data: (data,)


def _decompressed(gzip: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
    with suppress(zlib.error):
        while data and not gzip.eof:
            yield gzip.decompress(data, _PIECE)
            data = gzip.unconsumed_tail
