"""Posters: a small still of each video, made once, by PyAV (`pip install 'archiver[browse]'`).

A poster is named for the checksum of its video: a video that is replaced gets another one. Of one
in a bucket an empty file shows here that it is there.
"""

import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import suppress
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from threading import get_ident
from typing import TYPE_CHECKING, Protocol

from archiver.archive.layout import GALLERY
from archiver.archive.store import Store
from archiver.catalogue.queries import HeldFile
from archiver.errors import storage_errors
from archiver.gallery.rows import Poster

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer

_LOG = logging.getLogger(__name__)
_DEMUXERS = {"mp4": "mov", "mov": "mov", "webm": "matroska", "mkv": "matroska", "gif": "gif"}
"""By the name of the file: guessing from what is in it, a playlist could lead elsewhere."""
_PLACES = (0.25, 0.5, 0.75, 0.0)
"""Where in a video a still is looked for, as parts of its length."""
_MOST_FRAMES = 150
"""The most frames that are decoded on the way to one of these places."""
_LONGEST_SIDE = 480
_POSTERS = f"{GALLERY}/posters"
_PATH = re.compile(rf"{re.escape(_POSTERS)}/[0-9a-f]{{2}}/[0-9a-f]{{14}}\.(webp|none)")
_FEW = 50
"""Of this many posters each is asked about in a bucket; for more, all are listed."""
_DARK, _FLAT = 32, 6
"""A still whose mean is darker, or whose brightness varies less, is black or blank."""


class PosterProgress(Protocol):
    """Hears of posters that are to be made, and of each that is."""

    def planned(self, count: int) -> None:
        """How many posters are to be made."""

    def made(self) -> None:
        """One is done with."""


class Unreadable(Exception):
    """A video of which no still can be had; its message says why."""


def available() -> bool:
    """Return whether posters can be made here."""
    return find_spec("av") is not None


class Posters:
    """The posters of an archive."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._directory = store.layout.root / _POSTERS

    def of(self, video: HeldFile) -> Poster:
        """Return the name of a video's poster, as far as it has one."""
        name = _name(video)
        if os.path.exists(self._path(name, "webp")):  # noqa: PTH110 (asked for very many)
            return name
        return "" if os.path.exists(self._path(name, "none")) else None  # noqa: PTH110

    def learn(self, videos: Iterable[HeldFile], count: int) -> None:
        """Find out which of these posters are in a bucket: another machine may have made them.

        `count` is how many they are.

        Raises:
            StorageError: if the store or the disk fails.
        """
        if count > _FEW:
            there = self._store.published(_POSTERS)
        else:
            names = (f"{_name(video)}.{kind}" for video in videos for kind in ("webp", "none"))
            there = filter(self._store.exists, (f"{_POSTERS}/{name}" for name in names))
        with storage_errors(f"writing posters to {self._directory}"):
            for path in filter(_PATH.fullmatch, there):
                here = Path(self._store.layout.at(path))
                here.parent.mkdir(parents=True, exist_ok=True)
                here.touch()

    def make(self, videos: Sequence[HeldFile], progress: PosterProgress) -> None:
        """Make posters, as many at once as there are processors.

        Interrupted, it finishes those in hand. Of what cannot be read that is remembered.

        Raises:
            StorageError: if the disk does not take them.
        """
        with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
            futures = [threads.submit(self._make, video) for video in videos]
            try:
                self._wait(futures, progress)
            except BaseException:
                threads.shutdown(cancel_futures=True)
                raise

    def _wait(self, futures: Iterable["Future[None]"], progress: PosterProgress) -> None:
        for future in as_completed(futures):
            with storage_errors(f"writing posters to {self._directory}"):
                future.result()
            progress.made()

    def _make(self, video: HeldFile) -> None:
        name = _name(video)
        with self._store.local(video.path) as path:
            try:
                self._keep(name, "webp", still(path))
            except Unreadable as error:
                _LOG.info("no poster of %s: %s", video.path, error)
                if path.is_file():
                    self._keep(name, "none", f"{error}\n".encode())

    def _keep(self, name: str, kind: str, data: bytes) -> None:
        self._store.publish(f"{_POSTERS}/{name}.{kind}", data)
        self._write(name, kind, b"" if self._store.is_shared else data)

    def _write(self, name: str, kind: str, data: bytes) -> None:
        path = self._path(name, kind)
        # Others may be making the same one: another process, or a thread, of a video held twice.
        temporary = Path(f"{path}.{os.getpid()}-{get_ident()}.new")
        temporary.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # an empty one would never be made again
        temporary.replace(path)

    def _path(self, name: str, kind: str) -> str:
        return f"{self._directory}/{name}.{kind}"


