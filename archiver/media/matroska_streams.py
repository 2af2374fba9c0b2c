"""Streams of Matroska: what its `Info` and `Tracks` say (RFC 9559, 5.1.2 and 5.1.4).

They only describe: one that is malformed says nothing, and a video is not refused for it.
"""

import struct
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import TypeAlias

from archiver.media import codecs
from archiver.media.streams import Stream, scaled

_Fields: TypeAlias = Mapping[int, memoryview]
_TIMESTAMP_SCALE, _DURATION = 0x2AD7B1, 0x4489
_TRACK_ENTRY, _TYPE, _CODEC_ID, _DEFAULT_DURATION = 0xAE, 0x83, 0x86, 0x23E383
_VIDEO, _PIXEL_WIDTH, _PIXEL_HEIGHT = 0xE0, 0xB0, 0xBA
_DISPLAY_WIDTH, _DISPLAY_HEIGHT = 0x54B0, 0x54BA
_PROJECTION, _PROJECTION_TYPE, _POSE_ROLL = 0x7670, 0x7671, 0x7675
_AUDIO, _BIT_DEPTH = 0xE1, 0x6264
_IMAGES, _SOUND = 1, 2
_NANOSECONDS = 1_000_000_000
_FLOATS = {4: struct.Struct(">f"), 8: struct.Struct(">d")}
_NOTHING = memoryview(b"")


def duration(info: memoryview) -> float:
    """Return how long a video is, in seconds; 0 if its `Info` does not say it."""
    fields = dict(_elements(info))
    scale = _integer(fields, _TIMESTAMP_SCALE) or 1_000_000
    return _number(fields, _DURATION) * scale / _NANOSECONDS


def streams(tracks: memoryview) -> tuple[Stream, Stream]:
    """Return what is said of the first track of images, and of the first of sound."""
    entries = [dict(_elements(entry)) for id_, entry in _elements(tracks) if id_ == _TRACK_ENTRY]
    video = (entry for entry in entries if _integer(entry, _TYPE) == _IMAGES)
    audio = (entry for entry in entries if _integer(entry, _TYPE) == _SOUND)
    return _video(next(video, {})), _audio(next(audio, {}))


def _video(entry: _Fields) -> Stream:
    fields = dict(_elements(entry.get(_VIDEO, _NOTHING)))
    width, height = _integer(fields, _PIXEL_WIDTH), _integer(fields, _PIXEL_HEIGHT)
    display = _integer(fields, _DISPLAY_WIDTH), _integer(fields, _DISPLAY_HEIGHT)
    if all(display):
        width = scaled(height, *display)
    if _is_turned(fields):
        width, height = height, width
    ticks = _integer(entry, _DEFAULT_DURATION)
    return Stream(_codec(entry), width, height, _NANOSECONDS, samples=1, ticks=ticks)


def _audio(entry: _Fields) -> Stream:
    fields = dict(_elements(entry.get(_AUDIO, _NOTHING)))
    return Stream(_codec(entry, _integer(fields, _BIT_DEPTH)))


def _codec(entry: _Fields, bit_depth: int = 0) -> str | None:
    codec_id = bytes(entry.get(_CODEC_ID, _NOTHING)).rstrip(b"\0").decode("latin-1")
    return codecs.of_codec_id(codec_id, bit_depth)


def _is_turned(video: _Fields) -> bool:
    """Return whether flat images are shown turned by a quarter."""
    projection = dict(_elements(video.get(_PROJECTION, _NOTHING)))
    is_flat = not _integer(projection, _PROJECTION_TYPE)
    return is_flat and abs(_number(projection, _POSE_ROLL)) == 90


def _integer(fields: _Fields, id_: int) -> int:
    content = fields.get(id_, _NOTHING)
    return int.from_bytes(content) if len(content) <= 8 else 0


def _number(fields: _Fields, id_: int) -> float:
    content = fields.get(id_, _NOTHING)
    if layout := _FLOATS.get(len(content)):
        (number,) = layout.unpack(content)
        return float(number) if isfinite(number) else 0.0
    return 0.0


def _elements(content: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield the ID and the content of each element, up to one that is malformed."""
    at, end = 0, len(content)
    while at < end:
        id_length = 9 - content[at].bit_length()
        size_at = at + id_length
        if id_length > 4 or size_at >= end:
            return
        length = 9 - content[size_at].bit_length()
        begin = size_at + length
        if length > 8 or begin > end:
            return
        size = int.from_bytes(content[size_at:begin]) - (1 << 7 * length)
        if begin + size > end:
            return
        yield int.from_bytes(content[at:size_at]), content[begin : begin + size]
        at = begin + size
