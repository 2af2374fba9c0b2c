"""Sniffing: what bytes that are no video look like, so that a person sees what a server sent.

Only the first bytes decide, never a content type or a file name.
"""

import codecs
import re
from contextlib import suppress

from archiver.media.reader import Reader, Steps

_BLANK = b" \t\r\n\f\v\xef\xbb\xbf"
_MAX_BLANK = 1024
_DOCUMENTS = (
    (rb"\s*<\?xml", "an XML document"),
    (rb"\s*<[!?/A-Za-z]", "an HTML page"),
    (rb"\s*[\[{]\s*[\"\[\]{}0-9tfn-]", "a JSON document"),
)
_PATTERNS = (
    *_DOCUMENTS,
    (rb"\x89PNG", "a PNG image"),
    (rb"\xff\xd8\xff", "a JPEG image"),
    (rb"RIFF....WEBP", "a WebP image"),
    (rb"RIFF....WAVE", "WAV audio"),
    (rb"RIFF....AVI ", "AVI video, which is not supported"),
    (rb"ID3|\xff[\xe2\xe3\xf2\xf3\xfa\xfb]", "MP3 audio"),
    (rb"OggS", "Ogg audio or video, which is not supported"),
    (rb"fLaC", "FLAC audio"),
    (rb"\x1f\x8b", "gzip data"),
    (rb"PK[\x03\x05]", "a ZIP archive"),
)


def sniff(reader: Reader) -> Steps[str]:
    """Return what the bytes are instead of a video; read on past white space for that."""
    head = yield from reader.peek(12)
    while len(head.lstrip(_BLANK)) < 8 and len(head) < _MAX_BLANK:
        longer = yield from reader.peek(len(head) + 8)
        if len(longer) == len(head):
            break
        head = longer
    return _description(head)


def is_document(start: bytes) -> bool:
    """Return whether these bytes begin a document, such as an error page."""
    return any(re.match(pattern, start) for pattern, _ in _DOCUMENTS)


def _description(head: bytes) -> str:
    if not head:
        return "empty: no bytes at all"
    start = head.removeprefix(codecs.BOM_UTF8)
    for pattern, name in _PATTERNS:
        if re.match(pattern, start, re.DOTALL):
            return f"not a video but {name}"
    if _is_text(start):
        return "not a video but text"
    return f"not a video: starts with 0x{head[:8].hex()}"


def _is_text(start: bytes) -> bool:
    # Incremental decoding forgives a character that the head cuts in two.
    with suppress(UnicodeDecodeError):
        return "".join(codecs.utf_8_decode(start)[0].split()).isprintable()
    return False
