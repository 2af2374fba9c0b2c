"""Which MP4 and QuickTime files are whole movies, and which are not."""

import struct
import time
import tracemalloc
from collections.abc import Callable

import pytest

from archiver.media.info import MediaInfo
from archiver.media.reader import NotWhole
from archiver.media.validator import Validator
from tests.unit.media.checks import assert_not_whole, chunked, shown, validate, verdict
from tests.unit.media.samples import (
    FTYP,
    MDAT,
    MFRA,
    MOOF,
    MOOV,
    MVEX_MOOV,
    MVHD,
    box,
    equal_sizes,
    large_box,
    moof,
    offsets,
    one_chunk,
    runs,
    sizes,
    tfhd,
    trak,
    trun,
)

MP4 = MediaInfo("mp4", open_ended=False)
MOV = MediaInfo("mov", open_ended=False)
OPEN_ENDED_MP4 = MediaInfo("mp4", open_ended=True)


@pytest.mark.parametrize(
    ("data", "media"),
    [
        (FTYP + MOOV + MDAT, MP4),
        (FTYP + MDAT + MOOV, MP4),
        (MOOV + MDAT, MOV),
        (MDAT + MOOV, MOV),
        (box("wide") + MDAT + MOOV, MOV),
        (box("skip", b"x") + MOOV + MDAT, MOV),
        (box("pnot", bytes(12)) + box("PICT", b"picture") + MDAT + MOOV, MOV),
        (MDAT + FTYP + MOOV, MP4),
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
        (MOOF + MDAT, "its 'moof' comes before any 'moov'"),
        (box("styp", b"msdh\0\0\0\0") + MOOF + MDAT, "its 'moof' comes before any 'moov'"),
        ((MDAT + MOOV) * 2, "a second 'moov'"),
        (MDAT, "it has no 'moov'"),
        (b"\0\0\0\0mdat" + b"media" + MOOV, "it has no 'moov'"),
        (box("free"), "it has no 'moov'"),
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
        (FTYP + MOOV + MDAT + b"\xff" * 8, "expected a box at "),
        (FTYP + MOOV + MDAT + b"\0\0\1", "bytes, in the middle of a header"),
        (FTYP + MOOV + MDAT + b"\0\0\0\1free\0\0\0", "bytes, in the middle of a header"),
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


def tracks(*tables: tuple[bytes, ...]) -> bytes:
    """Return a movie of media of 10 bytes, at 1000, and of 10 more, at 1018."""
    moov = box("moov", MVHD, *(trak(*one) for one in tables))
    filler = box("free", bytes(1000 - 16 - len(FTYP + moov)))
    return FTYP + moov + filler + box("mdat", bytes(10)) + box("mdat", bytes(10))


FITTING = {
    "one chunk": (one_chunk(1000, 2, 3, 5),),
    "its samples end where the file ends": (one_chunk(1018, 10),),
    "two chunks": ((runs(1, 1, 1), sizes(10, 10), offsets(1000, 1018)),),
    "two chunks, back to front": ((runs(1, 1, 1), sizes(10, 10), offsets(1018, 1000)),),
    "chunks of different numbers": (
        (runs(1, 2, 1, 2, 1, 1), sizes(4, 6, 10), offsets(1000, 1018)),
    ),
    "tables in another order": ((offsets(1000, 1018), sizes(4, 6, 9, 1), runs(1, 2, 1)),),
    "64-bit offsets": ((runs(1, 1, 1), sizes(10, 10), offsets(1000, 1018, name="co64")),),
    "equal sizes": ((runs(1, 5, 1), equal_sizes(2, 10), offsets(1000, 1018)),),
    "sound of one byte": ((runs(1, 4000, 1), equal_sizes(1, 4000), offsets(1018)),),
    "fields of 4 bits": (
        (runs(1, 3, 1), box("stz2", bytes(7), b"\4\0\0\0\3\x23\x50"), offsets(1000)),
    ),
    "fields of 8 bits": (
        (runs(1, 2, 1), box("stz2", bytes(7), b"\x08\0\0\0\2\4\6"), offsets(1018)),
    ),
    "fields of 16 bits": (
        (runs(1, 2, 1), box("stz2", bytes(7), b"\x10\0\0\0\2\0\4\0\6"), offsets(1018)),
    ),
    "more places than samples": ((runs(1, 3, 1), sizes(4, 6, 9, 1), offsets(1000, 1018)),),
    "a track without samples": ((runs(), sizes(), offsets()), one_chunk(1000, 10)),
    "two tracks": (one_chunk(1000, 4), one_chunk(1018, 6)),
}
"""Tables whose samples are all there."""

UNFITTING = {
    "the last sample is too long": (one_chunk(1018, 4, 7),),
    "a sample that is not in the last chunk": ((runs(1, 1, 1), sizes(29, 1), offsets(1000, 1018)),),
    "chunks back to front": ((runs(1, 1, 1), sizes(11, 10), offsets(1018, 1000)),),
    "chunks of different numbers": (
        (runs(1, 1, 1, 2, 2, 1), sizes(10, 5, 6), offsets(1000, 1018)),
    ),
    "tables in another order": ((offsets(1018), sizes(11), runs(1, 1, 1)),),
    "64-bit offsets": ((runs(1, 1, 1), sizes(11), offsets(1018, name="co64")),),
    "equal sizes": ((runs(1, 6, 1), equal_sizes(2, 12), offsets(1000, 1018)),),
    "sound of one byte": ((runs(1, 1, 1), equal_sizes(1, 1), offsets(1028)),),
    "fields of 4 bits": (
        (runs(1, 3, 1), box("stz2", bytes(7), b"\4\0\0\0\3\x23\x60"), offsets(1018)),
    ),
    "the second track": (one_chunk(1000, 4), one_chunk(1018, 11)),
    "a chunk of no sample": ((runs(1, 1, 1), sizes(), offsets(1029)),),
    "any place, without sign": ((offsets(2**64 - 1, name="co64"),),),
}
"""Tables with a sample that is not there; its media would end behind the file."""

MISPLACED = {
    "no chunk": ((runs(1, 1, 1), sizes(10), offsets()), "list 1 samples, but place only 0"),
    "no run": ((runs(), sizes(10), offsets(1000)), "list 1 samples, but place only 0"),
    "no table of chunks": ((runs(1, 1, 1), sizes(10)), "list 1 samples, but place only 0"),
    "too few places": ((runs(1, 1, 1), sizes(4, 6), offsets(1000)), "list 2 samples"),
    "a chunk of zeros": (
        (runs(1, 1, 1), sizes(10, 10), offsets(1000, 0)), "place media at 0, where none can be",
    ),
    "runs that begin late": ((runs(2, 1, 1), sizes(10), offsets(1000)), "its 'stsc' does not fit"),
    "runs that go back": (
        (runs(1, 1, 1, 5, 1, 1, 2, 1, 1), sizes(1, 1), offsets(1000, 1001)), "its 'stsc' does not",
    ),
    "fewer offsets than counted": (
        (box("stco", struct.pack(">II", 0, 2**32 - 1)),), "its 'stco' is too short",
    ),
    "fewer sizes than counted": (
        (box("stsz", struct.pack(">III", 0, 0, 1)),), "its 'stsz' is too short",
    ),
    "half a count": ((box("stsz", bytes(9)),), "its 'stsz' is too short"),
}  # fmt: skip
"""Tables that list a sample, but not where it is."""


@pytest.mark.parametrize("name", FITTING)
def test_all_listed_samples_are_there(name: str) -> None:
    """A movie is whole with all samples that its tables list, wherever they are."""
    whole = tracks(*FITTING[name])
    assert len(whole) == 1028
    assert validate(whole) == MP4 == validate(*chunked(whole, range(len(whole))))


@pytest.mark.parametrize("name", UNFITTING)
def test_a_listed_sample_is_missing(name: str) -> None:
    """A movie is cut if a sample lies behind its end, even if all its boxes are complete."""
    assert_not_whole(tracks(*UNFITTING[name]), "cut after 1,028 bytes, but its media go on up to ")


@pytest.mark.parametrize("name", MISPLACED)
def test_a_listed_sample_lies_nowhere(name: str) -> None:
    """A movie whose tables do not tell where all their samples are is not whole."""
    tables, reason = MISPLACED[name]
    assert_not_whole(tracks(tables), reason)


@pytest.mark.parametrize("name", ["stco", "co64"])
def test_a_cut_between_two_mdat_is_detected(name: str) -> None:
    """Where the cut leaves only complete boxes, the tables show that media are missing."""
    tables = (runs(1, 1, 1), sizes(*[1] * 3000), offsets(*[1000] * 2999, 1018, name=name))
    moov = box("moov", MVHD, trak(*tables), trak(*one_chunk(1000, 10)))
    shift = len(FTYP + moov) + 8 - 1000
    chunks = offsets(*[1000 + shift] * 2999, 1018 + shift, name=name)
    moov = box("moov", MVHD, trak(*tables[:2], chunks), trak(*one_chunk(1000 + shift, 10)))
    whole = FTYP + moov + box("mdat", bytes(10)) + box("mdat", bytes(10))
    assert validate(whole) == MP4
    assert_not_whole(whole[:-18], f"bytes, but its media go on up to {1019 + shift:,}")


@pytest.mark.parametrize(
    "tail", [b"\0", bytes(3), bytes(8), bytes(5000), b"\n", b"\r\n", b" \t\n" * 1000]
)
def test_padding_after_a_movie_changes_nothing(tail: bytes) -> None:
    """NUL bytes and white space behind a movie whose samples are all there are not of it."""
    whole = tracks(one_chunk(1000, 10), one_chunk(1018, 10))
    old = box("wide", bytes(len(FTYP) - 8)) + whole[len(FTYP) :]
    assert validate(whole + tail) == MP4 == validate(*chunked(whole + tail, range(len(whole))))
    assert validate(old + tail) == MOV == validate(*chunked(old + tail, range(len(whole))))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (FTYP + MOOV + MDAT, "it has only padding from"),
        (FTYP + MVEX_MOOV + MDAT, "it has only padding from"),
        (FTYP + MVEX_MOOV + MOOF + MDAT, "it has only padding from"),
        (FTYP + MDAT, "it has no 'moov'"),
        (FTYP, "it has no 'moov'"),
        (tracks(one_chunk(1000, 10), one_chunk(1018, 10))[:-18], "its media go on up to 1,028"),
    ],
    ids=shown,
)
@pytest.mark.parametrize("tail", [bytes(18), b"\n", b"\0"])
def test_padding_does_not_stand_for_media(data: bytes, reason: str, tail: bytes) -> None:
    """A cut movie that a disk or a server has filled up with zeros is as cut as before."""
    with pytest.raises(NotWhole):
        validate(data + tail)
    assert_not_whole(data + bytes(4000), reason)


