"""The reader: hands the bytes of a video to a parser, as they arrive."""

from collections.abc import Generator
from dataclasses import dataclass
from math import inf
from typing import TypeAlias, TypeVar

_T = TypeVar("_T")
Steps: TypeAlias = Generator[None, None, _T]
"""A parser, written as if it read from a file: it yields where it must wait for more bytes."""

MAX_READ = 4096
"""The most bytes that a parser may ask for at once."""


class NotWhole(ValueError):
    """The bytes are not one whole video; the message is the reason, for people."""


@dataclass(frozen=True, slots=True)
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

    Its generators yield while they wait for more. It has at most one chunk in memory, and
    between chunks at most `MAX_READ` bytes.
    """

    def __init__(self) -> None:
        self.position = 0
        self.at_end = False
        """Whether no chunk follows; set by whoever feeds it."""
        self._chunk = memoryview(b"")

    def feed(self, chunk: bytes | bytearray | memoryview) -> None:
        """Append the next bytes."""
        self._chunk = memoryview(bytes(self._chunk) + chunk if self._chunk else chunk)

    def release(self) -> None:
        """Let go of the caller's chunk: copy what is unread, which is less than one read."""
        self._chunk = memoryview(bytes(self._chunk[:MAX_READ]))

    def peek(self, count: int) -> Steps[bytes]:
        """Return the next `count` bytes without passing them; fewer only at the end."""
        while len(self._chunk) < count and not self.at_end:
            yield
        return bytes(self._chunk[:count])

    def has_more(self, part: Extent) -> Steps[bool]:
        """Return whether anything is left in `part`, or in the file if `part` has no size."""
        return self.position < part.end and (part.end < inf or bool((yield from self.peek(1))))

    def read(self, count: int, inside: Extent) -> Steps[bytes]:
        """Return and pass the next `count` bytes; raise `NotWhole` if there are fewer."""
        if self.position + count > inside.end:
            raise NotWhole(f"the data at {self.position:,} does not fit inside {inside}")
        data = yield from self.peek(count)
        if len(data) < count:
            raise self.cut_inside(inside)
        self._pass(count)
        return data

    def skip(self, part: Extent) -> Steps[None]:
        """Pass what is left of `part`, of any size, without copying it."""
        self._pass(part.end - self.position)
        while self.position < part.end and not self.at_end:
            yield
            self._pass(part.end - self.position)
        if self.position < part.end < inf:
            raise self.cut_inside(part)

    def cut(self, place: str) -> NotWhole:
        """Return the error that the bytes end too early, at this place."""
        return NotWhole(f"cut after {self.position + len(self._chunk):,} bytes, {place}")

    def cut_inside(self, part: Extent) -> NotWhole:
        """Return the error that the bytes end inside `part`."""
        return self.cut("in the middle of a header" if part is FILE else f"inside {part}")

    def _pass(self, most: float) -> None:
        step = int(min(most, len(self._chunk)))
        self._chunk = self._chunk[step:]
        self.position += step
