"""Samples: where a movie's tables say that its media are (ISO/IEC 14496-12, 8.6 to 8.8)."""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, repeat
from operator import add, mul, sub
from typing import TypeAlias

from archiver.media.boxes import small_table, table
from archiver.media.reader import NotWhole
from archiver.media.streams import Stream

_HANDLER = struct.Struct(">8x4s")
_COUNT = struct.Struct(">4xI")
_SIZES = struct.Struct(">4xII")
_SMALL_SIZES = struct.Struct(">7xBI")
_DEFAULTS = struct.Struct(">4xI4xII")
_FLAGS = struct.Struct(">II")
_FIRST_OFFSET = 8
"""No media come before the end of the first box's header."""


@dataclass(slots=True)
class Track:
    """The tables of a track: how large its samples are, and where the chunks of them begin."""

    handler: str = ""
    """What the track is of: vide, soun, text …"""
    boxes: dict[str, memoryview] = field(default_factory=dict)
    """What describes it, by name."""
    _count: int = 0
    _size: int = 0
    _sizes: Sequence[int] = ()
    _offsets: Sequence[int] = ()
    _runs: Sequence[int] = ()

    def add(self, name: str, content: memoryview) -> None:
        """Take in a table, or another box of the track.

        Raises:
            struct.error: if it is too short.
        """
        match name:
            case "hdlr":
                self.handler = _HANDLER.unpack_from(content)[0].decode("latin-1")
            case "stsz":
                self._size, self._count = _SIZES.unpack_from(content)
                self._sizes = () if self._size else table(content, _SIZES.size, self._count)
            case "stz2":
                width, self._count = _SMALL_SIZES.unpack_from(content)
                self._sizes = small_table(content, _SMALL_SIZES.size, self._count, width)
            case "stco" | "co64":
                (count,) = _COUNT.unpack_from(content)
                typecode = "I" if name == "stco" else "Q"
                self._offsets = table(content, _COUNT.size, count, typecode)
            case "stsc":
                (count,) = _COUNT.unpack_from(content)
                self._runs = table(content, _COUNT.size, 3 * count)

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
        lengths, per_chunk = self._run_lengths(), self._runs[1::3]
        placed = sum(map(mul, per_chunk, lengths))
        if placed < self._count:
            raise NotWhole(f"its tables list {self._count:,} samples, but place only {placed:,}")
        if (begin := min(self._offsets)) < _FIRST_OFFSET:
            raise NotWhole(f"its tables place media at {begin}, where none can be")
        if not self.is_exact:
            return max(self._offsets) + 1
        samples = chain.from_iterable(map(repeat, per_chunk, lengths))
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


SampleDefaults: TypeAlias = tuple[int, int]
"""How many ticks a sample takes, and how large it is."""


def sample_defaults(trex: memoryview) -> tuple[int, SampleDefaults]:
    """Return the ID of a track, and what its samples are in fragments that do not say it."""
    track, *defaults = _DEFAULTS.unpack_from(trex)
    return track, (defaults[0], defaults[1])


@dataclass(slots=True)
class Fragment:
    """A movie fragment: where its runs of samples are (ISO/IEC 14496-12, 8.8)."""

    begin: int = 0
    """Where its box begins."""
    defaults: Mapping[int, SampleDefaults] = field(default_factory=dict)
    """What the samples of each track are, where the fragment does not say it."""
    streams: Mapping[int, Stream] = field(default_factory=dict)
    """Of which tracks the samples are counted."""
    end: int = 0
    """Where the last of its samples ends."""
    _base: int = 0
    _next: int | None = None
    _size: int = 0
    _ticks: int = 0
    _stream: Stream | None = None

    def add(self, name: str, content: memoryview) -> None:
        """Take in a box of the fragment.

        Raises:
            struct.error: if it is too short.
        """
        match name:
            case "tfhd":
                self._begin_track(content)
            case "trun":
                self._add_run(content)

    def _begin_track(self, content: memoryview) -> None:
        flags, track = _FLAGS.unpack_from(content)
        has_base, has_entry, has_ticks, has_size = (
            flags & 1,
            flags >> 1 & 1,
            flags >> 3 & 1,
            flags >> 4 & 1,
        )
        layout = f">8x{has_base}Q{4 * has_entry}x{has_ticks}I{has_size}I"
        fields = struct.unpack_from(layout, content)
        if has_base:
            self._base = fields[0]
        elif flags & 0x20000 or self._next is None:
            self._base = self.begin
        else:
            self._base = self._next
        self._ticks, self._size = self.defaults.get(track, (0, 0))
        if has_ticks:
            self._ticks = fields[has_base]
        if has_size:
            self._size = fields[-1]
        self._next = self._base
        self._stream = self.streams.get(track)

    def _add_run(self, content: memoryview) -> None:
        flags, count = _FLAGS.unpack_from(content)
        at = _FLAGS.size
        begin = self._next or 0
        if flags & 0x1:
            begin = self._base + struct.unpack_from(">i", content, at)[0]
            at += 4
        if flags & 0x4:
            at += 4
        words = (flags & 0xF00).bit_count()
        entries = table(content, at, count * words)
        has_sizes, nth = flags & 0x200, flags >> 8 & 1
        size = sum(entries[nth::words]) if has_sizes else count * self._size
        self._next = begin + size
        self.end = max(self.end, self._next)
        if self._stream:
            ticks = sum(entries[::words]) if flags & 0x100 else count * self._ticks
            self._stream.add(count, ticks)
