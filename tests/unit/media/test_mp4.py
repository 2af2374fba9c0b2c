"""Which MP4 and QuickTime files are whole movies, and which are not."""

import struct
import time
import tracemalloc

import pytest

from archiver.media import MediaInfo, NotWhole, Validator
from tests.unit.media.checks import assert_not_whole, chunked, shown, validate
from tests.unit.media.samples import (
    FTYP,
    MDAT,
    MFRA,
    MOOF,
    MOOV,
    MVEX_MOOV,
    MVHD,
    box,
    large_box,
    trak,
)

MP4 = MediaInfo("mp4", open_ended=False)
MOV = MediaInfo("mov", open_ended=False)
OPEN_ENDED_MP4 = MediaInfo("mp4", open_ended=True)


@pytest.mark.parametrize(
    ("data", "media"),
    [
        (FTYP + MOOV + MDAT, MP4),
        (FTYP + MDAT + MOOV, MP4),
        (box("ftyp", b"qt  \0\0\0\0") + MOOV + MDAT, MOV),
        (box("free") + box("uuid", bytes(16)) + FTYP + MOOV + MDAT, MP4),
        (FTYP + box("\xa9xyz") + MOOV + MDAT, MP4),
        (FTYP + large_box("moov", MVHD, trak()) + large_box("mdat", b"m"), MP4),
        (FTYP + MOOV + b"\0\0\0\0mdat" + b"media", OPEN_ENDED_MP4),
        (FTYP + MDAT + b"\0\0\0\0moov" + MVHD + trak(), OPEN_ENDED_MP4),
        (FTYP + MOOV + box("mdat") + MDAT, MP4),
        (FTYP + MVEX_MOOV + MOOF + MDAT, OPEN_ENDED_MP4),
        (FTYP + MVEX_MOOV + MOOF + MDAT + MFRA, MP4),
        (FTYP + MVEX_MOOV + MOOF + MDAT + MFRA + box("free"), OPEN_ENDED_MP4),
        (FTYP + MVEX_MOOV + MDAT, OPEN_ENDED_MP4),
        (FTYP + MVEX_MOOV + MOOF + box("free") + MDAT + MOOF + box("mdat"), OPEN_ENDED_MP4),
        (FTYP + MOOV + MOOF + MDAT, OPEN_ENDED_MP4),
    ],
    ids=shown,
)
def test_mp4_whole(data: bytes, media: MediaInfo) -> None:
    """These arrangements of boxes are whole movies."""
    assert validate(data) == media == validate(*chunked(data, range(len(data))))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (MOOV + MDAT, "its 'moov' comes before any 'ftyp'"),
        (MDAT + FTYP + MOOV, "its 'mdat' comes before any 'ftyp'"),
        (box("free"), "it has no 'ftyp'"),
        (FTYP, "it has no 'moov'"),
        (FTYP + MDAT, "it has no 'moov'"),
        (FTYP + FTYP + MOOV + MDAT, "a second 'ftyp'"),
        (FTYP + MOOV + MDAT + MOOV, "a second 'moov'"),
        (box("ftyp", b"isom"), "does not fit inside its 'ftyp', which ends at 12"),
        (box("ftyp", b"heic\0\0\0\0") + box("meta") + MDAT, "an HEIC or AVIF still image"),
        (box("ftyp", b"avif\0\0\0\0") + box("meta") + MDAT, "an HEIC or AVIF still image"),
        (FTYP + MOOV, "it has no 'mdat', or only an empty one"),
        (FTYP + MOOV + box("mdat"), "it has no 'mdat', or only an empty one"),
        (FTYP + MOOV + large_box("mdat"), "it has no 'mdat', or only an empty one"),
        (FTYP + MOOV + b"\0\0\0\0mdat", "it has no 'mdat', or only an empty one"),
        (FTYP + box("moov") + MDAT, "it has no 'moov', or only an empty one"),
        (FTYP + box("moov", MVHD) + MDAT, "it has no 'moov/trak'"),
        (FTYP + box("moov", trak()) + MDAT, "it has no 'moov/mvhd'"),
        (FTYP + box("moov", trak() + box("trak", MVHD)) + MDAT, "it has no 'moov/mvhd'"),
        (
            FTYP + box("moov", MVHD, trak(), b"\0" * 7) + MDAT,
            f"the data at {len(FTYP + MOOV):,} does not fit inside its 'moov'",
        ),
        (FTYP + box("moov", MVHD, trak()[:-1]) + MDAT, "a 'trak' that ends at"),
        (FTYP + box("moov", MVHD, b"\0\0\0\0trak") + MDAT, "is 0 bytes long"),
        (FTYP + box("moov", MVHD, box("trak", b"\0\0\0\x20mdia")) + MDAT, "a 'mdia' that ends at"),
        (FTYP + MOOV + b"\0\0\0\7mdat", "is 7 bytes long, less than its header"),
        (FTYP + MOOV + struct.pack(">I4sQ", 1, b"mdat", 15), "is 15 bytes long"),
        (FTYP + MOOV + struct.pack(">I4sQ", 1, b"mdat", 0), "is 0 bytes long"),
        (
            FTYP + MOOV + struct.pack(">I4sQ", 1, b"mdat", 2**64 - 1),
            "inside its 'mdat', which ends at 18,446,",
        ),
        (FTYP + MOOV + MDAT + bytes(8), "expected a box at "),
        (FTYP + MOOV + MDAT + b"\0\0\0", "bytes, in the middle of a header"),
        (FTYP + MVEX_MOOV, "it has no 'mdat'"),
        (FTYP + MVEX_MOOV + MOOF, "it has no 'mdat'"),
        (FTYP + MVEX_MOOV + MOOF + box("mdat"), "it has no 'mdat', or only an empty one"),
        (FTYP + MVEX_MOOV + MOOF + MDAT + MOOF, "its last 'moof' has no 'mdat'"),
        (FTYP + MVEX_MOOV + MOOF + MDAT + MOOF + MFRA, "its last 'moof' has no 'mdat'"),
        (FTYP + MVEX_MOOV + MDAT + MOOF, "its last 'moof' has no 'mdat'"),
    ],
    ids=shown,
)
def test_mp4_not_whole(data: bytes, reason: str) -> None:
    """These are not whole movies, and the reason says why."""
    assert_not_whole(data, reason)


