"""Whether bytes, fed chunk by chunk, are one whole video: told from their structure alone."""

import codecs
import re
from contextlib import suppress

from archiver.media.containers import NotWhole, Proof, Source, Steps, gif, matroska, mp4

__all__ = ["NotWhole", "Proof", "Prover"]

_FIRST_BOXES = frozenset(
    (b"ftyp", b"free", b"skip", b"wide", b"uuid", b"moov", b"moof", b"mdat", b"styp")
)


class Prover:
    """Takes a video's bytes in order, in chunks of any size, and holds no more than a few KiB."""

    def __init__(self) -> None:
        self._source = Source()
        self._parser = _video(self._source)
        self._proof: Proof | None = None
        self._reason: str | None = None

    def feed(self, chunk: bytes | bytearray | memoryview) -> None:
        """Take the next bytes; `chunk` may be reused afterwards.

        Raises:
            NotWhole: as soon as the bytes can no longer be a video, and ever after.
            RuntimeError: after a `finish` that found them whole.
        """
        if self._proof:
            raise RuntimeError("fed after the end was declared")
        self._source.add(chunk)
        self._step()

    def finish(self) -> Proof:
        """Declare the end of the bytes.

        Raises:
            NotWhole: if they are not one whole video.
        """
        self._source.over = True
        while not self._proof:
            self._step()
        return self._proof

    def _step(self) -> None:
        if self._reason:
            raise NotWhole(self._reason)
        try:
            next(self._parser)
        except StopIteration as stop:
            self._proof = stop.value
        except NotWhole as refusal:
            self._reason = str(refusal)
            raise
        finally:
            self._source.keep()


def _video(source: Source) -> Steps[Proof]:
    head = yield from source.peek(12)
    if head[4:8] in _FIRST_BOXES:
        return (yield from mp4(source))
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return (yield from matroska(source))
    if head.startswith((b"GIF87a", b"GIF89a")):
        return (yield from gif(source))
    while len(head.lstrip(_BLANK)) < 8 and len(head) < 1024:
        longer = yield from source.peek(len(head) + 8)
        if len(longer) == len(head):
            break
        head = longer
    raise NotWhole(_likeness(head))


# --- Everything else, named so that a person sees what the server sent

_BLANK = b" \t\r\n\f\v\xef\xbb\xbf"
_LIKENESSES = (
    (rb"\s*<\?xml", "an XML document"),
    (rb"\s*<[!?/A-Za-z]", "an HTML page"),
    (rb"\s*[\[{]\s*[\"\[\]{}0-9tfn-]", "a JSON document"),
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


def _likeness(head: bytes) -> str:
    if not head:
        return "empty: no bytes at all"
    start = head.removeprefix(codecs.BOM_UTF8)
    for pattern, name in _LIKENESSES:
        if re.match(pattern, start, re.DOTALL):
            return f"not a video but {name}"
    # Incremental decoding forgives a character that the head cuts in two.
    with suppress(UnicodeDecodeError):
        if "".join(codecs.utf_8_decode(start)[0].split()).isprintable():
            return "not a video but text"
    return f"not a video: starts with 0x{head[:8].hex()}"
