"""The forms that whole videos come in: players accept them, and no cut through media is one."""

import json
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from archiver.media.info import MediaInfo
from tests.unit.media.checks import chunked, validate, verdict
from tests.unit.media.samples import VIDEOS, box

FASTSTART, MOOV_LAST = VIDEOS["faststart.mp4"], VIDEOS["moov-last.mp4"]
QUICKTIME, FRAGMENTED = VIDEOS["quicktime.mov"], VIDEOS["fragmented.mp4"]
IMAGES = 5
"""Every one of them has as many."""


def renamed(video: bytes, name: bytes) -> bytes:
    """Return a movie whose `ftyp` is another box: its media stay where they were."""
    return video[:4] + name + video[8:]


def media_first(video: bytes) -> bytes:
    """Return a movie whose `mdat` begins at once, as old cameras wrote it."""
    at = video.index(b"mdat") - 4
    (size,) = struct.unpack_from(">I", video, at)
    return struct.pack(">I4s", at + size, b"mdat") + video[8:]


def large_mdat(video: bytes) -> bytes:
    """Return a movie with an `mdat` of 64 bits, for which a box of 8 bytes was reserved."""
    at = video.index(b"mdat") - 4
    (size,) = struct.unpack_from(">I", video, at)
    return video[: at - 8] + struct.pack(">I4sQ", 1, b"mdat", size + 8) + video[at + 8 :]


def endless_mdat(video: bytes) -> bytes:
    """Return a movie whose `mdat`, its last box, reaches to the end of the file."""
    at = video.index(b"mdat") - 4
    return video[:at] + b"\0\0\0\0" + video[at + 4 :]


WITH_BRAND = {
    "an mdat of 64 bits": large_mdat(MOOV_LAST),
    "an mdat to the end": endless_mdat(FASTSTART),
    "a brand of MP4 for QuickTime": QUICKTIME.replace(b"ftypqt  ", b"ftypmp42"),
}
WITHOUT_FTYP = {
    "moov first": FASTSTART[32:884] + box("free", bytes(24)) + FASTSTART[884:],
    "mdat first": media_first(MOOV_LAST),
    "wide first": renamed(QUICKTIME, b"wide"),
    "free first": renamed(MOOV_LAST, b"free"),
    "skip first": renamed(FASTSTART, b"skip"),
    "pnot first": renamed(MOOV_LAST, b"pnot"),
    "an mdat of 64 bits first": renamed(large_mdat(MOOV_LAST), b"wide"),
}
TAILS = {
    "a zero": b"\0",
    "zeros": bytes(600),
    "a newline": b"\n",
    "white space": b"\r\n \t",
    "a free box": box("free", bytes(16)),
    "a uuid box": box("uuid", bytes(range(16)), b"metadata"),
    "a sefd box": box("sefd", b"SEFH" + bytes(16) + b"SEFT"),
    "an axte box": box("axte", b"x"),
}
WITH_TAIL = {
    **{tail: FASTSTART + data for tail, data in TAILS.items()},
    "padding after QuickTime": QUICKTIME + bytes(600),
    "padding after mfra": FRAGMENTED + bytes(600),
    "zeros after WebM": VIDEOS["sized.webm"] + bytes(600),
    "a newline after Matroska": VIDEOS["matroska.mkv"] + b"\n",
    "zeros after GIF": VIDEOS["animated.gif"] + bytes(4500),
    "a few KiB after GIF": VIDEOS["animated.gif"] + b"left over " * 400,
    "a second trailer after GIF": VIDEOS["animated.gif"] + b";",
}
WHOLE = {**WITH_BRAND, **WITHOUT_FTYP, **WITH_TAIL}
NO_TAIL = [*WITH_BRAND, *WITHOUT_FTYP]


def is_whole(data: bytes) -> bool:
    return isinstance(verdict([data]), MediaInfo)


@pytest.mark.parametrize("name", WHOLE)
def test_a_video_is_whole_in_every_form(name: str) -> None:
    """It is whole however its bytes arrive, and shows where it ends."""
    media = validate(WHOLE[name])
    assert not media.open_ended
    assert validate(*chunked(WHOLE[name], range(len(WHOLE[name])))) == media


@pytest.mark.parametrize("name", WITHOUT_FTYP)
def test_a_movie_without_ftyp_is_quicktime(name: str) -> None:
    """Only QuickTime was written without it; its files are called .mov."""
    assert validate(WITHOUT_FTYP[name]).extension == "mov"


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed")
@pytest.mark.parametrize("name", WHOLE)
def test_players_accept_it(name: str, tmp_path: Path) -> None:
    """A player reads every image of what is taken for whole."""
    path = tmp_path / f"video.{validate(WHOLE[name]).extension}"
    path.write_bytes(WHOLE[name])
    assert images(path) == IMAGES


def images(path: Path) -> int:
    """Return how many images ffprobe decodes, if without an error."""
    command = ["ffprobe", "-v", "error", "-count_frames", "-select_streams", "v"]
    command += ["-show_entries", "stream=nb_read_frames", "-of", "json", str(path)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    (stream,) = json.loads(done.stdout)["streams"]
    return int(stream["nb_read_frames"])


@pytest.mark.parametrize("name", NO_TAIL)
def test_every_cut_is_detected(name: str) -> None:
    """A movie is refused wherever it is cut, whatever its first and last boxes are."""
    whole = WHOLE[name]
    assert [end for end in range(len(whole)) if is_whole(whole[:end])] == []


@pytest.mark.parametrize("tail", TAILS)
def test_every_cut_before_a_tail_is_detected(tail: str) -> None:
    """Without what follows the media it is whole; no cut before that is."""
    whole, media = FASTSTART + TAILS[tail], len(FASTSTART)
    ends = [end for end in range(len(whole)) if is_whole(whole[:end])]
    assert ends[0] == media
    if "box" in tail:  # the first bytes of its size are zeros, which may be padding
        assert [end for end in ends if end - media > 3] == []


@pytest.mark.parametrize("name", ["moov-last.mp4", "quicktime.mov"])
def test_a_cut_filled_up_with_zeros_is_detected(name: str) -> None:
    """A file of which a disk has lost the end, and kept the length, has no index: not whole."""
    whole = VIDEOS[name]
    tables = whole.find(b"udta")
    filled = [whole[:end] + bytes(len(whole) - end) for end in range(len(whole))]
    ends = [end for end, data in enumerate(filled) if data != whole and is_whole(data)]
    assert [end for end in ends if tables < 0 or end < tables] == []


@pytest.mark.parametrize("filler", [b"\0", b"\n"])
def test_fragments_lost_to_filler_are_detected(filler: bytes) -> None:
    """Padding in place of a fragment, or of what shows the last one, is not taken for the end."""
    closed = FRAGMENTED.index(b"mfra") - 4
    filled = {end: FRAGMENTED[:end] + filler * 2000 for end in range(closed + 8)}
    assert [end for end, data in filled.items() if is_whole(data)] == []