def test_a_cut_is_reported_with_both_positions() -> None:
    """The reason for a cut gives how many bytes came, and where the box would have ended."""
    data = FTYP + MOOV + box("mdat", bytes(1234))
    with pytest.raises(NotWhole) as error:
        validate(data[:-1000])
    assert str(error.value) == (
        f"cut after {len(data) - 1000:,} bytes, inside its 'mdat', which ends at {len(data):,}"
    )


@pytest.mark.parametrize("table", ["stco", "co64"])
def test_a_cut_between_two_mdat_is_detected(table: str) -> None:
    """A movie whose index names media behind its end is cut, even if all its boxes are complete."""

    def index(*offsets: int) -> bytes:
        long_track = trak(*offsets, *[1] * 3000, table=table)
        return box("moov", MVHD, long_track, trak(*offsets[:1], table=table))

    second = len(FTYP + index(0, 0) + MDAT) + 8
    whole = FTYP + index(second - len(MDAT), second) + MDAT + MDAT
    assert validate(whole) == MP4
    assert_not_whole(whole[: -len(MDAT)], f"bytes, but its media go on at {second:,}")


def test_an_index_may_name_any_place() -> None:
    """Chunk offsets of 64 bits are without sign, so the greatest lies behind every end."""
    moov = box("moov", MVHD, trak(2**64 - 1, table="co64"))
    assert_not_whole(FTYP + moov + MDAT, "but its media go on at 18,446,744,073,709,551,615")


def test_an_index_must_have_as_many_entries_as_it_counts() -> None:
    """A table of chunk offsets that is shorter than its count of entries is refused."""
    table = box("stco", struct.pack(">II", 0, 2**32 - 1))
    tracks = box("trak", box("mdia", box("minf", box("stbl", table))))
    assert_not_whole(FTYP + box("moov", MVHD, tracks) + MDAT, "does not fit inside its 'stco'")


def test_boxes_in_boxes_do_not_exhaust_the_stack() -> None:
    """However deep boxes are nested, only those of a movie's index are entered."""
    nest = b""
    for _ in range(5000):
        nest = box("trak", nest)
    assert validate(FTYP, box("moov", MVHD, nest), MDAT).extension == "mp4"


def test_three_gigabytes_take_no_time_and_no_memory() -> None:
    """Media are skipped: 3 GB pass in far less than a second each, and stay in no memory."""
    count, chunk, validator = 3 * 1024, bytes(2**20), Validator()
    validator.feed(FTYP + MOOV + struct.pack(">I4sQ", 1, b"mdat", 16 + count * len(chunk)))
    tracemalloc.start()
    begin = time.process_time()
    for _ in range(count):
        validator.feed(chunk)
    took = time.process_time() - begin
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert validator.finish() == MP4
    assert took < 2
    assert peak < 50_000


def test_many_boxes_are_not_remembered() -> None:
    """Memory does not grow with the number of boxes, whatever they are called."""
    boxes = b"".join(box(f"{number:04x}", b"x") for number in range(10_000))
    validator = Validator()
    tracemalloc.start()
    validator.feed(FTYP + MOOV)
    validator.feed(memoryview(boxes))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50_000
