"""The reader: hands the bytes of a video to a parser, as they arrive."""

import re
from collections.abc import Generator
from dataclasses import dataclass
from math import inf
from typing import TypeAlias, TypeVar

_T = TypeVar("_T")
Steps: TypeAlias = Generator[None, None, _T]
"""A parser, written as if it read from a file: it yields where it must wait for more bytes."""

MAX_READ = 4096
"""The most bytes that a parser may look at without gathering them."""
MANY_PARTS = 50_000
_LEAST_PART = 24
"""What has more parts than the former must have as many bytes for each, on average."""
_WHITE_SPACE = b"\t\n\v\f\r "
PADDING = b"\0" + _WHITE_SPACE
ONLY_PADDING = re.compile(b"\0+|[%b]+" % _WHITE_SPACE)
"""What may fill up a file: not a mixture of both."""


class NotWhole(ValueError):
    """The bytes are not one whole video; the message is the reason, for people."""


@dataclass(slots=True)
class Extent:
    """A part of a file, such as a box or an element: its name, and the position of its end.

    The end is `inf` where the part gives no size; it then reaches to the end of the file.
    """

    name: str
    end: float = inf

    def __str__(self) -> str:
        return f"its {self.name!r}" + ("" if self.end == inf else f", which ends at {self.end:,}")

    def child(self, name: str, end: int) -> "Extent":
        """Return a part of this part; raise `NotWhole` if it does not fit inside."""
        if end > self.end:
            raise NotWhole(f"a {name!r} that ends at {end:,} does not fit inside {self}")
        return Extent(name, end)


FILE = Extent("file")


class Reader:
    """Reads forwards through bytes that are fed in chunks.

    Its generators yield while they wait for more. What is skipped is not copied: between chunks
    at most `MAX_READ` bytes are kept, besides what a parser gathers.
    """

    def __init__(self) -> None:
        self.position = 0
        """Where the parser is: ahead of what has come, where it has skipped that far."""
        self.received = 0
        """How many bytes have come."""
        self.at_end = False
        """Whether no chunk follows; set by whoever feeds it."""
        self.parts = 0
        """How many parts have been counted."""
        self._data = memoryview(b"")
        self._begin = 0
        """The position of the first byte in `_data`."""
        self._skipped = FILE

    def feed(self, chunk: bytes | bytearray | memoryview) -> bool:
        """Append the next bytes; return whether any are left to be read, and not all skipped."""
        unread = self._unread()
        self._begin = self.position if unread else self.received
        self.received += len(chunk)
        if self.position >= self.received:
            chunk = b""
        self._data = memoryview(bytes(unread) + chunk if unread else chunk)
        return self.position < self.received

    def release(self) -> None:
        """Let go of the caller's chunk: copy what is unread, which is less than one read.

        It is more only where the parser has ended, and then of no use.
        """
        self._data = memoryview(self.look(MAX_READ))
        self._begin = self.position

    def look(self, count: int) -> bytes:
        """Return the next `count` bytes without passing them; fewer if no more have come."""
        at = self.position - self._begin
        return self._data[at : at + count].tobytes()

    def peek(self, count: int) -> Steps[bytes]:
        """Return the next `count` bytes without passing them; fewer only at the end.

        Raises:
            NotWhole: if the end comes before the end of what was skipped.
        """
        while len(data := self.look(count)) < count and not self.at_end:
            yield
        if self.position > self.received:
            raise self.cut_inside(self._skipped)
        return data

    def has_more(self, part: Extent) -> Steps[bool]:
        """Return whether anything is left in `part`, or in the file if `part` has no size."""
        if self.position < self.received or part.end < inf:
            return self.position < part.end
        return bool((yield from self.peek(1)))

    def read(self, count: int, inside: Extent) -> Steps[bytes]:
        """Return and pass the next `count` bytes; raise `NotWhole` if there are fewer."""
        if self.position + count > inside.end:
            raise NotWhole(f"the data at {self.position:,} does not fit inside {inside}")
        if len(data := self.look(count)) < count:
            data = yield from self.peek(count)
            if len(data) < count:
                raise self.cut_inside(inside)
        self.position += count
        return data

    def gather(self, part: Extent, most: int) -> Steps[memoryview]:
        """Return and pass what is left of `part`.

        Raises:
            NotWhole: if that is more than `most` bytes, or not all of it comes.
        """
        if part.end <= self.received and part.end - self.position <= most:
            return memoryview((yield from self.read(int(part.end) - self.position, part)))
        gathered = bytearray()
        while (yield from self.has_more(part)):
            size = len(gathered) + (part.end - self.position if part.end < inf else 1)
            if size > most:
                raise NotWhole(f"its {part.name!r} is too long: no video has {size:,} bytes of it")
            if data := self.look(int(min(part.end - self.position, most))):
                gathered += data
                self.position += len(data)
            elif self.at_end:
                raise self.cut_inside(part)
            else:
                yield
        return memoryview(gathered)

    def skip(self, part: Extent) -> None:
        """Pass what is left of a part that has a size; the next read finds out if it came."""
        if self.position < part.end < inf:
            self.position, self._skipped = int(part.end), part

    def skip_all(self) -> Steps[None]:
        """Pass all that comes, to the end of the file."""
        self.position = self.received
        while not self.at_end:
            yield
            self.position = self.received

    def skip_blocks(self, inside: Extent) -> Steps[bool]:
        """Pass blocks that begin with their length, a byte, up to an empty one.

        Return whether there were any. They are small and many, and so are not read one by one.
        """
        begin = self.position
        length = -1
        while length:
            data, start = self._data, self._begin
            at, size = self.position - start, len(data)
            while at < size and length:
                length = data[at]
                at += 1 + length
            self.position = start + at
            if length and self.at_end:
                raise self.cut_inside(inside)
            if length:
                yield
        return self.position > begin + 1

    def skip_padding(self) -> Steps[bool]:
        """Pass NUL bytes, or white space, if no others follow up to the end of the file.

        Return whether there were any; where the next bytes are others, none is passed.

        Raises:
            NotWhole: if others follow after them.
        """
        if len(head := self.look(8)) < 8:
            head = yield from self.peek(8)
        if not ONLY_PADDING.fullmatch(head):
            return False
        padding = b"\0" if head.startswith(b"\0") else _WHITE_SPACE
        while not (self.at_end and self.position == self.received):
            if rest := self.look(len(self._data)).lstrip(padding):
                raise NotWhole(f"it goes on after its end at {self.received - len(rest):,}")
            self.position = self.received
            yield
        return True

    def count_part(self, position: int) -> None:
        """Count a part that begins here; raise `NotWhole` if no video of this size has as many.

        It is the number of its parts that costs time, not their size.
        """
        self.parts += 1
        if self.parts > MANY_PARTS:
            self.check_parts(position)

    def check_parts(self, position: int) -> None:
        """Raise `NotWhole` if no video has this number of parts up to this position."""
        if self.parts > MANY_PARTS + position // _LEAST_PART:
            raise NotWhole(f"not a video: {self.parts:,} parts in its first {position:,} bytes")

    def cut(self, place: str) -> NotWhole:
        """Return the error that the bytes end too early, at this place."""
        return NotWhole(f"cut after {self.received:,} bytes, {place}")

    def cut_inside(self, part: Extent) -> NotWhole:
        """Return the error that the bytes end inside `part`."""
        return self.cut("in the middle of a header" if part is FILE else f"inside {part}")

    def _unread(self) -> memoryview:
        return self._data[self.position - self._begin :]