def still(path: Path) -> bytes:
    """Return a still of a video that is not black, unless all of it is, as a small WebP.

    Raises:
        Unreadable: if there is none.
    """
    import av  # noqa: PLC0415 (an extra)

    if not (demuxer := _DEMUXERS.get(path.suffix[1:])):
        raise Unreadable(f"{path.suffix} is no kind of video")
    try:
        with av.open(path, format=demuxer) as container:
            return _encoded(_best(_stills(container)))
    except (av.FFmpegError, OSError, ValueError, IndexError) as error:
        raise Unreadable(f"{error}") from error


def _name(video: HeldFile) -> str:
    return f"{video.sha256[:2]}/{video.sha256[2:16]}"


def _stills(container: "InputContainer") -> Iterator["VideoFrame"]:
    """Yield a frame of each place in which one is looked for."""
    import av  # noqa: PLC0415

    length = container.duration or 0  # in microseconds
    for place in _PLACES:
        at = int(length * place)
        with suppress(av.FFmpegError, OSError):  # some have no index: then from where it stands
            container.seek(at)
        with suppress(av.FFmpegError):  # what is broken at one place may be whole at another
            yield from _frame_at(container, at / 1_000_000)


def _frame_at(container: "InputContainer", seconds: float) -> Iterator["VideoFrame"]:
    """Yield the frame at a time, or the one nearest before it that is reached."""
    last = None
    for count, frame in enumerate(container.decode(video=0)):
        last = frame
        if count >= _MOST_FRAMES or frame.time is None or frame.time >= seconds:
            break
    if last:
        yield last


def _best(stills: Iterator["VideoFrame"]) -> "VideoFrame":
    """Return the first still that shows something, or else the brightest."""
    brightest, frame = -1.0, None
    for each in stills:
        mean, spread = _brightness(each)
        if mean >= _DARK and spread >= _FLAT:
            return each
        if mean > brightest:
            brightest, frame = mean, each
    if frame is None:
        raise ValueError("there is no image in it")
    return frame


def _brightness(frame: "VideoFrame") -> tuple[float, float]:
    """Return the mean of the brightness, from 0 to 255, and its mean deviation from that."""
    small = frame.reformat(width=32, height=32, format="gray")
    plane = small.planes[0]
    rows, stride = bytes(plane), plane.line_size
    pixels = b"".join(rows[row * stride : row * stride + 32] for row in range(32))
    mean = sum(pixels) / len(pixels)
    return mean, sum(abs(pixel - mean) for pixel in pixels) / len(pixels)


def _encoded(frame: "VideoFrame") -> bytes:
    """Return a frame as a WebP, no larger than a tile of the grid needs it."""
    import av  # noqa: PLC0415

    scale = min(1.0, _LONGEST_SIDE / max(frame.width, frame.height))
    width, height = (max(2, round(side * scale / 2) * 2) for side in (frame.width, frame.height))
    codec = av.CodecContext.create("libwebp", "w")
    codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
    codec.time_base = Fraction(1, 25)
    codec.options = {"quality": "72"}
    shown = frame.reformat(width=width, height=height, format="yuv420p")
    shown.pts = 0
    packets = [*codec.encode(shown), *codec.encode(None)]
    return b"".join(bytes(packet) for packet in packets)
