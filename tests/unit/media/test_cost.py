"""What it costs to validate: a file that is made to keep the validator busy does not."""

import struct
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from archiver.media.reader import NotWhole
from archiver.media.validator import Validator
from tests.support.cost import calls
from tests.unit.media.samples import (
    CLUSTER,
    FTYP,
    LIVE_CLUSTER,
    MDAT,
    MVEX_MOOV,
    MVHD,
    TRACKS,
    VIDEOS,
    WEBM,
    box,
    element,
    handler,
    moof,
    segment,
    tfhd,
    trun,
)

MIB = 1 << 20
SIZE = 12 * MIB
LIVE, GIF = VIDEOS["live.webm"], VIDEOS["animated.gif"][:-1]
STBL = box("trak", box("mdia", box("minf", box("stbl", box("stco", bytes(8))))))

LONG_TRACKS = element(0x1654AE6B, b"\xae\x80" * 32_000)


def tables(count: int) -> bytes:
    """Return a track of so many samples, each in a chunk of its own."""
    sizes = struct.pack(">III", 0, 0, count) + b"\0\0\0\1" * count
    offsets = struct.pack(">II", 0, count) + b"\0\0\1\0" * count
    runs = struct.pack(">5I", 0, 1, 1, 1, 1)
    stbl = box("stbl", box("stsz", sizes), box("stsc", runs), box("stco", offsets))
    return box("trak", box("mdia", box("minf", stbl)))


def runs(count: int) -> bytes:
    """Return a track with so many runs of a single chunk of a single sample."""
    entries = b"".join(struct.pack(">III", first + 1, 1, 1) for first in range(count))
    stsc = box("stsc", struct.pack(">II", 0, count) + entries)
    stsz = box("stsz", struct.pack(">III", 0, 4, count))
    stco = box("stco", struct.pack(">II", 0, count) + b"\0\0\1\0" * count)
    return box("trak", box("mdia", box("minf", box("stbl", stsz, stsc, stco))))


def described(kind: bytes, ticks: bytes = b"") -> bytes:
    """Return a track that says what it is of, and how many ticks its samples take."""
    times, header = (
        box("mdhd", bytes(12), b"\0\0\0\1" * 2),
        box("tkhd", bytes(12), b"\0\0\0\1", bytes(68)),
    )
    entry = box("stsd", bytes(8), box("avc1", bytes(78)))
    stbl = box("stbl", entry, box("stts", ticks or bytes(8)))
    return box("trak", header, box("mdia", times, handler(kind), box("minf", stbl)))


def times_of(count: int) -> bytes:
    """Return a track whose samples take so many different times."""
    return described(b"vide", struct.pack(">II", 0, count) + b"\0\0\0\1" * 2 * count)


def repeated(part: bytes) -> bytes:
    return part * (SIZE // len(part))


HOSTILE: dict[str, Callable[[], bytes]] = {
    "boxes": lambda: VIDEOS["faststart.mp4"] + repeated(box("free")),
    "boxes in the index": lambda: FTYP + box("moov", MVHD, repeated(box("free"))) + MDAT,
    "tracks": lambda: FTYP + box("moov", MVHD, repeated(STBL)) + MDAT,
    "samples": lambda: FTYP + box("moov", MVHD, tables(SIZE // 8)) + MDAT,
    "runs of chunks": lambda: FTYP + box("moov", MVHD, runs(SIZE // 16)) + MDAT,
    "times": lambda: FTYP + box("moov", MVHD, times_of(SIZE // 8)) + MDAT,
    "described tracks": lambda: FTYP + box("moov", MVHD, repeated(described(b"soun"))) + MDAT,
    "fragments": lambda: FTYP + MVEX_MOOV + repeated(box("moof", box("mfhd"))),
    "runs of samples": lambda: FTYP + MVEX_MOOV + moof(tfhd(0), repeated(trun(0, 0))),
    "runs of counted samples": lambda: (
        FTYP + box("moov", MVHD, described(b"vide")) + moof(tfhd(0), repeated(trun(0, 0)))
    ),
    "elements of Tracks": lambda: (
        WEBM + segment(element(0x1654AE6B, b"\xec\x80" * 32_000), CLUSTER)
    ),
    "tracks of Matroska": lambda: WEBM + segment(LONG_TRACKS, CLUSTER),
    "many Tracks": lambda: WEBM + segment(repeated(LONG_TRACKS), CLUSTER),
    "elements": lambda: LIVE + repeated(b"\xec\x80"),
    "extensions": lambda: GIF + repeated(b"\x21\xfe\0"),
    "sub-blocks": lambda: GIF + b"\x21\xfe" + repeated(b"\x01x"),
    "images": lambda: GIF + repeated(b"\x2c" + bytes(9) + b"\x02\0"),
}
"""Files of 12 MiB of the smallest parts that a format has."""


@pytest.mark.parametrize("name", HOSTILE)
def test_tiny_parts_take_little_work(name: str) -> None:
    """Whether 12 MiB of them are refused or not, the work is that of a second or two."""
    data, validator = memoryview(HOSTILE[name]()), Validator()

    def validate() -> None:
        with suppress(NotWhole):
            for start in range(0, len(data), MIB):
                validator.feed(data[start : start + MIB])
            validator.finish()

    began = time.process_time()
    assert calls(validate) < 5_000_000
    assert time.process_time() - began < 30  # for what calls nothing; it took minutes once


def test_a_small_video_takes_few_calls() -> None:
    """A run of thousands of small videos is not spent on looking at them."""
    video = VIDEOS["faststart.mp4"] + box("free", bytes(60_000))

    def validate(*chunks: bytes) -> None:
        validator = Validator()
        for chunk in chunks:
            validator.feed(chunk)
        validator.finish()

    assert calls(lambda: validate(video)) < 220
    assert calls(lambda: validate(video[:30_000], video[30_000:])) < 220


def test_what_is_skipped_takes_next_to_no_calls() -> None:
    """The blocks of a large video cost nothing until the next part of it begins."""
    validator, block = Validator(), bytes(MIB)
    validator.feed(FTYP + box("moov", MVHD) + struct.pack(">I4s", 100 * MIB, b"mdat"))
    assert calls(lambda: validator.feed(block)) < 10


def test_real_videos_of_many_parts_are_whole() -> None:
    """Hours of live recording, in very many small fragments or clusters, are no attack."""
    media = box("mdat", bytes(300))
    fragment = moof(tfhd(0x20000), trun(0, 1)) + media
    validator = Validator()
    validator.feed(FTYP + MVEX_MOOV)
    for _ in range(30):
        validator.feed(fragment * 1000)
    assert validator.finish().extension == "mp4"
    block = element(0xA3, bytes(200))
    validator = Validator()
    validator.feed(WEBM + segment(TRACKS, LIVE_CLUSTER, unknown=True))
    for _ in range(100):
        validator.feed(block * 1000)
    assert validator.finish().extension == "webm"
