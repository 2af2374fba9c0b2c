"""What counts as one whole video, and what does not."""

import re
import struct
import time
import tracemalloc
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.media.validator import NotWhole, Proof, Prover

VIDEOS = {path.name: path.read_bytes() for path in Path(__file__).parents[2].glob("videos/*.*")}
del VIDEOS["README.md"]
PROOFS = {
    "faststart.mp4": Proof("mp4", open_ended=False),
    "moov-last.mp4": Proof("mp4", open_ended=False),
    "fragmented.mp4": Proof("mp4", open_ended=False),
    "fragmented-no-index.mp4": Proof("mp4", open_ended=True),
    "quicktime.mov": Proof("mov", open_ended=False),
    "sized.webm": Proof("webm", open_ended=False),
    "live.webm": Proof("webm", open_ended=True),
    "matroska.mkv": Proof("mkv", open_ended=False),
    "animated.gif": Proof("gif", open_ended=False),
}
FRAGMENTED = {"fragmented.mp4", "fragmented-no-index.mp4", "live.webm"}
HTML = b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head></html>\n"


def prove(*chunks: bytes) -> Proof:
    prover = Prover()
    for chunk in chunks:
        prover.feed(chunk)
    return prover.finish()


def verdict(chunks: Iterable[bytes]) -> Proof | str:
    try:
        return prove(*chunks)
    except NotWhole as refusal:
        return str(refusal)


