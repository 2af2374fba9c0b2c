"""Tracks: what the boxes of a movie say of the images and of the sound.

These boxes only describe: one that is malformed says nothing, and a movie is not refused for it.
"""

import struct
from collections.abc import Mapping, Sequence
from operator import mul

from archiver.media import codecs
from archiver.media.boxes import table
from archiver.media.streams import Stream, scaled

DESCRIBING = frozenset(("tkhd", "mdhd", "stsd", "stts", "edts"))
"""The boxes that describe a track (ISO/IEC 14496-12, 8.2 to 8.6)."""
_times = struct.Struct(">12xII").unpack_from
_large_times = struct.Struct(">20xIQ").unpack_from
_header = struct.Struct(">12xI24x2i4x2i16xII").unpack_from
_large_header = struct.Struct(">20xI28x2i4x2i16xII").unpack_from
_size = struct.Struct(">32xHH").unpack_from
_count = struct.Struct(">4xI").unpack_from
_edit = struct.Struct(">16xIi").unpack_from
_large_edit = struct.Struct(">16xQq").unpack_from
_pair = struct.Struct(">II").unpack_from
_ONE = b"\0\0\0\1"
_PIXEL_ASPECT = b"\0\0\0\x10pasp"
_MOST = 1 << 12
"""So much of a sample entry is looked at."""
_FIRST_EDIT = 36
"""Where the first edit of a track ends at the latest."""
_UNKNOWN_TIME = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF


def duration(mvhd: memoryview) -> float:
    """Return how long a movie is shown, in seconds; 0 if its header does not say it.

    The edits of its tracks are part of that. Fragments are not (ISO/IEC 14496-12, 8.8.2).
    """
    try:
        timescale, ticks = _large_times(mvhd) if mvhd[0] else _times(mvhd)
    except (struct.error, IndexError):
        return 0.0
    return ticks / timescale if timescale and ticks not in _UNKNOWN_TIME else 0.0


def stream(boxes: Mapping[str, memoryview], *, is_sound: bool) -> tuple[int, Stream]:
    """Return the ID of a track, and what its boxes say of it, up to one that is malformed."""
    track, found = 0, Stream()
    try:
        mdhd, tkhd, stsd = boxes["mdhd"], boxes["tkhd"], boxes["stsd"]
        if "edts" in boxes:
            found.edits = bytes(boxes["edts"][:_FIRST_EDIT])
        found.timescale, _ = _large_times(mdhd) if mdhd[0] else _times(mdhd)
        track, *shape = _large_header(tkhd) if tkhd[0] else _header(tkhd)
        entry = bytes(stsd[8:_MOST])
        found.codec = codecs.of_sample_entry(entry, is_sound=is_sound)
        if not is_sound:
            found.width, found.height = _shown(_size(entry), entry, shape)
        _count_samples(found, boxes["stts"])
    except (struct.error, KeyError, IndexError):
        pass
    return track, found


def is_timed(found: Stream) -> bool:
    """Return whether a track is shown for as long as its samples take, and from the first on.

    By an edit it may be shown later, or not from its beginning (ISO/IEC 14496-12, 8.6.6). A little
    is skipped of many: what a decoder needs before its first frame, or first sound.
    """
    if not (edits := found.edits) or not found.timescale:
        return bool(found.timescale)
    try:
        _, begin = _large_edit(edits) if edits[8] else _edit(edits)
    except (struct.error, IndexError):
        return False
    return bool(0 <= begin <= found.timescale / 2)


def _shown(size: tuple[int, int], entry: bytes, shape: Sequence[int]) -> tuple[int, int]:
    """Return the size of the images as they are shown.

    A `pasp` box has the shape of a pixel; without it the track's header shows it. A matrix turns
    the images: only by a quarter does it change their size.
    """
    (width, height), (a, b, c, d, *header) = size, shape
    if at := entry.find(_PIXEL_ASPECT) + 1:
        width = scaled(width, *_pair(entry, at + 7))
    elif all(header) and width:
        width = scaled(height, *header)
    return (height, width) if b and c and not (a or d) else (width, height)


def _count_samples(found: Stream, stts: memoryview) -> None:
    """Take in how many samples there are, and how long they take (ISO/IEC 14496-12, 8.6.1.2)."""
    if stts[4:8] == _ONE:
        found.samples, delta = _pair(stts, 8)
        found.ticks = found.samples * delta
    else:
        (entries,) = _count(stts)
        values = table(stts, 8, 2 * entries)
        counts, deltas = values[::2], values[1::2]
        found.samples, found.ticks = sum(counts), sum(map(mul, counts, deltas))
