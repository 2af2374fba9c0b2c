"""Boxes: what a movie is made of (ISO/IEC 14496-12, section 4.2), and the fields in them."""

import re
import struct
import sys
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from archiver.media.reader import FILE, Extent, NotWhole, Reader, Steps

_HEADER = struct.Struct(">I4s")
_LARGE = struct.Struct(">I4sQ")
_IS_LARGE = b"\0\0\0\1"
_NAME = re.compile(b"[ -~\xa9]{4}")


@dataclass(slots=True)
class Box:
    """A box in memory, with what is in it."""

    name: str
    begin: int
    """The position of its content in the file."""
    content: memoryview

    def children(self) -> Iterator["Box"]:
        """Yield the boxes in it; raise `NotWhole` if there is anything else in it."""
        content, begin, at, size = self.content, self.begin, 0, len(self.content)
        inside = Extent(self.name, begin + size)
        while at < size:
            name, header, length = _read_header(content, at, begin, inside)
            end = at + length
            yield Box(name, begin + at + header, content[at + header : end])
            at = end

    def fields(self) -> "Fields":
        """Return its content, to be taken field by field."""
        return Fields(self.name, self.content)


class Fields:
    """Takes the fields of a box, one after the other."""

    def __init__(self, box: str, content: memoryview) -> None:
        self._box = box
        self._content = content
        self._at = 0

    def take(self, layout: str) -> tuple[Any, ...]:
        """Return the next fields, in this layout of `struct`; raise `NotWhole` if some lack."""
        try:
            fields = struct.unpack_from(layout, self._content, self._at)
        except struct.error:
            raise self._too_short() from None
        self._at += struct.calcsize(layout)
        return fields

    def table(self, count: int, typecode: str = "I") -> "array[int]":
        """Return the next `count` numbers; raise `NotWhole` if there are fewer."""
        table = array(typecode)
        end = self._at + count * table.itemsize
        if end > len(self._content):
            raise self._too_short()
        table.frombytes(self._content[self._at : end])
        self._at = end
        if sys.byteorder == "little":
            table.byteswap()
        return table

    def small_table(self, count: int, width: int) -> Sequence[int]:
        """Return the next `count` numbers of 4, 8 or 16 bits each."""
        if width > 4:
            return self.table(count, "H" if width == 16 else "B")
        pairs = self.table((count + 1) // 2, "B")
        return array("B", (half for pair in pairs for half in (pair >> 4, pair & 15)))[:count]

    def _too_short(self) -> NotWhole:
        return NotWhole(f"its {self._box!r} is too short for what it should list")


def box_in_file(reader: Reader) -> Steps[Extent]:
    """Read the header of a box that is in no other."""
    begin = reader.position
    if len(head := reader.look(_LARGE.size)) < _LARGE.size:
        head = yield from reader.peek(_LARGE.size)
    if len(head) < (_LARGE.size if head.startswith(_IS_LARGE) else _HEADER.size):
        raise reader.cut_inside(FILE)
    name, header, length = _read_header(head, 0, begin, FILE)
    reader.position += header
    return Extent(name, begin + length) if length else Extent(name)


def _read_header(
    data: bytes | memoryview, at: int, begin: int, inside: Extent
) -> tuple[str, int, int]:
    """Return the name of a box, and the lengths of its header and of the whole box.

    The latter is zero where the box reaches to the end of the file. `data` begin at a position
    in the file, and the box begins `at` a place in them.
    """
    try:
        length, letters = _HEADER.unpack_from(data, at)
        header = _HEADER.size
        if length == 1:
            length, header = _LARGE.unpack_from(data, at)[2], _LARGE.size
    except struct.error:
        raise NotWhole(f"the data at {begin + at:,} does not fit inside {inside}") from None
    name = _name(letters)
    if name is None:
        found = bytes(data[at : at + _HEADER.size]).hex()
        raise NotWhole(f"expected a box at {begin + at:,}, found 0x{found}")
    if length < header and (length or inside is not FILE or header == _LARGE.size):
        place = f"{name!r} at {begin + at:,}"
        raise NotWhole(f"its {place} is {length} bytes long, less than its header")
    if (end := begin + at + length) > inside.end:
        inside.child(name, end)  # raises
    return name, header, length


@lru_cache(maxsize=128)
def _name(letters: bytes) -> str | None:
    return letters.decode("latin-1") if _NAME.fullmatch(letters) else None
