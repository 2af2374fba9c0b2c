"""What the boxes of a movie say of it: in every form, and nothing where they are malformed."""

import struct
from dataclasses import replace

import pytest

from archiver.media.info import Properties
from tests.unit.media.checks import chunked, shown, validate
from tests.unit.media.samples import (
    FTYP,
    MDAT,
    TREX,
    box,
    handler,
    moof,
    table,
    tfhd,
    trun,
)

UNTURNED = (1 << 16, 0, 0, 1 << 16)
QUARTER = (0, 1 << 16, -(1 << 16), 0)
UNKNOWN = 0xFFFFFFFF


def times(timescale: int, ticks: int) -> bytes:
    return struct.pack(">12xII", timescale, ticks)


def large_times(timescale: int, ticks: int) -> bytes:
    return struct.pack(">B19xIQ", 1, timescale, ticks)


def tkhd(width: int, height: int, matrix: tuple[int, ...] = UNTURNED, track: int = 1) -> bytes:
    a, b, c, d = matrix
    rest = struct.pack(">2i4x2i16xII", a, b, c, d, width << 16, height << 16)
    return struct.pack(">12xI24x", track) + rest


def large_tkhd(width: int, height: int) -> bytes:
    return struct.pack(">B19xI16x", 1, 1) + tkhd(width, height)[28:]


def stsd(letters: bytes, width: int, height: int, *boxes: bytes) -> bytes:
    entry = box("free", bytes(24), struct.pack(">HH", width, height), bytes(50), *boxes)
    return struct.pack(">4xI", 1) + entry.replace(b"free", letters, 1)


def pasp(width: int, height: int) -> bytes:
    return box("pasp", struct.pack(">II", width, height))


def stts(*entries: int) -> bytes:
    return table("stts", "II", *entries)[8:]


BOXES = {
    "mvhd": times(1000, 5042),
    "tkhd": tkhd(640, 360),
    "mdhd": times(24, 121),
    "stsd": stsd(b"avc1", 640, 360),
    "stts": stts(121, 1),
}
SAID = Properties(5.042, 640, 360, 24.0, "h264")


def movie(*more: bytes, kind: bytes = b"vide", **changed: bytes) -> bytes:
    """Return a movie with these boxes instead of its own."""
    boxes = {name: box(name, content) for name, content in (BOXES | changed).items()}
    stbl = box("stbl", boxes["stsd"], boxes["stts"])
    mdia = box("mdia", boxes["mdhd"], handler(kind), box("minf", stbl))
    return FTYP + box("moov", boxes["mvhd"], box("trak", boxes["tkhd"], mdia), *more) + MDAT


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (movie(), SAID),
        (movie(mvhd=large_times(1000, 5042)), SAID),
        (movie(mdhd=large_times(24, 121)), SAID),
        (movie(tkhd=large_tkhd(640, 360)), SAID),
        (movie(mvhd=times(1000, 0)), SAID),
        (movie(mvhd=times(1000, UNKNOWN)), SAID),
        (movie(mvhd=large_times(1000, 2**64 - 1)), SAID),
        (movie(tkhd=tkhd(640, 360, QUARTER)), replace(SAID, width=360, height=640)),
        (movie(tkhd=tkhd(320, 180)), SAID),
        (movie(tkhd=tkhd(640, 480)), replace(SAID, width=480)),
        (movie(tkhd=tkhd(0, 0)), SAID),
        (movie(stsd=stsd(b"avc3", 640, 360, pasp(4, 3))), replace(SAID, width=853)),
        (movie(stsd=stsd(b"avc1", 640, 360, pasp(0, 0))), SAID),
        (movie(stsd=stsd(b"wha?", 640, 360)), replace(SAID, video_codec=None)),
        (movie(stsd=stsd(b"mp4v", 640, 360)), replace(SAID, video_codec=None)),
        (movie(stsd=stsd(b"avc1", 0, 360)), replace(SAID, width=None, height=None)),
        (movie(stts=stts(60, 1, 61, 2)), replace(SAID, frame_rate=15.956)),
        (movie(stts=stts()), replace(SAID, frame_rate=None)),
        (movie(stts=stts(121, 0)), replace(SAID, frame_rate=None)),
        (movie(kind=b"text"), Properties(5.042)),
        (movie(kind=b"soun", stsd=stsd(b"alac", 0, 0)), Properties(5.042, audio_codec="alac")),
    ],
    ids=shown,
)  # fmt: skip
def test_what_a_movie_says(data: bytes, said: Properties) -> None:
    """Each box is understood in every version of it."""
    media = validate(data)
    assert media.properties == said
    assert validate(*chunked(data, range(len(data)))) == media