def chunked(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted(cuts), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


def refused(data: bytes, reason: str) -> None:
    with pytest.raises(NotWhole, match=re.escape(reason)):
        prove(data)


def shown(value: object) -> str:
    return value if isinstance(value, str) else str(value) if isinstance(value, Proof) else ""


# --- Building blocks


def box(name: str, *contents: bytes) -> bytes:
    body = b"".join(contents)
    return struct.pack(">I", 8 + len(body)) + name.encode("latin-1") + body


def large_box(name: str, *contents: bytes) -> bytes:
    body = b"".join(contents)
    return struct.pack(">I4sQ", 1, name.encode("latin-1"), 16 + len(body)) + body


def trak(*offsets: int, table: str = "stco") -> bytes:
    entries = struct.pack(
        f">II{len(offsets)}{'I' if table == 'stco' else 'Q'}", 0, len(offsets), *offsets
    )
    return box("trak", box("tkhd"), box("mdia", box("minf", box("stbl", box(table, entries)))))


def element(id_: int, *contents: bytes, unknown: bool = False) -> bytes:
    body = b"".join(contents)
    size = (
        b"\x01\xff\xff\xff\xff\xff\xff\xff" if unknown else struct.pack(">Q", 1 << 56 | len(body))
    )
    return id_.to_bytes((id_.bit_length() + 7) // 8) + size + body


def ebml(doctype: bytes) -> bytes:
    return element(0x1A45DFA3, element(0x4282, doctype))


def sub_blocks(*blocks: bytes) -> bytes:
    return b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"


FTYP = box("ftyp", b"isom\0\0\2\0isommp41")
MVHD = box("mvhd", bytes(100))
MOOV = box("moov", MVHD, trak())
MVEX_MOOV = box("moov", MVHD, trak(), box("mvex", box("trex")))
MDAT = box("mdat", b"media")
MOOF = box("moof", box("mfhd"))
MFRA = box("mfra", box("mfro"))

WEBM = ebml(b"webm")
TRACKS = element(0x1654AE6B, b"tracks")
SIMPLE_BLOCK = element(0xA3, b"media")
CLUSTER = element(0x1F43B675, SIMPLE_BLOCK)
LIVE_CLUSTER = element(0x1F43B675, element(0xE7, b"\0"), SIMPLE_BLOCK, unknown=True)
EMPTY_LIVE_CLUSTER = element(0x1F43B675, element(0xE7, b"\0"), unknown=True)


def segment(*contents: bytes, unknown: bool = False) -> bytes:
    return element(0x18538067, *contents, unknown=unknown)


GIF = b"GIF89a" + struct.pack("<HH", 1, 1)
NO_COLOURS = b"\0\0\0"
IMAGE = b"\x2c" + bytes(9) + b"\x02" + sub_blocks(b"\x44\x01")
COMMENT = b"\x21\xfe" + sub_blocks(b"a comment")
TRAILER = b"\x3b"


# --- Real videos


@pytest.mark.parametrize("name", PROOFS)
def test_a_whole_video_is_proven(name: str) -> None:
    """A whole video is known for what it is, and whether its own structure gives its end."""
    assert prove(VIDEOS[name]) == PROOFS[name]


def test_every_fixture_is_spoken_for() -> None:
    """Each video of the tests is in the table of what it proves."""
    assert VIDEOS.keys() == PROOFS.keys()


@pytest.mark.parametrize("name", PROOFS)
def test_one_byte_at_a_time(name: str) -> None:
    """A video that comes one byte at a time is proven all the same."""
    assert prove(*chunked(VIDEOS[name], range(len(VIDEOS[name])))) == PROOFS[name]


@given(st.sampled_from(sorted(PROOFS)), st.data())
def test_chunks_do_not_matter(name: str, data: st.DataObject) -> None:
    """How a video, whole or cut, is divided into chunks changes nothing, not even the reason."""
    video = VIDEOS[name][: data.draw(st.integers(0, len(VIDEOS[name])))]
    cuts = data.draw(st.lists(st.integers(0, len(video))))
    assert verdict(chunked(video, cuts)) == verdict([video])


@pytest.mark.parametrize("name", sorted(PROOFS.keys() - FRAGMENTED))
def test_every_cut_of_a_sized_video_is_seen(name: str) -> None:
    """No proper beginning of a video that gives its own end is whole."""
    video = VIDEOS[name]
    assert [n for n in range(len(video)) if isinstance(verdict([video[:n]]), Proof)] == []


@pytest.mark.parametrize(
    ("name", "boundaries"),
    [
        ("fragmented.mp4", [1968, 2543, 3021]),
        ("fragmented-no-index.mp4", [1968, 2543]),
        ("live.webm", [2533]),
    ],
)
def test_a_cut_between_fragments_is_open_ended(name: str, boundaries: list[int]) -> None:
    """Only a cut right between two fragments passes, and then as open-ended."""
    video = VIDEOS[name]
    proofs = {n: verdict([video[:n]]) for n in range(len(video))}
    whole = {n: proof for n, proof in proofs.items() if isinstance(proof, Proof)}
    assert whole == dict.fromkeys(boundaries, Proof(PROOFS[name].extension, open_ended=True))


@pytest.mark.parametrize("name", PROOFS)
@pytest.mark.parametrize("tail", [HTML, b"\0", b"\n", b'{"status": "error"}'])
def test_nothing_may_follow(name: str, tail: bytes) -> None:
    """A video with an error page or any stray bytes behind it is not one whole video."""
    with pytest.raises(NotWhole):
        prove(VIDEOS[name], tail)


@pytest.mark.parametrize("name", PROOFS)
def test_a_video_twice_is_not_one_video(name: str) -> None:
    """Two copies in a row, as a botched resume leaves them, are not one whole video."""
    with pytest.raises(NotWhole):
        prove(VIDEOS[name] * 2)


# --- What is no video


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
    """What a server sent instead of a video is named, however it was chunked."""
    refused(data, reason)
    assert verdict([data]) == verdict(chunked(data, range(len(data))))


def test_html_is_known_at_once() -> None:
    """An HTML page is refused by its first bytes, before the rest is downloaded."""
    prover = Prover()
    with pytest.raises(NotWhole, match="HTML"):
        prover.feed(HTML[:16])


def test_a_refusal_is_final() -> None:
    """Bytes refused once are refused for the same reason ever after."""
    prover = Prover()
    with pytest.raises(NotWhole, match="HTML"):
        prover.feed(HTML)
    with pytest.raises(NotWhole, match="HTML"):
        prover.feed(VIDEOS["faststart.mp4"])
    for _ in range(2):
        with pytest.raises(NotWhole, match="HTML"):
            prover.finish()


def test_the_end_is_declared_once() -> None:
    """A proof can be asked for again, but bytes after it are the caller's mistake."""
    prover = Prover()
    prover.feed(VIDEOS["faststart.mp4"])
    assert prover.finish() == prover.finish()
    with pytest.raises(RuntimeError):
        prover.feed(b"more")


def test_a_chunk_may_be_reused() -> None:
    """The caller may overwrite and resize the buffer it fed from."""
    prover, buffer = Prover(), bytearray()
    for chunk in chunked(VIDEOS["moov-last.mp4"], range(0, 2082, 5)):
        buffer[:] = chunk
        prover.feed(memoryview(buffer)[:])
        buffer.clear()
    assert prover.finish().extension == "mp4"


# --- MP4 and QuickTime


@pytest.mark.parametrize(
    ("data", "proof"),
    [
        (FTYP + MOOV + MDAT, Proof("mp4", open_ended=False)),
        (FTYP + MDAT + MOOV, Proof("mp4", open_ended=False)),
        (box("ftyp", b"qt  \0\0\0\0") + MOOV + MDAT, Proof("mov", open_ended=False)),
        (box("free") + box("uuid", bytes(16)) + FTYP + MOOV + MDAT, Proof("mp4", open_ended=False)),
        (FTYP + box("\xa9xyz") + MOOV + MDAT, Proof("mp4", open_ended=False)),
        (
            FTYP + large_box("moov", MVHD, trak()) + large_box("mdat", b"m"),
            Proof("mp4", open_ended=False),
        ),
        (FTYP + MOOV + b"\0\0\0\0mdat" + b"media", Proof("mp4", open_ended=True)),
        (FTYP + MDAT + b"\0\0\0\0moov" + MVHD + trak(), Proof("mp4", open_ended=True)),
        (FTYP + MOOV + box("mdat") + MDAT, Proof("mp4", open_ended=False)),
        (FTYP + MVEX_MOOV + MOOF + MDAT, Proof("mp4", open_ended=True)),
        (FTYP + MVEX_MOOV + MOOF + MDAT + MFRA, Proof("mp4", open_ended=False)),
        (FTYP + MVEX_MOOV + MOOF + MDAT + MFRA + box("free"), Proof("mp4", open_ended=True)),
        (FTYP + MVEX_MOOV + MDAT, Proof("mp4", open_ended=True)),
        (
            FTYP + MVEX_MOOV + MOOF + box("free") + MDAT + MOOF + box("mdat"),
            Proof("mp4", open_ended=True),
        ),
        (FTYP + MOOV + MOOF + MDAT, Proof("mp4", open_ended=True)),
    ],
    ids=shown,
)
def test_mp4_whole(data: bytes, proof: Proof) -> None:
    """These arrangements of boxes are whole movies."""
    assert prove(data) == proof == prove(*chunked(data, range(len(data))))


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
        (FTYP + MOOV, "it has no 'mdat' with anything in it"),
        (FTYP + MOOV + box("mdat"), "it has no 'mdat' with anything in it"),
        (FTYP + MOOV + large_box("mdat"), "it has no 'mdat' with anything in it"),
        (FTYP + MOOV + b"\0\0\0\0mdat", "it has no 'mdat' with anything in it"),
        (FTYP + box("moov") + MDAT, "it has no 'moov' with anything in it"),
        (FTYP + box("moov", MVHD) + MDAT, "it has no 'moov/trak'"),
        (FTYP + box("moov", trak()) + MDAT, "it has no 'moov/mvhd'"),
        (FTYP + box("moov", trak() + box("trak", MVHD)) + MDAT, "it has no 'moov/mvhd'"),
        (
            FTYP + box("moov", MVHD, trak(), b"\0" * 7) + MDAT,
            "something does not fit inside its 'moov'",
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
        (FTYP + MOOV + MDAT + bytes(8), "no box at "),
        (FTYP + MOOV + MDAT + b"\0\0\0", "bytes, in the middle of a header"),
        (FTYP + MVEX_MOOV, "it has no 'mdat'"),
        (FTYP + MVEX_MOOV + MOOF, "it has no 'mdat'"),
        (FTYP + MVEX_MOOV + MOOF + box("mdat"), "it has no 'mdat' with anything in it"),
        (FTYP + MVEX_MOOV + MOOF + MDAT + MOOF, "its last 'moof' has no 'mdat'"),
        (FTYP + MVEX_MOOV + MOOF + MDAT + MOOF + MFRA, "its last 'moof' has no 'mdat'"),
        (FTYP + MVEX_MOOV + MDAT + MOOF, "its last 'moof' has no 'mdat'"),
    ],
    ids=shown,
)
def test_mp4_not_whole(data: bytes, reason: str) -> None:
    """These are not whole movies, and the reason says why."""
    refused(data, reason)


def test_a_cut_tells_how_far_it_came() -> None:
    """The reason for a cut gives what came and what was to come."""
    data = FTYP + MOOV + box("mdat", bytes(1234))
    with pytest.raises(NotWhole) as refusal:
        prove(data[:-1000])
    assert str(refusal.value) == (
        f"cut after {len(data) - 1000:,} bytes, inside its 'mdat', which ends at {len(data):,}"
    )


@pytest.mark.parametrize("table", ["stco", "co64"])
def test_a_cut_between_two_mdat_is_seen(table: str) -> None:
    """A movie whose index names media behind its end is cut, even where its boxes add up."""

    def index(*offsets: int) -> bytes:
        long_track = trak(*offsets, *[1] * 3000, table=table)
        return box("moov", MVHD, long_track, trak(*offsets[:1], table=table))

    second = len(FTYP + index(0, 0) + MDAT) + 8
    whole = FTYP + index(second - len(MDAT), second) + MDAT + MDAT
    assert prove(whole) == Proof("mp4", open_ended=False)
    refused(whole[: -len(MDAT)], f"inside its media, which go on at {second:,}")


def test_an_index_may_name_any_place() -> None:
    """Chunk offsets of 64 bits are without sign, so the greatest lies behind every end."""
    moov = box("moov", MVHD, trak(2**64 - 1, table="co64"))
    refused(FTYP + moov + MDAT, "which go on at 18,446,744,073,709,551,615")


def test_an_index_must_hold_what_it_counts() -> None:
    """A table of chunk offsets that counts more than it holds is no table."""
    table = box("stco", struct.pack(">II", 0, 2**32 - 1))
    tracks = box("trak", box("mdia", box("minf", box("stbl", table))))
    refused(FTYP + box("moov", MVHD, tracks) + MDAT, "does not fit inside its 'stco'")


def test_boxes_in_boxes_do_not_exhaust_the_stack() -> None:
    """However deep boxes are nested, only those of a movie's index are entered."""
    nest = b""
    for _ in range(5000):
        nest = box("trak", nest)
    assert prove(FTYP, box("moov", MVHD, nest), MDAT).extension == "mp4"


def test_three_gigabytes_cost_nothing() -> None:
    """Media are skipped: 3 GB pass in far less than a second each, and none of them is held."""
    count, chunk, prover = 3 * 1024, bytes(2**20), Prover()
    prover.feed(FTYP + MOOV + struct.pack(">I4sQ", 1, b"mdat", 16 + count * len(chunk)))
    tracemalloc.start()
    begin = time.process_time()
    for _ in range(count):
        prover.feed(chunk)
    took = time.process_time() - begin
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert prover.finish() == Proof("mp4", open_ended=False)
    assert took < 2
    assert peak < 50_000


def test_many_boxes_are_not_remembered() -> None:
    """What is held does not grow with the number of boxes, whatever they are called."""
    boxes = b"".join(box(f"{number:04x}", b"x") for number in range(10_000))
    prover = Prover()
    tracemalloc.start()
    prover.feed(FTYP + MOOV)
    prover.feed(memoryview(boxes))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50_000


# --- WebM and Matroska


@pytest.mark.parametrize(
    ("data", "proof"),
    [
        (WEBM + segment(TRACKS, CLUSTER), Proof("webm", open_ended=False)),
        (ebml(b"matroska\0") + segment(TRACKS, CLUSTER), Proof("mkv", open_ended=False)),
        (WEBM + segment(TRACKS, CLUSTER) + element(0xEC, b"void"), Proof("webm", open_ended=False)),
        (WEBM + segment(element(0x4DBB, b"?"), TRACKS, CLUSTER), Proof("webm", open_ended=False)),
        (WEBM + segment(TRACKS, LIVE_CLUSTER, LIVE_CLUSTER), Proof("webm", open_ended=False)),
        (WEBM + segment(TRACKS, CLUSTER, unknown=True), Proof("webm", open_ended=True)),
        (WEBM + segment(TRACKS, LIVE_CLUSTER, unknown=True), Proof("webm", open_ended=True)),
        (
            WEBM + segment(TRACKS, LIVE_CLUSTER, EMPTY_LIVE_CLUSTER, TRACKS, unknown=True),
            Proof("webm", open_ended=True),
        ),
    ],
    ids=shown,
)
def test_matroska_whole(data: bytes, proof: Proof) -> None:
    """These arrangements of elements are whole videos."""
    assert prove(data) == proof == prove(*chunked(data, range(len(data))))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (ebml(b"doc") + segment(TRACKS, CLUSTER), "an EBML document of type 'doc'"),
        (element(0x1A45DFA3), "an EBML document of type ''"),
        (WEBM, "it has no 'Segment'"),
        (WEBM + TRACKS, "it goes on with 'Tracks' where only a 'Segment' belongs"),
        (WEBM + segment(TRACKS, CLUSTER) * 2, "it goes on with 'Segment'"),
        (WEBM + segment(TRACKS, CLUSTER) + WEBM, "it goes on with 'EBML'"),
        (WEBM + segment(CLUSTER), "it has no 'Tracks'"),
        (WEBM + segment(TRACKS), "no 'Cluster' with anything in it"),
        (WEBM + segment(TRACKS, element(0x1F43B675)), "no 'Cluster' with anything in it"),
        (WEBM + segment(TRACKS, EMPTY_LIVE_CLUSTER), "no 'Cluster' with anything in it"),
        (WEBM + segment(TRACKS, unknown=True), "no 'Cluster' with anything in it"),
        (WEBM + segment(TRACKS, SIMPLE_BLOCK, unknown=True), "an element 'SimpleBlock' before "),
        (WEBM + segment(TRACKS, LIVE_CLUSTER, b"\xec\x81", unknown=True), "inside its 'Void'"),
        (WEBM + segment(TRACKS, LIVE_CLUSTER, b"\xa3", unknown=True), "inside its 'Segment'"),
        (
            WEBM + segment(TRACKS, LIVE_CLUSTER, HTML, unknown=True),
            "does not belong in a 'Segment'",
        ),
        (
            WEBM + segment(TRACKS, LIVE_CLUSTER, CLUSTER, SIMPLE_BLOCK, unknown=True),
            "'SimpleBlock'",
        ),
        (WEBM + segment(TRACKS, CLUSTER)[:-1], "inside its 'Cluster', which ends at"),
        (WEBM + segment(TRACKS, CLUSTER[:-1]), "a 'Cluster' that ends at"),
        (WEBM + segment(TRACKS, CLUSTER, b"\xec"), "does not fit inside its 'Segment'"),
        (WEBM + segment(TRACKS, b"\x08\x80"), "no element at"),
        (WEBM + segment(TRACKS, b"\xec\x00"), "no element at"),
        (
            WEBM + segment(element(0x1654AE6B, unknown=True), CLUSTER),
            "its 'Tracks' at 38 gives no size",
        ),
    ],
    ids=shown,
)
def test_matroska_not_whole(data: bytes, reason: str) -> None:
    """These are not whole videos, and the reason says why."""
    refused(data, reason)


