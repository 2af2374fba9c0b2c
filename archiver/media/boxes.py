"""Boxes: what a movie is made of (ISO/IEC 14496-12, section 4.2), and the tables in them."""

import re
import struct
import sys
from array import array
from collections.abc import Sequence
from functools import lru_cache

from archiver.media.reader import FILE, Extent, NotWhole

HEADER, LARGE_HEADER = 8, 16
"""How long the header of a box is, and that of one whose length takes 64 bits."""
unpack_header = struct.Struct(">I4s").unpack_from
"""Return the length of the box that begins at a place in a buffer, and the letters of its name."""
_unpack_length = struct.Struct(">8xQ").unpack_from
_IS_LARGE = b"\0\0\0\1"
_NAME = re.compile(b"[ -~\xa9]{4}")


def header_size(head: bytes) -> int:
    """Return how long the header of a box is that begins so."""
    return LARGE_HEADER if head.startswith(_IS_LARGE) else HEADER


def read_header(
    data: bytes | memoryview, at: int, begin: int, inside: Extent
) -> tuple[str, int, int]:
    """Return the name of a box, and the lengths of its header and of the whole box.

    The latter is zero where the box reaches to the end of the file. `data` begin at a position
    in the file, and the box begins `at` a place in them.

    Raises:
        NotWhole: if no box begins there, or one that does not fit inside.
    """
    try:
        (length, letters), header = unpack_header(data, at), HEADER
        if length == 1:
            (length,), header = _unpack_length(data, at), LARGE_HEADER
    except struct.error:
        raise NotWhole(f"the data at {begin + at:,} does not fit inside {inside}") from None
    name = box_name(letters)
    if name is None:
        found = bytes(data[at : at + HEADER]).hex()
        raise NotWhole(f"expected a box at {begin + at:,}, found 0x{found}")
    if length < header and (length or inside is not FILE or header == LARGE_HEADER):
        place = f"{name!r} at {begin + at:,}"
        raise NotWhole(f"its {place} is {length} bytes long, less than its header")
    if (end := begin + at + length) > inside.end:
        inside.child(name, end)  # raises
    return name, header, length


@lru_cache(maxsize=128)
def box_name(letters: bytes) -> str | None:
    """Return the name of a box; None if these are not the letters of one."""
    return letters.decode("latin-1") if _NAME.fullmatch(letters) else None


def table(content: memoryview, at: int, count: int, typecode: str = "I") -> "array[int]":
    """Return `count` numbers, from a place in a box on.

    Raises:
        struct.error: if there are fewer, as `unpack_from` does.
    """
    numbers = array(typecode)
    end = at + count * numbers.itemsize
    if end > content.nbytes:
        raise struct.error(f"a table of {count:,} numbers does not fit")
    numbers.frombytes(content[at:end])
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers


def small_table(content: memoryview, at: int, count: int, width: int) -> Sequence[int]:
    """Return `count` numbers of 4, 8 or 16 bits each, as `table` does."""
    if width > 4:
        return table(content, at, count, "H" if width == 16 else "B")
    pairs = table(content, at, (count + 1) // 2, "B")
    return array("B", (half for pair in pairs for half in (pair >> 4, pair & 15)))[:count]
