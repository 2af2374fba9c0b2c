"""Parts: the pieces in which a large object is written, and what a store keeps of them."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from archiver.errors import StorageError
from archiver.s3.bodies import blocks
from archiver.s3.objects import Body
from archiver.threads import in_thread

if TYPE_CHECKING:
    from hashlib import _Hash

MOST = 10_000
"""How many parts an object may have (Amazon S3, "multipart upload limits")."""
_MEBIBYTE = 1 << 20
_BLOCK = 1 << 20


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


def part_size(size: int, least: int) -> int:
    """Return how large each part but the last is: so large that they are not too many."""
    needed = -(-size // MOST)
    return max(least, -(-needed // _MEBIBYTE) * _MEBIBYTE)


async def split(body: Body, size: int) -> list[Part]:
    """Return the parts of an object, each with its checksum.

    Raises:
        StorageError: if it is not what was recorded, or cannot be read.
    """
    whole = hashlib.sha256()
    parts = [
        await in_thread(_hash_part, body, start, min(size, body.size - start), whole)
        for start in range(0, body.size, size)
    ]
    if whole.hexdigest() != body.sha256:
        raise StorageError(f"{body.file or 'an object'} is not what was recorded: it has changed")
    return parts


def composite(parts: Sequence[Part]) -> str:
    """Return what a store keeps of parts: the checksum of their checksums, and their number."""
    digests = b"".join(bytes.fromhex(part.sha256) for part in parts)
    return f"{base64.b64encode(hashlib.sha256(digests).digest()).decode()}-{len(parts)}"


def _hash_part(body: Body, start: int, size: int, whole: "_Hash") -> Part:
    """Hash some of the bytes of an object, for themselves and as the next of the whole."""
    digest = hashlib.sha256()
    for block in blocks(body, start, size, _BLOCK):
        digest.update(block)
        whole.update(block)
    return Part(body, start, size, digest.hexdigest())