# --- GIF


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
    whole = Proof("gif", open_ended=False)
    assert prove(data) == whole == prove(*chunked(data, range(len(data))))


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
        (GIF + NO_COLOURS + IMAGE + b"\x00" + TRAILER, "no GIF block at 28, but 0x00"),
        (GIF + NO_COLOURS + IMAGE + TRAILER + b"\n", "it goes on after its end at 29"),
    ],
    ids=shown,
)
def test_gif_not_whole(data: bytes, reason: str) -> None:
    """These are not whole GIFs, and the reason says why."""
    refused(data, reason)


def test_bytes_after_a_definite_end_are_refused_at_once() -> None:
    """Where the structure has ended, one more byte is refused as it comes."""
    for name in ("animated.gif", "sized.webm"):
        prover = Prover()
        prover.feed(VIDEOS[name])
        with pytest.raises(NotWhole, match="it goes on"):
            prover.feed(HTML)


# --- Anything at all

openings = st.sampled_from(
    [
        b"",
        FTYP,
        FTYP + MOOV,
        WEBM,
        WEBM + b"\x18\x53\x80\x67\xff",
        GIF,
        GIF + NO_COLOURS,
        b"<",
        b"RIFF",
    ]
)


@given(openings, st.lists(st.binary(max_size=64)))
def test_no_bytes_break_it(opening: bytes, chunks: list[bytes]) -> None:
    """Whatever the bytes and however they are chunked, the response is a proof or a refusal."""
    response = verdict([opening, *chunks])
    assert isinstance(response, Proof) or response
    assert response == verdict([opening + b"".join(chunks)])


@given(st.sampled_from(sorted(PROOFS)), st.data())
def test_no_damage_breaks_it(name: str, data: st.DataObject) -> None:
    """A video with bytes overwritten anywhere gives a proof or a refusal, nothing else."""
    video = bytearray(VIDEOS[name])
    at = data.draw(st.integers(0, len(video) - 1))
    video[at : at + 8] = data.draw(st.binary(min_size=1, max_size=8))
    assert verdict([bytes(video)])
