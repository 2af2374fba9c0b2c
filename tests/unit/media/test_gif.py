"""Which GIFs are whole, and which are not."""

import pytest

from archiver.media import MediaInfo
from tests.unit.media.checks import assert_not_whole, chunked, shown, validate
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
    whole = MediaInfo("gif", open_ended=False)
    assert validate(data) == whole == validate(*chunked(data, range(len(data))))


@pytest.mark.parametrize(
    "tail",
    [b"\0", b"\n", TRAILER, b"\r\n;;", b"\xff\xd9", b"made by hand", b"x" * 4095, bytes(100_000)],
    ids=shown,
)
def test_bytes_after_the_trailer(tail: bytes) -> None:
    """All images are before the trailer: a few stray bytes behind it, or padding, do no harm."""
    whole = MediaInfo("gif", open_ended=False)
    assert validate(WHOLE + tail) == whole == validate(*chunked(WHOLE + tail, range(5000)))


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
