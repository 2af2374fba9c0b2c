"""Samples: real videos, and the pieces that others are built from."""

import struct
from pathlib import Path

from archiver.media.info import MediaInfo, Properties

VIDEOS = {path.name: path.read_bytes() for path in Path(__file__).parents[2].glob("videos/*.*")}
del VIDEOS["README.md"]


def _media(extension: str, codec: str, *, open_ended: bool = False) -> MediaInfo:
    said = Properties(0.5, 64, 64, 10.0, codec)
    return MediaInfo(extension, open_ended=open_ended, properties=said)


MEDIA = {
    "faststart.mp4": _media("mp4", "h264"),
    "moov-last.mp4": _media("mp4", "h264"),
    "fragmented.mp4": _media("mp4", "h264"),
    "fragmented-no-index.mp4": _media("mp4", "h264", open_ended=True),
    "quicktime.mov": _media("mov", "h264"),
    "sized.webm": _media("webm", "vp9"),
    "live.webm": MediaInfo(
        "webm", open_ended=True, properties=Properties(None, 64, 64, 10.0, "vp8")
    ),
    "matroska.mkv": _media("mkv", "h264"),
    "animated.gif": _media("gif", "gif"),
}
"""What is known of each; they have no sound."""
HTML = b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head></html>\n"

# --- MP4


def box(name: str, *contents: bytes) -> bytes:
    body = b"".join(contents)
    return struct.pack(">I", 8 + len(body)) + name.encode("latin-1") + body


def large_box(name: str, *contents: bytes) -> bytes:
    body = b"".join(contents)
    return struct.pack(">I4sQ", 1, name.encode("latin-1"), 16 + len(body)) + body


def table(name: str, entry: str, *entries: int) -> bytes:
    """Return a box of a version, a count and that many entries."""
    width = len(entry)
    count = len(entries) // width
    return box(name, struct.pack(f">II{entry * count}", 0, count, *entries))


def sizes(*samples: int) -> bytes:
    return box("stsz", struct.pack(f">III{len(samples)}I", 0, 0, len(samples), *samples))


def equal_sizes(size: int, count: int) -> bytes:
    return box("stsz", struct.pack(">III", 0, size, count))


def offsets(*chunks: int, name: str = "stco") -> bytes:
    return table(name, "I" if name == "stco" else "Q", *chunks)


def runs(*entries: int) -> bytes:
    """Return the table of first chunk, samples for each chunk, description."""
    return table("stsc", "III", *entries)


def handler(kind: bytes) -> bytes:
    return box("hdlr", bytes(8), kind, bytes(13))


def trak(*tables: bytes, kind: bytes = b"vide") -> bytes:
    stbl = box("stbl", *tables)
    return box("trak", box("tkhd"), box("mdia", handler(kind), box("minf", stbl)))


def one_chunk(offset: int, *samples: int) -> tuple[bytes, ...]:
    """Return the tables of a track whose samples are all in one chunk."""
    return runs(1, len(samples), 1), sizes(*samples), offsets(offset)


FTYP = box("ftyp", b"isom\0\0\2\0isommp41")
MVHD = box("mvhd", bytes(100))
MOOV = box("moov", MVHD, trak())
TREX = box("trex", struct.pack(">6I", 0, 1, 1, 0, 5, 0))
MVEX_MOOV = box("moov", MVHD, trak(), box("mvex", TREX))
MDAT = box("mdat", b"media")
MOOF = box("moof", box("mfhd"))
MFRA = box("mfra", box("mfro"))


def movie(*samples: int, padding: bytes = b"") -> bytes:
    """Return a movie whose samples fill its `mdat`, which comes last."""
    length = len(FTYP + box("moov", MVHD, trak(*one_chunk(0, *samples))))
    moov = box("moov", MVHD, trak(*one_chunk(length + 8, *samples)))
    return FTYP + moov + box("mdat", b"m" * sum(samples)) + padding


def moof(*boxes: bytes) -> bytes:
    return box("moof", box("mfhd"), box("traf", *boxes))


def tfhd(flags: int, *fields: bytes) -> bytes:
    return box("tfhd", struct.pack(">II", flags, 1), *fields)


def trun(flags: int, count: int, *fields: bytes) -> bytes:
    return box("trun", struct.pack(">II", flags, count), *fields)


# --- Matroska


def element(id_: int, *contents: bytes, unknown: bool = False) -> bytes:
    body = b"".join(contents)
    size = (
        b"\x01\xff\xff\xff\xff\xff\xff\xff" if unknown else struct.pack(">Q", 1 << 56 | len(body))
    )
    return id_.to_bytes((id_.bit_length() + 7) // 8) + size + body


def ebml(doctype: bytes) -> bytes:
    return element(0x1A45DFA3, element(0x4282, doctype))


def segment(*contents: bytes, unknown: bool = False) -> bytes:
    return element(0x18538067, *contents, unknown=unknown)


WEBM = ebml(b"webm")
TRACKS = element(0x1654AE6B, b"tracks")
SIMPLE_BLOCK = element(0xA3, b"media")
CLUSTER = element(0x1F43B675, SIMPLE_BLOCK)
LIVE_CLUSTER = element(0x1F43B675, element(0xE7, b"\0"), SIMPLE_BLOCK, unknown=True)
EMPTY_LIVE_CLUSTER = element(0x1F43B675, element(0xE7, b"\0"), unknown=True)

# --- GIF


def sub_blocks(*blocks: bytes) -> bytes:
    return b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"


GIF = b"GIF89a" + struct.pack("<HH", 1, 1)
NO_COLOURS = b"\0\0\0"
IMAGE = b"\x2c" + bytes(9) + b"\x02" + sub_blocks(b"\x44\x01")
COMMENT = b"\x21\xfe" + sub_blocks(b"a comment")
TRAILER = b"\x3b"
