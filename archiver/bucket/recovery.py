"""Recovery: what a run has sent to the bucket, and a crash kept from being listed.

The journal of uploads names it; where that may lack something, the bucket is listed. The response
of a generation is sent last: where it is, the payloads are.
"""

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from archiver.archive.layout import INCOMING
from archiver.archive.staged import StagedFile
from archiver.checksums import BagFile
from archiver.generation import Generation, generation_at
from archiver.s3.objects import Objects, Stored


class Paths:
    """Paths of the checksum manifest, of which there may be millions: eight bytes for each."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._digests = array("Q", sorted(map(_digest, paths)))

    def __contains__(self, path: str) -> bool:
        digest = _digest(path)
        place = bisect_left(self._digests, digest)
        return place < len(self._digests) and self._digests[place] == digest

    def have_all(self, files: Iterable[StagedFile]) -> bool:
        """Return whether all that files become is among them."""
        return all(file.target.path in self for file in files)


def sent_without(objects: Objects, listed: Paths) -> Iterator[tuple[StagedFile, ...]]:
    """Yield the objects of each generation that are there, and no line names them.

    Raises:
        StorageError: if the store fails.
    """
    groups: dict[Generation, list[Stored]] = {}
    for each in objects.list("data/"):
        if each.path not in listed and (generation := generation_at(each.path)):
            groups.setdefault(generation, []).append(each)
    for generation, found in groups.items():
        heads = filter(None, (objects.head(each.path) for each in found))
        yield tuple(_staged(generation, each) for each in heads)


def is_whole(objects: Objects, files: Sequence[StagedFile]) -> bool:
    """Return whether all of a generation was sent, as the response shows that comes last.

    Raises:
        StorageError: if the store fails.
    """
    paths = {file.target.path for file in files}
    generation = generation_at(files[0].target.path) if files else None
    return (
        generation is not None
        and generation.sidecar_path in paths
        and len(paths) > 1
        and all(matches(objects.head(file.target.path), file.target) for file in files)
    )


def matches(there: Stored | None, file: BagFile) -> bool:
    """Return whether an object is a file, as the store reports it: its checksum and its size."""
    return (
        there is not None
        and bool(there.sha256)
        and (there.sha256, there.size) == (file.sha256, file.bytes)
    )


def _staged(generation: Generation, each: Stored) -> StagedFile:
    place = f"{INCOMING}/{generation.name.replace('/', '~')}"
    target = BagFile(each.path, each.sha256, each.size)
    return StagedFile(f"{place}/{each.path.rpartition('/')[2]}", target)


def _digest(path: str) -> int:
    return int.from_bytes(hashlib.blake2b(path.encode(), digest_size=8).digest())