@pytest.mark.parametrize("tail", [bytes(9) + b"x", b"\n" * 9 + b"<html>", bytes(5000) + FTYP])
def test_padding_must_be_all_that_follows(tail: bytes) -> None:
    """Anything else behind the padding is refused as soon as it comes."""
    whole = tracks(one_chunk(1000, 10), one_chunk(1018, 10))
    with pytest.raises(NotWhole, match=r"it goes on after its end at 1,037|6,031"):
        validate(whole, tail)
    assert verdict([whole + tail]) == verdict(chunked(whole + tail, range(1000, len(whole))))


@pytest.mark.parametrize("last", ["mdat", "free", "uuid"])
def test_a_last_box_without_a_size_ends_with_the_samples(last: str) -> None:
    """What reaches to the end of the file is complete if all listed samples are before it."""
    whole = tracks(one_chunk(1000, 10), one_chunk(1018, 10))
    if last == "mdat":
        whole = whole[:-18] + b"\0\0\0\0mdat" + whole[-10:]
    else:
        whole += b"\0\0\0\0" + last.encode() + b"x"
    assert validate(whole) == MP4
    cut = [n for n in range(len(whole)) if isinstance(verdict([whole[:n]]), MediaInfo)]
    assert [n for n in cut if n < 1028] == []


