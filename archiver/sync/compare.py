"""Comparing: what the source lists, with what the target lists."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from archiver.archive.checksum_manifest import problem_of
from archiver.archive.layout import MANIFEST
from archiver.archive.store import Store
from archiver.catalogue.store import Catalogue
from archiver.checksums import BagFile, Checksum
from archiver.sync.difference import Difference
from archiver.sync.report import Problem, Tally

_BATCH = 10_000
_Numbered = tuple[int, Checksum | bytes]


@dataclass(frozen=True, slots=True)
class Catalogues:
    """What the source knows of its files, which is only read, and what the target knows."""

    source: Catalogue
    target: Catalogue


def compare(source: Store, catalogues: Catalogues, tally: Tally) -> Difference:
    """Return what the source lists and the target does not; count the rest, and name what is wrong.

    Raises:
        StorageError: if the manifest or a catalogue cannot be read.
    """
    difference = Difference(catalogues.target.connection)
    lines = enumerate(source.manifest.raw_lines(), 1)
    while batch := list(islice(lines, _BATCH)):
        for problem in _odd_lines(batch):
            tally.add(problem)
        listed = [line for _, line in batch if isinstance(line, Checksum)]
        difference.add(_missing(listed, catalogues, tally))
    difference.order()
    return difference


def _odd_lines(batch: list[_Numbered]) -> Iterator[Problem]:
    """Name lines that are no checksum lines; one without an end is being written just now."""
    for number, line in batch:
        if isinstance(line, bytes) and line.endswith((b"\n", b"\r")):
            shown = line.decode(errors="replace").strip()[:60]
            yield Problem("contradictory", f"{MANIFEST}:{number}", f"{shown!r} {problem_of(line)}")


def _missing(listed: list[Checksum], catalogues: Catalogues, tally: Tally) -> Iterator[BagFile]:
    """Yield the files that the target does not list."""
    paths = [line.path for line in listed]
    held = {file.path: file.sha256 for file in catalogues.target.files(paths)}
    sizes = {file.path: file.bytes for file in catalogues.source.files(paths)}
    tally.listed += len(listed)
    for line in listed:
        match held.get(line.path):
            case None:
                yield BagFile(line.path, line.sha256, sizes.get(line.path, 0))
            case line.sha256:
                tally.held += 1
            case other:
                tally.add(_different(line, other))


def _different(line: Checksum, other: str) -> Problem:
    detail = (
        f"the target lists another file there, {other[:16]}…, not {line.sha256[:16]}…: it is kept"
    )
    return Problem("different", line.path, detail)
