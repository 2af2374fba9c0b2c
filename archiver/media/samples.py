"""Samples: where a movie's tables say that its media are (ISO/IEC 14496-12, 8.6 to 8.8)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, repeat
from operator import add, mul, sub

from archiver.media.boxes import Box, Fields
from archiver.media.reader import NotWhole

_FIRST_OFFSET = 8
"""No media come before the end of the first box's header."""


@dataclass(slots=True)
class Track:
    """The tables of a track: how large its samples are, and where the chunks of them begin."""

    handler: str = ""
    """What the track is of: vide, soun, text …"""
    _count: int = 0
    _size: int = 0
    _sizes: Sequence[int] = ()
    _offsets: Sequence[int] = ()
    _runs: Sequence[int] = ()

    def add(self, box: Box) -> None:
        """Take in a table, or another box of the track; raise `NotWhole` if it is malformed."""
        fields = box.fields()
        match box.name:
            case "hdlr":
                self.handler = fields.take(">8x4s")[0].decode("latin-1")
            case "stsz":
                self._size, self._count = fields.take(">4xII")
                self._sizes = () if self._size else fields.table(self._count)
            case "stz2":
                width, self._count = fields.take(">7xBI")
                self._sizes = fields.small_table(self._count, width)
            case "stco" | "co64":
                (count,) = fields.take(">4xI")
                self._offsets = fields.table(count, "I" if box.name == "stco" else "Q")
            case "stsc":
                (count,) = fields.take(">4xI")
                self._runs = fields.table(3 * count)

    @property
    def is_exact(self) -> bool:
        """Whether the sizes of its samples are known.

        Old QuickTime says one byte for each sample of sound, whatever they take: only the
        beginnings of its chunks are known then.
        """
        return self._size != 1

    def end(self) -> int:
        """Return where the last of its samples ends; 0 if it has none.

        Raises:
            NotWhole: if its tables list a sample, but not where it is.
        """
        if not self._count:
            return max(self._offsets, default=0)
        lengths = self._run_lengths()
        placed = sum(map(mul, self._runs[1::3], lengths))
        if placed < self._count:
            raise NotWhole(f"its tables list {self._count:,} samples, but place only {placed:,}")
        if (begin := min(self._offsets)) < _FIRST_OFFSET:
            raise NotWhole(f"its tables place media at {begin}, where none can be")
        if not self.is_exact:
            return max(self._offsets) + 1
        samples = chain.from_iterable(map(repeat, self._runs[1::3], lengths))
        ends: Iterator[int] = map(add, self._offsets, self._chunk_sizes(samples))
        return max(ends)

    def _run_lengths(self) -> list[int]:
        """Return how many chunks in a row have as many samples each, by the entries of `stsc`."""
        firsts = self._runs[::3]
        lengths = list(map(sub, chain(firsts[1:], (len(self._offsets) + 1,)), firsts))
        if firsts and (firsts[0] != 1 or min(lengths) < 0):
            raise NotWhole("its 'stsc' does not fit its table of chunks")
        return lengths

    def _chunk_sizes(self, samples: Iterator[int]) -> Iterator[int]:
        """Yield the size of each chunk, given how many samples each has."""
        if self._size:
            return (count * self._size for count in samples)
        sizes = iter(self._sizes)
        return (sum(islice(sizes, count)) for count in samples)


def default_size(trex: Box) -> tuple[int, int]:
    """Return the ID of a track, and how large its samples are in fragments that do not say it."""
    track, size = trex.fields().take(">4xI8xI")
    return track, size


@dataclass(slots=True)
class Fragment:
    """A movie fragment: where its runs of samples are (ISO/IEC 14496-12, 8.8)."""

    begin: int = 0
    """Where its box begins."""
    defaults: Mapping[int, int] = field(default_factory=dict)
    """How large the samples of each track are, where the fragment does not say it."""
    end: int = 0
    """Where the last of its samples ends."""
    _base: int = 0
    _next: int | None = None
    _size: int = 0

    def add(self, box: Box) -> None:
        """Take in a box of the fragment; raise `NotWhole` if it is malformed."""
        match box.name:
            case "tfhd":
                self._begin_track(box.fields())
            case "trun":
                self._add_run(box.fields())

    def _begin_track(self, fields: Fields) -> None:
        flags, track = fields.take(">II")
        if flags & 0x1:
            (self._base,) = fields.take(">Q")
        elif flags & 0x20000 or self._next is None:
            self._base = self.begin
        else:
            self._base = self._next
        fields.take(">4x" * bool(flags & 0x2) + "4x" * bool(flags & 0x8))
        self._size = fields.take(">I")[0] if flags & 0x10 else self.defaults.get(track, 0)
        self._next = self._base

    def _add_run(self, fields: Fields) -> None:
        flags, count = fields.take(">II")
        begin = self._base + fields.take(">i")[0] if flags & 0x1 else self._next or 0
        if flags & 0x4:
            fields.take(">4x")
        words = (flags & 0xF00).bit_count()
        table = fields.table(count * words)
        has_sizes, nth = flags & 0x200, flags >> 8 & 1
        size = sum(table[nth::words]) if has_sizes else count * self._size
        self._next = begin + size
        self.end = max(self.end, self._next)
