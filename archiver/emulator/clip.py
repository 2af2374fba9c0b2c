"""A real video of any size: the clip that ships with the package, grown by a box of filler."""

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources

_BLOCK = 64 * 1024
_LEAST_FILLER = 16
_PIECE = 256 * 1024


@dataclass(frozen=True, slots=True)
class Payload:
    """Bytes that are not all in memory at once: a beginning, then one block repeated."""

    size: int
    beginning: bytes
    block: bytes = b"\0"

    @classmethod
    def of(cls, body: bytes) -> "Payload":
        """Return a payload of exactly these bytes."""
        return cls(len(body), body)

    def piece(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` up to `stop`, as slicing the whole would."""
        stop = min(stop, self.size)
        beginning = self.beginning[start:stop]
        first = max(start - len(self.beginning), 0)
        count = stop - len(self.beginning) - first
        if count <= 0:
            return beginning
        offset = first % len(self.block)
        blocks = self.block * ((offset + count - 1) // len(self.block) + 1)
        return beginning + blocks[offset : offset + count]

    def pieces(self, span: range, step: int = _PIECE) -> Iterator[bytes]:
        """Yield the bytes at the positions in `span`, at most `step` at a time."""
        for start in range(span.start, span.stop, step):
            yield self.piece(start, min(start + step, span.stop))

    def whole(self) -> bytes:
        """Return all the bytes at once."""
        return self.piece(0, self.size)

    def sha256(self) -> str:
        """Return the checksum of all the bytes, in hexadecimal, in little memory."""
        digest = hashlib.sha256()
        for piece in self.pieces(range(self.size)):
            digest.update(piece)
        return digest.hexdigest()


@lru_cache(maxsize=256)
def grown_clip(size: int, seed: str) -> Payload:
    """Return an MP4 of `size` bytes that plays: the same for the same `seed`, and for no other.

    It is the clip and one `free` box (ISO/IEC 14496-12, 8.1.2) of seeded filler; where `size` is
    too small for both, it is as small as possible.
    """
    clip = _clip()
    box = max(size - len(clip), 8 + _LEAST_FILLER)
    if box < 2**32:
        header = struct.pack(">I4s", box, b"free")
    else:
        header = struct.pack(">I4sQ", 1, b"free", box)
    filler = hashlib.shake_128(seed.encode()).digest(min(box - len(header), _BLOCK))
    return Payload(len(clip) + box, clip + header, filler)


@cache
def _clip() -> bytes:
    return (resources.files("archiver.emulator") / "clip.mp4").read_bytes()