NOTHING_OF_THE_TRACK = Properties(5.042)
MALFORMED = {
    "mvhd": [SAID],
    "tkhd": [NOTHING_OF_THE_TRACK],
    "mdhd": [NOTHING_OF_THE_TRACK],
    "stsd": [NOTHING_OF_THE_TRACK, Properties(5.042, video_codec="h264")],
    "stts": [replace(SAID, frame_rate=None)],
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_box_says_nothing(name: str) -> None:
    """A box that only describes refuses no movie: cut anywhere, it says nothing, or the same."""
    whole, content = validate(movie()), BOXES[name]
    for length in range(len(content)):
        media = validate(movie(**{name: content[:length]}))
        assert (media.extension, media.open_ended) == (whole.extension, whole.open_ended)
        assert media.properties in [*MALFORMED[name], SAID]


@pytest.mark.parametrize("name", BOXES)
def test_a_box_of_ones_says_nothing_absurd(name: str) -> None:
    """Numbers that no video has are not taken for its own."""
    said = validate(movie(**{name: b"\xff" * len(BOXES[name])})).properties
    assert said.duration is None or said.duration < 10
    assert said.width in (640, None)


def fragmented(*fragments: bytes, trex: bytes = TREX, **changed: bytes) -> bytes:
    """Return a movie in fragments."""
    empty = {"mvhd": times(1000, 0), "stts": stts()}
    whole = movie(box("mvex", trex), **(empty | changed))
    return whole.removesuffix(MDAT) + b"".join(part + MDAT for part in fragments)


def default_ticks(ticks: int) -> bytes:
    return box("trex", struct.pack(">6I", 0, 1, 1, ticks, 5, 0))


EACH = struct.pack(">3I", 1, 2, 3)
SIZED = struct.pack(">4I", 2, 9, 4, 9)
BASE = struct.pack(">Q", 0)
HALF = times(1000, 500)
"""Where a movie begins outside fragments, that is all its header tells of."""


@pytest.mark.parametrize(
    ("data", "duration", "rate"),
    [
        (fragmented(moof(tfhd(0), trun(0, 6)), trex=default_ticks(2)), 0.5, 12.0),
        (fragmented(moof(tfhd(8, b"\0\0\0\2"), trun(0, 6)), trex=default_ticks(9)), 0.5, 12.0),
        (fragmented(moof(tfhd(0xB, BASE, b"\0\0\0\1\0\0\0\2"), trun(0, 12))), 1.0, 12.0),
        (fragmented(moof(tfhd(0x18, b"\0\0\0\2\0\0\0\1"), trun(0, 12))), 1.0, 12.0),
        (fragmented(moof(tfhd(0), trun(0x100, 3, EACH))), 0.25, 12.0),
        (fragmented(moof(tfhd(0), trun(0x300, 2, SIZED)), moof(tfhd(0), trun(0x300, 2, SIZED))),
         0.5, 8.0),
        (fragmented(moof(tfhd(8, b"\0\0\0\2"), trun(0, 6)), stts=stts(6, 2), mvhd=HALF), 1.0, 12.0),
        (fragmented(moof(tfhd(0), trun(0, 6))), None, None),
        (fragmented(moof(tfhd(0), trun(0x100, 3, EACH)), moof(tfhd(0), trun(0, 6))), None, None),
        (fragmented(moof(box("tfhd", bytes(4), b"\0\0\0\2"), trun(0x100, 3, EACH))), None, None),
        (fragmented(moof()), None, None),
    ],
    ids=shown,
)  # fmt: skip
def test_what_fragments_say(data: bytes, duration: float | None, rate: float | None) -> None:
    """Their runs of samples are added up; where one does not tell how long, nothing is known."""
    said = validate(data).properties
    assert said == replace(SAID, duration=duration, frame_rate=rate)
    assert said == validate(*chunked(data, range(len(data)))).properties


def edits(version: int, *fields: int) -> bytes:
    """Return the box of a track's only edit: how long it is, and where in the media it begins."""
    layout = ">B3xIQq4x" if version else ">B3xIIi4x"
    return box("edts", box("elst", struct.pack(layout, version, 1, *fields)))


@pytest.mark.parametrize(
    ("edit", "duration"),
    [
        (edits(0, 0, 0), 0.5),
        (edits(0, 0, 12), 0.5),
        (edits(1, 0, 12), 0.5),
        (edits(0, 0, 13), None),
        (edits(1, 0, 13), None),
        (edits(0, 99, -1), None),
        (box("edts"), 0.5),
        (box("edts", box("elst")), None),
        (box("edts", box("elst", bytes(15))), None),
    ],
    ids=shown,
)
@pytest.mark.parametrize("begun", [0, 6])
def test_of_edited_fragments_no_duration_is_known(
    edit: bytes, duration: float | None, begun: int
) -> None:
    """Nor where the movie begins outside fragments; a decoder's start is no edit."""
    data = fragmented(moof(tfhd(8, b"\0\0\0\2"), trun(0, 6 - begun)), stts=stts(begun, 2))
    mdia = data.index(b"mdia") - 4
    data = FTYP + _inserted(data[len(FTYP) :], mdia - len(FTYP), edit)
    said = validate(data).properties
    assert said == replace(SAID, duration=duration, frame_rate=12.0)


def _inserted(data: bytes, at: int, part: bytes) -> bytes:
    """Return a `moov` and what follows it, with a box put into its track."""
    trak = data.index(b"trak") - 4
    for begin in (0, trak):
        size = int.from_bytes(data[begin : begin + 4]) + len(part)
        data = data[:begin] + size.to_bytes(4) + data[begin + 4 :]
    return data[:at] + part + data[at:]


def test_of_several_tracks_the_first_counts() -> None:
    """Pictures of chapters, say, are tracks of images too, and come later."""
    second = movie(stsd=stsd(b"jpeg", 10, 10), stts=stts(5, 24))
    (at, end) = (second.index(b"trak") - 4, second.index(MDAT))
    data = movie(second[at:end])
    assert validate(data).properties == SAID
