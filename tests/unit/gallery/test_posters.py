"""Posters: a still of each kind of video that we archive, made once, and not black."""

import logging
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from archiver.archive.bag import Bag
from archiver.catalogue.queries import HeldFile
from archiver.gallery import browse as gallery
from archiver.gallery import posters as module
from archiver.gallery.posters import Posters, Unreadable, still
from tests.support.gallery import Shown, add
from tests.support.videos import MP4, OTHER_MP4, VIDEOS, sha256

av = pytest.importorskip("av")

needs_ffmpeg = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")


class Heard:
    """Progress that is kept."""

    def __init__(self) -> None:
        self.count = 0
        self.done = 0

    def planned(self, count: int) -> None:
        """Keep it."""
        self.count += count

    def made(self) -> None:
        """Keep it."""
        self.done += 1


def posters_of(archive: Path) -> set[Path]:
    return set((archive / ".archiver/browse/posters").rglob("*.webp"))


def brightness(poster: bytes, path: Path) -> tuple[float, int, int]:
    """Return the mean brightness of a poster, its width and its height."""
    path.write_bytes(poster)
    with av.open(path) as container:
        frame = next(container.decode(video=0))
    gray = bytes(frame.reformat(format="gray").planes[0])
    return sum(gray) / len(gray), frame.width, frame.height


def film(path: Path, *filters: str) -> Path:
    """Make a video of parts that follow each other."""
    inputs = [word for each in filters for word in ("-f", "lavfi", "-i", each)]
    joined = f"concat=n={len(filters)}"
    subprocess.run(
        ["ffmpeg", "-v", "error", *inputs, "-filter_complex", joined, "-pix_fmt", "yuv420p",
         "-preset", "ultrafast", path],
        check=True, timeout=60,
    )  # fmt: skip
    return path


KINDS = sorted(path for path in VIDEOS.iterdir() if path.suffix != ".md")


@pytest.mark.parametrize("path", KINDS, ids=lambda path: path.name)
def test_every_kind_has_a_still(path: Path) -> None:
    """MP4, MOV, WebM, Matroska and GIF, with or without an index, give a small WebP."""
    poster = still(path)
    assert (poster[:4], poster[8:12]) == (b"RIFF", b"WEBP")


@needs_ffmpeg
def test_a_still_is_not_black(tmp_path: Path) -> None:
    """Of a video that fades in late, a place is taken where there is something to see."""
    black, seen = "color=black:s=320x180:d=3:r=10", "testsrc=s=320x180:d=1:r=10"
    path = film(tmp_path / "fade.mp4", black, seen)
    mean, width, height = brightness(still(path), tmp_path / "poster.webp")
    assert mean > 60
    assert (width, height) == (320, 180)


@needs_ffmpeg
def test_a_black_video_has_a_still_too(tmp_path: Path) -> None:
    """Where all is black, a black still is what there is."""
    path = film(
        tmp_path / "black.mp4", "color=black:s=64x64:d=1:r=5", "color=black:s=64x64:d=1:r=5"
    )
    assert brightness(still(path), tmp_path / "poster.webp")[0] < 20


@needs_ffmpeg
def test_a_poster_is_small(tmp_path: Path) -> None:
    """The longest side is at most 480 pixels, in the shape of the video."""
    path = film(tmp_path / "tall.mp4", "testsrc=s=540x960:d=0.4:r=5", "testsrc=s=540x960:d=0.4:r=5")
    poster = still(path)
    assert brightness(poster, tmp_path / "poster.webp")[1:] == (270, 480)
    assert len(poster) < 40_000


@pytest.mark.parametrize("content", [b"", b"no video", MP4[:200], b"#EXTM3U\nfile:///etc/passwd\n"])
def test_what_is_no_video_is_unreadable(tmp_path: Path, content: bytes) -> None:
    """Garbage, half a file and a playlist give no still, and lead nowhere."""
    path = tmp_path / "1.mp4"
    path.write_bytes(content)
    with pytest.raises(Unreadable):
        still(path)


def test_posters_are_made_once(tmp_path: Path) -> None:
    """The second time nothing is made; a new video alone gets one then."""
    archive = tmp_path / "archive"
    add(archive, [Shown("v6/video/1"), Shown("v6/video/2", videos=[OTHER_MP4])])
    first, second, third = Heard(), Heard(), Heard()
    made = gallery.browse(archive, first)
    assert (first.count, first.done, made.without_poster) == (2, 2, 0)
    stamps = {path: path.stat().st_mtime_ns for path in posters_of(archive)}
    gallery.browse(archive, second)
    assert second.count == 0
    add(archive, [Shown("v6/video/3", videos=[MP4 + b"\0\0\0\x08free"])])
    gallery.browse(archive, third, whole=False)
    assert third.done == 1
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert len(posters_of(archive)) == 3


