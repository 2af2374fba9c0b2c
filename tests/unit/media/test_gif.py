"""Which GIFs are whole, and which are not."""

import struct

import pytest

from archiver.media.info import Properties
from tests.unit.media.checks import assert_not_whole, chunked, kind, shown, validate
from tests.unit.media.samples import COMMENT, GIF, HTML, IMAGE, NO_COLOURS, TRAILER, sub_blocks

WHOLE = GIF + NO_COLOURS + IMAGE + TRAILER


@pytest.mark.parametrize(
    "data",
    [
        GIF + NO_COLOURS + IMAGE + TRAILER,
        b"GIF87a" + GIF[6:] + NO_COLOURS + IMAGE + TRAILER,
        GIF + b"\x81\0\0" + bytes(12) + COMMENT + IMAGE + COMMENT + IMAGE + TRAILER,
        GIF + NO_COLOURS + b"\x2c" + bytes(8) + b"\x80" + bytes(6) + IMAGE[10:] + TRAILER,
    ],
    ids=shown,
)
def test_gif_whole(data: bytes) -> None:
    """A GIF is whole with its trailer, whatever colour tables and extensions it has."""
    media = validate(data)
    assert kind(media) == ("gif", False)
    assert media == validate(*chunked(data, range(len(data))))


@pytest.mark.parametrize(
    "tail",
    [b"\0", b"\n", TRAILER, b"\r\n;;", b"\xff\xd9", b"made by hand", b"x" * 4095, bytes(100_000)],
    ids=shown,
)
def test_bytes_after_the_trailer(tail: bytes) -> None:
    """All images are before the trailer: a few stray bytes behind it, or padding, do no harm."""
    media = validate(WHOLE)
    assert validate(WHOLE + tail) == media == validate(*chunked(WHOLE + tail, range(5000)))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (GIF + NO_COLOURS + TRAILER, "it has no image"),
        (GIF + NO_COLOURS + COMMENT + TRAILER, "it has no image"),
        (GIF + NO_COLOURS + IMAGE[:11] + sub_blocks() + TRAILER, "it has no image"),
        (GIF + NO_COLOURS + IMAGE, "inside its 'blocks'"),
        (GIF + NO_COLOURS + IMAGE[:-1], "inside its 'image'"),
        (GIF + NO_COLOURS + COMMENT[:-1], "inside its 'extension'"),
        (GIF, "inside its 'screen descriptor'"),
        (GIF + b"\x87\0\0" + bytes(700), "inside its 'colour table'"),
        (GIF + NO_COLOURS + IMAGE + b"\x00" + TRAILER, "expected a GIF block at 28, found 0x00"),
        (WHOLE + HTML, "it goes on after its end at 29"),
        (WHOLE + b"\r\n" + HTML, "it goes on after its end at 29"),
        (WHOLE + b"\0" + b'{"status": "error"}', "it goes on after its end at 29"),
        (WHOLE * 2, "it goes on after its end at 29"),
        (WHOLE + b"\n" + WHOLE, "it goes on after its end at 29"),
        (WHOLE + b"x" * 4096, "it goes on after its end at 29"),
        (WHOLE + bytes(5000) + b"x", "it goes on after its end at 5,029"),
    ],
    ids=shown,
)
def test_gif_not_whole(data: bytes, reason: str) -> None:
    """These are not whole GIFs, and the reason says why."""
    assert_not_whole(data, reason)


def control(hundredths: int) -> bytes:
    """Return a control block that shows the next image for so long."""
    return b"\x21\xf9" + sub_blocks(struct.pack("<BHB", 0, hundredths, 0))


@pytest.mark.parametrize(
    ("blocks", "duration", "rate"),
    [
        ([control(50), IMAGE, control(150), IMAGE], 2.0, 1.0),
        ([control(50), COMMENT, IMAGE, IMAGE], 0.6, 3.333),
        ([control(0), IMAGE, control(1), IMAGE, control(2), IMAGE], 0.22, 13.636),
        ([control(50), control(20), IMAGE], 0.2, None),
        ([b"\x21\xf9" + sub_blocks(b"\0"), IMAGE], 0.1, None),
        ([b"\x21\xf9" + sub_blocks(), IMAGE], 0.1, None),
    ],
    ids=shown,
)
def test_how_long_images_are_shown(
    blocks: list[bytes], duration: float, rate: float | None
) -> None:
    """Each image is shown as long as its control block says, or a tenth of a second."""
    data = GIF + NO_COLOURS + b"".join(blocks) + TRAILER
    said = Properties(duration, 1, 1, rate, "gif")
    assert validate(data).properties == said == validate(*chunked(data, range(99))).properties