def test_a_last_mdat_without_a_size_may_be_open_ended() -> None:
    """It is where the tables do not say how long its last sample is."""
    sound = (runs(1, 10, 1), equal_sizes(1, 10), offsets(1018))
    whole = tracks(sound)
    assert validate(whole[:-18] + b"\0\0\0\0mdat" + whole[-10:]) == OPEN_ENDED_MP4


@pytest.mark.parametrize("name", ["free", "uuid", "sefd", "axte"])
def test_a_box_after_the_media(name: str) -> None:
    """It may be missing, for it holds no samples, but not be cut."""
    whole = tracks(one_chunk(1000, 10), one_chunk(1018, 10))
    longer = whole + box(name, b"whatever")
    assert validate(whole) == validate(longer) == MP4
    for end in range(1028 + 4, len(longer)):
        assert_not_whole(longer[:end], "cut after ")


@pytest.mark.parametrize(
    ("head", "run", "length"),
    [
        (tfhd(0x20000), (0x1, 2), 10),  # the size is that of `trex`
        (tfhd(0x20010, struct.pack(">I", 4)), (0x1, 2), 8),
        (tfhd(0x2001A, struct.pack(">III", 1, 1, 4)), (0x1, 2), 8),
        (tfhd(0x20002, struct.pack(">I", 1)), (0x1, 2), 10),
        (tfhd(0x20000), (0x201, 2, 3, 4), 7),
        (tfhd(0x20000), (0xF05, 2, *(0,), *(1, 3, 0, 0), *(1, 4, 0, 0)), 7),
        (tfhd(0x0), (0x301, 2, 1, 3, 1, 4), 7),
    ],
    ids=shown,
)
def test_samples_of_a_fragment_are_there(head: bytes, run: tuple[int, ...], length: int) -> None:
    """The samples of a fragment lie behind each other, from where its run says."""
    flags, count, *rest = run
    words = struct.pack(f">{len(rest)}I", *rest)
    size = len(moof(head, trun(flags, count, bytes(4), words)))
    fragment = moof(head, trun(flags, count, struct.pack(">i", size + 8), words))
    assert validate(FTYP + MVEX_MOOV + fragment + box("mdat", bytes(length))) == OPEN_ENDED_MP4
    closed = FTYP + MVEX_MOOV + fragment + box("mdat", bytes(length - 1))
    assert_not_whole(closed, f"but its media go on up to {len(closed) + 1:,}")


