"""Comparing: what the source lists, with what the target lists."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from archiver.archive.checksum_manifest import parse, problem_of
from archiver.archive.layout import MANIFEST
from archiver.archive.store import Store, stays_torn
from archiver.catalogue.store import Catalogue
from archiver.checksums import BagFile, Checksum
from archiver.sync.difference import Difference
from archiver.sync.report import Problem, Tally

_BATCH = 10_000
_TWICE = "it is listed more than once, with different checksums"


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
    others: dict[str, str] = {}
    lines = _checksums(source, tally)
    while listed := list(islice(lines, _BATCH)):
        difference.add(_missing(listed, catalogues, tally, others))
    for path in difference.order():
        tally.add(Problem("contradictory", path, _TWICE))
    for problem in _different(source, others):
        tally.add(problem)
    return difference


def _checksums(source: Store, tally: Tally) -> Iterator[Checksum]:
    """Yield the checksum lines of the source; name the lines that are none.

    A last line without its end may have lost that, or a run is writing it just now: which of the
    two, the file that it names shows.
    """
    for number, line in enumerate(source.manifest.raw_lines(), 1):
        if isinstance(line, Checksum):
            yield line
            continue
        ended = line.endswith((b"\n", b"\r"))
        whole = None if ended else parse(line + b"\n")
        if whole and source.exists(whole.path):
            yield whole
        elif ended or stays_torn(source, line):
            shown = line.decode(errors="replace").strip()[:60]
            detail = f"{shown!r} {problem_of(line) if ended else 'has no end'}"
            tally.add(Problem("contradictory", f"{MANIFEST}:{number}", detail))


def _missing(
    listed: list[Checksum], catalogues: Catalogues, tally: Tally, others: dict[str, str]
) -> Iterator[BagFile]:
    """Yield the files that the target does not list; note what it lists of `others`, by path."""
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
                others[line.path] = other


def _different(source: Store, others: dict[str, str]) -> Iterator[Problem]:
    """Name the files of which the target lists others, unless the source lists both."""
    if not others:
        return
    listed: dict[str, str] = {}
    for line in source.manifest.lines():
        if line.path in others and listed.get(line.path) != others[line.path]:
            listed[line.path] = line.sha256
    for path, sha256 in listed.items():
        if sha256 == others[path]:
            yield Problem("contradictory", path, _TWICE)
        else:
            detail = f"the target lists another file there, {others[path][:16]}…, not "
            yield Problem("different", path, f"{detail}{sha256[:16]}…: it is kept")
