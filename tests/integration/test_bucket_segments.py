"""Many segments and a large checksum manifest on a real S3 server."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import wait
from pathlib import Path

import pytest

from archiver.archive.layout import MANIFEST, Layout
from archiver.bucket.lease import leased
from archiver.bucket.segment import SEGMENTS, path_of
from archiver.bucket.segments import Segments, refresh
from archiver.checksums import BagFile, Checksum
from archiver.s3.measured import in_memory
from archiver.s3.objects import Absent, Objects
from tests.support.marks import ALL_STEPS
from tests.support.seaweed import Place

DEAD = "20260101T000000Z-0123456789ab"
SEGMENTS_OF_DEAD, LINES = 12_100 if ALL_STEPS else 2_100, 60_000


def file(number: int) -> BagFile:
    """Return a file of the archive."""
    sha256 = hashlib.sha256(str(number).encode()).hexdigest()
    return BagFile(f"data/v6/deepfake/{number}.mp4", sha256, 1)


def text(files: Sequence[BagFile]) -> str:
    """Return the lines of files."""
    return "".join(str(Checksum(each.sha256, each.path)) for each in files)


def fill(objects: Objects) -> None:
    """Write a large manifest, and the segments of a run that died before it rolled them up."""
    files = [file(number) for number in range(LINES)]
    objects.put(MANIFEST, in_memory(text(files).encode()), Absent())
    for start in range(0, SEGMENTS_OF_DEAD, 500):
        numbers = range(start + 1, min(start + 500, SEGMENTS_OF_DEAD) + 1)
        wait(
            objects.begin_put(
                path_of(DEAD, number), in_memory(text([file(LINES + number)]).encode()), Absent()
            )
            for number in numbers
        )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_thousands_of_segments_are_rolled_up_at_once(place: Place, tmp_path: Path) -> None:
    """Each line is in the manifest once, which is larger than a part of an upload; none is left."""
    layout = Layout(tmp_path)
    with place.open() as objects:
        fill(objects)
        with leased(objects) as lease:
            segments = Segments(objects, lease, layout)
            segments.begin()
            segments.append([file(0), file(-1)])
            segments.end()
        left = [each.path for each in objects.list(SEGMENTS)]
        refresh(objects, layout)
    content = place.read(MANIFEST)
    assert len(content) > 5 << 20
    numbers = [*range(LINES + SEGMENTS_OF_DEAD + 1), -1]
    numbers.remove(LINES)
    lines = Counter(content.decode().splitlines(keepends=True))
    assert {*lines} == {text([file(number)]) for number in numbers}
    assert [line for line, times in lines.items() if times > 1] == []
    assert layout.manifest.read_bytes() == content
    assert left == [path_of(DEAD, SEGMENTS_OF_DEAD + each) for each in (0, 1)]