def test_runs_of_a_fragment_follow_each_other() -> None:
    """A run or a track without an offset begins where the one before it ends."""
    second = box("traf", tfhd(0x0), trun(0x0, 1))
    first = (tfhd(0x0), trun(0x1, 1, bytes(4)), trun(0x0, 1))
    size = len(box("moof", box("mfhd"), box("traf", *first), second))
    first = (first[0], trun(0x1, 1, struct.pack(">i", size + 8)), first[2])
    fragment = box("moof", box("mfhd"), box("traf", *first), second)
    assert validate(FTYP + MVEX_MOOV + fragment + box("mdat", bytes(15))) == OPEN_ENDED_MP4
    assert_not_whole(FTYP + MVEX_MOOV + fragment + box("mdat", bytes(14)), "its media go on up to")


def test_a_fragment_may_name_its_base() -> None:
    """A base is a position in the file."""
    fragment = moof(tfhd(0x1, struct.pack(">Q", 5000)), trun(0x0, 2))
    whole = FTYP + MVEX_MOOV + fragment
    assert_not_whole(whole + MDAT, "its media go on up to 5,010")
    assert validate(whole + box("mdat", bytes(5010 - 8 - len(whole)))) == OPEN_ENDED_MP4


def test_a_run_must_have_as_many_entries_as_it_counts() -> None:
    """A run of samples that is shorter than its count is refused."""
    fragment = moof(tfhd(0x20000), trun(0x201, 3, bytes(4), bytes(8)))
    assert_not_whole(FTYP + MVEX_MOOV + fragment + MDAT, "its 'trun' is too short")


@pytest.mark.parametrize(
    ("kinds", "audio_only"),
    [
        ([b"vide"], False),
        ([b"soun"], True),
        ([b"soun", b"text"], True),
        ([b"soun", b"vide"], False),
        ([b"meta"], False),
    ],
    ids=shown,
)
def test_audio_alone_is_whole_and_known(kinds: list[bytes], audio_only: bool) -> None:
    """A movie with sound and no images is kept; what it is shows in the result."""
    moov = box("moov", MVHD, *(trak(kind=kind) for kind in kinds))
    assert validate(FTYP + moov + MDAT) == MediaInfo("mp4", open_ended=False, audio_only=audio_only)


@pytest.mark.parametrize("large", [box, large_box])
def test_an_index_that_no_video_needs_is_refused(large: Callable[..., bytes]) -> None:
    """An index is kept in memory, and is refused by its size before it has come."""
    validator = Validator()
    with pytest.raises(NotWhole, match="its 'moov' is too long: no video has 34,603,0"):
        validator.feed(FTYP + large("moov", bytes(33 << 20))[:100])


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
