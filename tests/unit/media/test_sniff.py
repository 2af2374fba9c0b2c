"""How bytes that are no video are named."""

import pytest

from archiver.media.reader import NotWhole
from archiver.media.validator import Validator
from tests.unit.media.checks import assert_not_whole, chunked, shown, verdict
from tests.unit.media.samples import HTML


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty: no bytes at all"),
        (HTML, "an HTML page"),
        (b"\xef\xbb\xbf\r\n  <html lang=en>", "an HTML page"),
        (b"\n" * 500 + b"<!-- moved --><html>", "an HTML page"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "an XML document"),
        (b'{"status": "error", "message": "not found"}', "a JSON document"),
        (b'\n  [\n  {"status": 1}]', "a JSON document"),
        (b"{}", "a JSON document"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a PNG image"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "a JPEG image"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "a WebP image"),
        (b"RIFF\x10\0\0\0WAVEfmt ", "WAV audio"),
        (b"RIFF\x0a\0\0\0AVI LIST", "AVI video, which is not supported"),
        (b"ID3\4\0\0\0\0\0\0", "MP3 audio"),
        (b"\xff\xfb\x90\x64\0\0\0\0", "MP3 audio"),
        (b"OggS\0\2\0\0", "Ogg audio"),
        (b"fLaC\0\0\0\x22", "FLAC audio"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "gzip data"),
        (b"PK\3\4\x14\0\0\0", "a ZIP archive"),
        (b"Too many requests", "text"),
        ("Přístup odepřen".encode(), "text"),
        ("12345678901\u20ac".encode(), "text"),
        (b" " * 5000, "text"),
        (b"\x00\x01\x02\x03\x04\x05\x06\x07\x08", "starts with 0x0001020304050607"),
        (b"GIF88a" + bytes(20), "starts with 0x474946383861"),
    ],
    ids=shown,
)
def test_what_is_no_video_is_named(data: bytes, reason: str) -> None:
    """What a server sent instead of a video is named, whatever the chunks."""
    assert_not_whole(data, reason)
    assert verdict([data]) == verdict(chunked(data, range(len(data))))


def test_html_is_refused_at_once() -> None:
    """An HTML page is refused by its first bytes, before the rest is downloaded."""
    validator = Validator()
    with pytest.raises(NotWhole, match="HTML"):
        validator.feed(HTML[:16])