def test_the_page_is_told_of_posters(tmp_path: Path) -> None:
    """A row names its poster, which is there under that name."""
    archive = tmp_path / "archive"
    add(archive, [Shown("v6/video/1")])
    gallery.browse(archive)
    name = f"{sha256(MP4)[:2]}/{sha256(MP4)[2:16]}"
    assert f'"{name}"' in (archive / ".archiver/browse/data-0.js").read_text()
    assert posters_of(archive) == {archive / f".archiver/browse/posters/{name}.webp"}


def test_what_cannot_be_read_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is a line at -v, a plain tile on the page, and is not tried again."""
    archive, heard = tmp_path / "archive", Heard()
    add(archive, [Shown("v6/video/1", videos=[b"broken"])])
    with caplog.at_level(logging.INFO, "archiver"):
        gallery.browse(archive)
        made = gallery.browse(archive, heard)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 1
    assert lines[0].startswith("no poster of data/v6/video/1.mp4: ")
    assert (heard.count, made.without_poster) == (0, 0)
    assert '[".mp4"],""]' in (archive / ".archiver/browse/data-0.js").read_text()


def test_a_video_that_is_held_many_times_has_one_poster(tmp_path: Path) -> None:
    """The same bytes share a poster, also where several threads make it at once."""
    archive = tmp_path / "archive"
    add(archive, [Shown(f"v6/video/{number}") for number in range(30)])
    assert gallery.browse(archive).without_poster == 0
    assert len(posters_of(archive)) == 1


def test_a_missing_file_is_tried_again(tmp_path: Path) -> None:
    """A video that is not there now may be there the next time."""
    archive = tmp_path / "archive"
    add(archive, [Shown("v6/video/1")])
    video = archive / "data/v6/video/1.mp4"
    video.rename(tmp_path / "away.mp4")
    assert gallery.browse(archive).without_poster == 1
    (tmp_path / "away.mp4").rename(video)
    assert gallery.browse(archive).without_poster == 0


def test_interrupted_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was made before Ctrl-C is on the page; the next time makes the rest, and only that."""
    archive = tmp_path / "archive"
    free = [b"\0\0\0\x09free" + bytes([number]) for number in range(40)]
    add(archive, [Shown(f"v6/video/{n}", videos=[MP4 + free[n]]) for n in range(40)])

    class Impatient(Heard):
        def made(self) -> None:
            super().made()
            if self.done == 5:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gallery.browse(archive, Impatient())
    made = len(posters_of(archive))
    assert 5 <= made < 40
    row_texts = (archive / ".archiver/browse/data-0.js").read_text()
    shown = sum(path.stem in row_texts for path in posters_of(archive))
    assert shown == made
    rest = Heard()
    gallery.browse(archive, rest)
    assert rest.count == 40 - made
    assert len(posters_of(archive)) == 40


def test_without_pyav_the_page_says_how_to_get_posters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of the page is written, and it knows that there is no PyAV."""
    archive, heard = tmp_path / "archive", Heard()
    add(archive, [Shown("v6/video/1")])
    monkeypatch.setattr(module, "find_spec", lambda _name: None)
    made = gallery.browse(archive, heard)
    assert (heard.count, made.without_poster) == (0, 1)
    index = (archive / ".archiver/browse/index.js").read_text()
    assert '"posters":{"missing":1,"available":false}' in index


def test_a_poster_is_whole_or_not_there(tmp_path: Path) -> None:
    """It is written beside its place; what a killed process has left is not taken for it."""
    archive = tmp_path / "archive"
    add(archive, [Shown("v6/video/1")])
    posters = Posters(Bag(archive))
    video = HeldFile("data/v6/video/1.mp4", len(MP4), sha256(MP4), None)
    name = f"{sha256(MP4)[:2]}/{sha256(MP4)[2:16]}"
    half = archive / f".archiver/browse/posters/{name}.webp.999.new"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"RIFF")
    assert posters.of(video) is None
    posters.make([video], Heard())
    assert posters.of(video) == name
    bag = Bag(archive)
    assert not list(bag.layout.gallery.rglob(f"*.{os.getpid()}-*.new"))


@needs_ffmpeg
def test_a_long_video_costs_little(tmp_path: Path) -> None:
    """Only some frames are decoded on the way to a still, however long the video is."""
    path = tmp_path / "long.mp4"
    film(path, "color=gray:s=64x64:d=200:r=25", "testsrc=s=64x64:d=1:r=25")
    began = time.process_time()
    still(path)
    assert time.process_time() - began < 5
