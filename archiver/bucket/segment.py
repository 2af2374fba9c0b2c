"""Segments: lines of the checksum manifest that are not in `manifest-sha256.txt` yet.

`.archiver/segments/RUN-NUMBER.txt` is created by one group commit of one run, and never changed.
A run counts its segments from 1 and leaves no number out; of those that are rolled up it keeps the
last, emptied, for as long as it works. So whoever takes its lease over sees which number is its
next, and fences it off: creates that object (`fence.py`), and the run can create no other.
"""

import logging
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from archiver.archive.checksum_manifest import parse
from archiver.archive.layout import QUARANTINE, STATE
from archiver.checksums import Checksum
from archiver.s3.objects import Objects, Stored

_LOG = logging.getLogger(__name__)

SEGMENTS = f"{STATE}/segments/"
FENCED = b"fenced\n"
"""What stands in the place of a segment that a run must not create: shorter than any line."""
EMPTIED = b""
"""What stands in the place of a segment that is rolled up, and was the last of its run."""
_NAME = re.compile(r"(?P<run>[0-9A-Za-z]+-[0-9a-f]{8,64})-(?P<number>[0-9]{8,15})\.txt")
_AT_ONCE = 16
"""This many are read together."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment in the bucket, or what stands in its place."""

    run: str
    number: int
    size: int
    etag: str
    content: bytes = b""
    """Once it is read."""

    @property
    def path(self) -> str:
        """Where it is."""
        return path_of(self.run, self.number)

    @property
    def is_fence(self) -> bool:
        """Whether it is the fence behind which its run creates no segment."""
        return self.size == len(FENCED)

    @property
    def has_lines(self) -> bool:
        """Whether there are lines in it."""
        return self.size > len(FENCED)

    def lines(self) -> list[Checksum]:
        """Return its lines."""
        return [line for line in map(parse, self.content.splitlines(keepends=True)) if line]

    def is_odd(self) -> bool:
        """Return whether something else is in it, too: another program has written to it."""
        return None in map(parse, self.content.splitlines(keepends=True))


def path_of(run: str, number: int) -> str:
    """Return where a segment of a run is."""
    return f"{SEGMENTS}{run}-{number:08d}.txt"


def is_run(name: str) -> bool:
    """Return whether this can be the name of a run."""
    return _NAME.fullmatch(f"{name}-00000001.txt") is not None


def listed(objects: Objects) -> list[Segment]:
    """Return what the bucket has of segments, in the order of runs and numbers, without reading.

    Raises:
        StorageError: if the store fails.
    """
    return [segment for each in objects.list(SEGMENTS) if (segment := _segment(each))]


def read(objects: Objects, segments: Iterable[Segment]) -> Iterator[Segment]:
    """Yield those that have lines, with them; not those that are gone, since they are rolled up.

    Raises:
        StorageError: if the store fails.
    """
    having = [segment for segment in segments if segment.has_lines]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for segment in pool.map(partial(_read, objects), having):
            if segment and segment.has_lines:
                yield segment


def set_odd_aside(objects: Objects, segments: Iterable[Segment]) -> None:
    """Keep a copy of what is not just lines, as another program has written to it.

    Raises:
        StorageError: if the store fails.
    """
    for segment in segments:
        if segment.is_odd():
            aside = f"{QUARANTINE}/{segment.path.removeprefix(SEGMENTS)}"
            objects.copy(segment.path, aside)
            _LOG.warning("not all of %s is checksum lines: it is kept as %s", segment.path, aside)


def _segment(stored: Stored) -> Segment | None:
    if not (found := _NAME.fullmatch(stored.path.removeprefix(SEGMENTS))):
        _LOG.warning("%s is no segment: it is left alone", stored.path)
        return None
    return Segment(found["run"], int(found["number"]), stored.size, stored.etag)


def _read(objects: Objects, segment: Segment) -> Segment | None:
    found = objects.get(segment.path)
    if not found:
        return None
    content, stored = found
    return Segment(segment.run, segment.number, len(content), stored.etag, content)
