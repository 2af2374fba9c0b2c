"""Compressed responses: plain bytes are asked for, and yet some gateways send gzip."""

import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial

_MAGIC = b"\x1f\x8b"
"""How gzip begins (RFC 1952, 2.3.1), and JSON does not."""
_GZIP = 16 + zlib.MAX_WBITS
_PIECE = 1 << 20
"""In bytes: no more is decompressed at once, since few bytes may become very many."""


class Plain:
    """Takes the bytes of a body, and gives them back decompressed if they are gzip.

    That does not depend on what its headers call it. Where it is damaged it ends.
    """

    def __init__(self) -> None:
        self.rest = b""
        """What was taken last and not given back: too little to tell."""
        self._decode: Callable[[bytes], Iterable[bytes]] | None = None

    def take(self, chunk: bytes) -> Iterable[bytes]:
        """Take the next bytes; return what they are, piece by piece."""
        if not self._decode:
            chunk, self.rest = self.rest + chunk, b""
            if len(chunk) < len(_MAGIC):
                self.rest = chunk
                return ()
            self._decode = _decoder(chunk)
        return self._decode(chunk)


def _decoder(head: bytes) -> Callable[[bytes], Iterable[bytes]]:
    if head.startswith(_MAGIC):
        return partial(_decompressed, zlib.decompressobj(_GZIP))
    return _unchanged


def _unchanged(data: bytes) -> Iterable[bytes]:
    return (data,)


def _decompressed(gzip: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
    with suppress(zlib.error):
        while data and not gzip.eof:
            yield gzip.decompress(data, _PIECE)
            data = gzip.unconsumed_tail
