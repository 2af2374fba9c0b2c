"""What `Info` and `Tracks` say of a WebM or Matroska video, and nothing where malformed."""

import struct
from dataclasses import replace

import pytest

from archiver.media.info import Properties
from tests.unit.media.checks import chunked, shown, validate
from tests.unit.media.samples import CLUSTER, TRACKS, WEBM, element, segment


def integer(id_: int, value: int) -> bytes:
    return element(id_, value.to_bytes(4))


def info(duration: bytes = struct.pack(">d", 5042), *more: bytes) -> bytes:
    return element(0x1549A966, element(0x4489, duration), *more)


def size(width: int, height: int, *more: bytes) -> bytes:
    return element(0xE0, integer(0xB0, width), integer(0xBA, height), *more)


def track(kind: int, codec: bytes, *more: bytes) -> bytes:
    return element(0xAE, integer(0x83, kind), element(0x86, codec), *more)


def display(width: int, height: int) -> bytes:
    return integer(0x54B0, width) + integer(0x54BA, height)


def roll(degrees: float, kind: int = 0) -> bytes:
    return element(0x7670, integer(0x7671, kind), element(0x7675, struct.pack(">f", degrees)))


def tracks(*entries: bytes) -> bytes:
    return element(0x1654AE6B, *entries)


RATE = integer(0x23E383, 40_000_000)
VIDEO = track(1, b"V_VP9", size(640, 360), RATE)
SAID = Properties(5.042, 640, 360, 25.0, "vp9")


def bits(depth: int) -> bytes:
    return element(0xE1, integer(0x6264, depth))


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ((info(), tracks(VIDEO)), SAID),
        ((tracks(VIDEO), info()), SAID),
        ((tracks(VIDEO),), replace(SAID, duration=None)),
        ((info(struct.pack(">f", 5042)), tracks(VIDEO)), SAID),
        ((info(struct.pack(">d", 2521), integer(0x2AD7B1, 2_000_000)), tracks(VIDEO)), SAID),
        ((info(b""), tracks(VIDEO)), replace(SAID, duration=None)),
        ((info(b"\7" * 7), tracks(VIDEO)), replace(SAID, duration=None)),
        ((info(struct.pack(">d", float("nan"))), tracks(VIDEO)), replace(SAID, duration=None)),
        ((info(struct.pack(">d", float("inf"))), tracks(VIDEO)), replace(SAID, duration=None)),
        ((info(struct.pack(">d", -5)), tracks(VIDEO)), replace(SAID, duration=None)),
        ((info(), tracks(track(1, b"V_VP9", size(640, 360)))), replace(SAID, frame_rate=None)),
        ((info(), tracks(track(1, b"V_VP9\0\0", size(640, 360, display(16, 9)), RATE))), SAID),
        ((info(), tracks(track(1, b"V_VP9", size(480, 360, display(640, 360)), RATE))), SAID),
        ((info(), tracks(track(1, b"V_VP9", size(360, 640, roll(-90)), RATE))), SAID),
        ((info(), tracks(track(1, b"V_VP9", size(640, 360, roll(180)), RATE))), SAID),
        ((info(), tracks(track(1, b"V_VP9", size(640, 360, roll(90, kind=1)), RATE))), SAID),
        ((info(), tracks(track(1, b"V_WHAT", size(640, 360), RATE))),
         replace(SAID, video_codec=None)),
        ((info(), tracks(track(1, b"V_VP9", RATE))), replace(SAID, width=None, height=None)),
        ((info(), tracks(track(17, b"S_TEXT/UTF8"), track(2, b"A_OPUS"), VIDEO)),
         replace(SAID, audio_codec="opus")),
        ((info(), tracks(VIDEO, track(1, b"V_MJPEG", size(9, 9)))), SAID),
        ((info(), tracks(track(2, b"A_AAC/MPEG4/LC"))), Properties(5.042, audio_codec="aac")),
        ((info(), tracks(track(2, b"A_PCM/INT/LIT", bits(24)))),
         Properties(5.042, audio_codec="pcm_s24le")),
        ((info(), tracks(track(2, b"A_PCM/INT/LIT"))), Properties(5.042)),
        ((info(), TRACKS), Properties(5.042)),
        ((info(), info(b""), tracks(VIDEO), tracks()), SAID),
    ],
    ids=shown,
)  # fmt: skip
def test_what_a_video_says(parts: tuple[bytes, ...], said: Properties) -> None:
    """Each element is understood, wherever it is."""
    data = WEBM + segment(*parts, CLUSTER)
    media = validate(data)
    assert media.properties == said
    assert validate(*chunked(data, range(len(data)))) == media


@pytest.mark.parametrize("part", [info(), tracks(VIDEO)], ids=["Info", "Tracks"])
def test_a_malformed_element_says_nothing(part: bytes) -> None:
    """Damage inside refuses no video: what is damaged says nothing, or something else."""
    for at in range(12, len(part)):
        for damage in (0, 0x01, 0x80, 0xFF):
            damaged = part[:at] + bytes([damage]) + part[at + 1 :]
            media = validate(WEBM + segment(damaged, TRACKS, CLUSTER))
            assert (media.extension, media.open_ended) == ("webm", False)


def test_what_is_too_long_is_not_looked_at() -> None:
    """A description that is larger than any needs to be is passed, and costs no memory."""
    huge = tracks(VIDEO, element(0xEC, bytes(1 << 20)))
    media = validate(WEBM + segment(info(), huge, CLUSTER))
    assert media.properties == Properties(5.042)
