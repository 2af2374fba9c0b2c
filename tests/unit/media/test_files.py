"""Inspecting a file: its checksum, its size and what it is, in one pass."""

import hashlib
import io
from pathlib import Path

import pytest

from archiver.media.files import Inspection, examine, inspect
from archiver.media.info import MediaInfo, Properties
from archiver.media.reader import NotWhole
from tests.unit.media.samples import FTYP, HTML, MEDIA, MOOV, VIDEOS, box

BLOCK = 1 << 20


def expected(data: bytes, media: MediaInfo) -> Inspection:
    return Inspection(hashlib.sha256(data).hexdigest(), len(data), media)


@pytest.mark.parametrize("name", MEDIA)
def test_a_whole_file_is_inspected(name: str, tmp_path: Path) -> None:
    """A whole video, at a path or in an open file, gives its checksum, size and media."""
    path = tmp_path / "payload"
    path.write_bytes(VIDEOS[name])
    assert inspect(path) == expected(VIDEOS[name], MEDIA[name])
    with path.open("rb") as file:
        assert inspect(file) == expected(VIDEOS[name], MEDIA[name])
        assert not file.closed


def test_a_file_of_many_blocks_is_inspected() -> None:
    """A file is read block by block; the last one may be short."""
    video = FTYP + MOOV + box("mdat", bytes(3 * BLOCK))
    assert inspect(io.BytesIO(video)) == expected(video, MediaInfo("mp4", open_ended=False))


def test_an_open_file_is_read_from_where_it_stands() -> None:
    """Only the rest of an open file is inspected."""
    video = VIDEOS["faststart.mp4"]
    file = io.BytesIO(HTML + video)
    file.seek(len(HTML))
    assert inspect(file) == expected(video, MEDIA["faststart.mp4"])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (HTML, "an HTML page"),
        (VIDEOS["faststart.mp4"][:-1], "cut after"),
        (VIDEOS["faststart.mp4"] * 2, "a second 'ftyp'"),
    ],
    ids=["empty", "an HTML page", "a cut video", "a video twice"],
)
def test_a_file_that_is_not_whole(data: bytes, reason: str, tmp_path: Path) -> None:
    """A file that is not one whole video is refused with the reason."""
    path = tmp_path / "payload"
    path.write_bytes(data)
    with pytest.raises(NotWhole, match=reason):
        inspect(path)
    with pytest.raises(NotWhole, match=reason):
        inspect(io.BytesIO(data))


@pytest.mark.parametrize("name", MEDIA)
def test_a_file_is_examined_while_it_is_hashed(name: str) -> None:
    """Its checksum comes with what it says of itself."""
    data = VIDEOS[name]
    sha256 = hashlib.sha256(data).hexdigest()
    assert examine(io.BytesIO(data)) == (sha256, MEDIA[name].properties)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        HTML + bytes(3 * BLOCK),
        VIDEOS["faststart.mp4"][:-1],
        VIDEOS["faststart.mp4"] + bytes(3 * BLOCK) + b"x",
    ],
    ids=["empty", "an HTML page", "a cut video", "one that goes on"],
)
def test_what_is_no_video_is_hashed_to_its_end(data: bytes) -> None:
    """Wherever it shows that it is none."""
    assert examine(io.BytesIO(data)) == (hashlib.sha256(data).hexdigest(), Properties())


def test_a_page_is_not_read_to_its_end() -> None:
    """Reading stops at the first block that cannot belong to a video."""
    file = io.BytesIO(HTML + bytes(5 * BLOCK))
    with pytest.raises(NotWhole, match="an HTML page"):
        inspect(file)
    assert file.tell() == BLOCK


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing file, or a directory, is an error of the system: nothing is known about it."""
    with pytest.raises(FileNotFoundError):
        inspect(tmp_path / "missing")
    with pytest.raises(IsADirectoryError):
        inspect(tmp_path)
