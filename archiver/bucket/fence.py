"""The fence: a run that has lost its lease, and does not know it, can write no line any more.

Whoever has the lease creates the object that would be the other run's next segment: where that was
quicker, its segment counts, and the next number is tried. Every later segment of that run then
fails (`If-None-Match`).

What the other run may still do is to replace the manifest, as long as that is just the one it knows
(`If-Match`). So the holder replaces it once. From then on it must never be the same bytes again,
even when lines are withdrawn: the same bytes have the same ETag. Hence the SHA-256 of what must not
come back is remembered by objects in `.archiver/superseded/`, and a manifest that would be just
that is spelled in another way: BagIt leaves it open whether a checksum is in capital letters
(RFC 8493, 2.4), so it can be said in millions of ways.
"""

import re
import shutil
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from itertools import count
from pathlib import Path

from archiver.archive.layout import STATE
from archiver.bucket.segment import FENCED, SEGMENTS, Segment, path_of
from archiver.s3.measured import in_file, in_memory
from archiver.s3.objects import Absent, Body, ConditionFailed, Objects

SUPERSEDED = f"{STATE}/superseded/"
FORGOTTEN_AFTER = timedelta(days=30)
"""A run that was stopped for longer is not thought of any more."""
_CHECKSUM = re.compile(rb"[0-9a-fA-F]{64}[ \t]")


def unfenced(segments: Iterable[Segment], run: str) -> list[str]:
    """Return the other runs that have segments and are not fenced."""
    last = {segment.run: segment for segment in segments}
    return [other for other, segment in last.items() if other != run and not segment.is_fence]


def fence(objects: Objects, runs: Iterable[str], segments: Iterable[Segment]) -> None:
    """Fence runs, of which there are these segments, in the order of their numbers.

    Raises:
        StorageError: if the store fails.
    """
    last = {segment.run: segment for segment in segments}
    for run in runs:
        if not (found := last.get(run)) or not found.is_fence:
            _fence(objects, run, found.number + 1 if found else 1)


def superseded(objects: Objects) -> set[str]:
    """Return the SHA-256s of the manifests that must not come back.

    Raises:
        StorageError: if the store fails.
    """
    return {each.path.removeprefix(SUPERSEDED) for each in objects.list(SUPERSEDED)}


def supersede(objects: Objects, sha256: str) -> None:
    """Note that the manifest of this SHA-256 must not come back.

    Raises:
        StorageError: if the store fails.
    """
    with suppress(ConditionFailed):  # it is noted already
        objects.put(f"{SUPERSEDED}{sha256}", in_memory(b""), Absent())


def forget(objects: Objects) -> None:
    """Delete what was written for runs that lost their lease long ago.

    Raises:
        StorageError: if the store fails.
    """
    old = [
        each.path
        for prefix in (SEGMENTS, SUPERSEDED)
        for each in objects.list(prefix)
        if each.size <= len(FENCED) and each.now - each.modified > FORGOTTEN_AFTER
    ]
    if old:
        objects.delete(old)


@contextmanager
def spelled(manifest: Body, not_again: Container[str]) -> Iterator[Body]:
    """Spell a manifest, which is in a file, in a way that was not superseded.

    Raises:
        OSError: if the disk fails.
    """
    if manifest.sha256 not in not_again:
        yield manifest
        return
    target = Path(f"{manifest.file}.spelled")
    try:
        for way in count(1):
            _respell(Path(manifest.file), target, way)
            if (body := in_file(target)).sha256 not in not_again:
                yield body
                return
    finally:
        target.unlink(missing_ok=True)


def _respell(manifest: Path, target: Path, way: int) -> None:
    """Write a manifest that says the same in other bytes; each `way` from 1 on is another."""
    with manifest.open("rb") as file, target.open("wb") as other:
        first = file.readline()
        is_line = _CHECKSUM.match(first)
        other.write(_respelled(first, way) if is_line else b"\n" * way + first)
        shutil.copyfileobj(file, other, 1 << 20)


def _respelled(line: bytes, way: int) -> bytes:
    """Swap the case of those letters of the checksum whose bits are set."""
    letters, spelled = [i for i in range(64) if line[i : i + 1].isalpha()], bytearray(line)
    for bit, position in enumerate(letters):
        if way >> bit & 1:
            spelled[position : position + 1] = line[position : position + 1].swapcase()
    return bytes(spelled)


def _fence(objects: Objects, run: str, first: int) -> None:
    for number in count(first):
        with suppress(ConditionFailed):  # the run was quicker, or another has fenced it
            objects.put(path_of(run, number), in_memory(FENCED), Absent())
            return
