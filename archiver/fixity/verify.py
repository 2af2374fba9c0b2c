"""Verify: is every file in the archive what the checksum manifest lists?

It takes no lock and changes nothing under `data/`, so it may run beside a backup. What a backup
is committing stands in its journal before it is placed, and in the checksum manifest before it
leaves the journal; so the files are listed first, then the journal is read, then the manifest.
"""

import hashlib
import io
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TypeAlias

from archiver.archive.checksum_manifest import open_file, parse, problem_of
from archiver.archive.layout import MANIFEST
from archiver.archive.other_manifests import checksum_of
from archiver.archive.store import Store
from archiver.catalogue.database import CatalogueDamaged
from archiver.catalogue.store import Catalogue
from archiver.errors import StorageError
from archiver.fixity.declarations import (
    check_other_manifests,
    check_oxum,
    check_structure,
    without_declarations,
)
from archiver.fixity.reconcile import Listed, Reconciliation
from archiver.fixity.report import Audit, Finding, Findings, FixityReport
from archiver.location import Location, parse_location
from archiver.media.files import examine
from archiver.media.info import EXTENSIONS, Properties
from archiver.pipeline.indexing import index_in_memory, open_to_read
from archiver.pipeline.sidecars import describe_held
from archiver.progress import ByteProgress, Silent
from archiver.run import WRITING
from archiver.stores import look_into

_BATCH = 10_000
_VIDEOS = tuple(f".{extension}" for extension in EXTENSIONS)
_LEADS_OUT = "it is a link that leads out of the archive"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which files to read: a share of them, or those last verified this many seconds ago."""

    sample: float = 1.0
    older_than: float = 0.0
    threads: int = os.cpu_count() or 1


def verify(
    archive: Location | str,
    selection: Selection | None = None,
    progress: ByteProgress | None = None,
) -> FixityReport:
    """Compare the files, the checksum manifest and the catalogue with each other, and remember it.

    Raises:
        NotAnArchive: if there is no archive.
        StorageError: if its records cannot be read.
    """
    began = datetime.now(UTC)
    with look_into(parse_location(archive)) as store:
        found = audit(store, selection or Selection(), progress or Silent())
        report = FixityReport("verify", began, datetime.now(UTC), audit=found)
        _remember(store, lambda catalogue: describe_held(store, catalogue, lambda: True))
        _remember(store, lambda catalogue: catalogue.history.add(report.run))
    return report


def audit(
    store: Store, selection: Selection, progress: ByteProgress, *, alone: bool = False
) -> Audit:
    """Compare them, and return what is found; `alone` if no other run can be writing.

    Raises:
        NotAnArchive: if there is no archive.
        StorageError: if its records cannot be read.
    """
    store.require()
    try:
        with closing(open_to_read(store)) as catalogue:
            return _audit(store, catalogue, selection, progress, alone=alone)
    except CatalogueDamaged as damage:
        name = store.layout.catalogue.relative_to(store.layout.root).as_posix()
        detail = f"{damage.reason}: the next backup sets it aside and rebuilds it"
        with closing(index_in_memory(store)) as catalogue:
            found = _audit(store, catalogue, selection, progress, alone=alone)
        found.findings.add(Finding("contradictory", name, detail))
        return found


def _audit(
    store: Store, catalogue: Catalogue, selection: Selection, progress: ByteProgress, *, alone: bool
) -> Audit:
    findings, last_run = Findings(), catalogue.history.last(1, *WRITING)
    findings.extend(check_structure(store))
    tables = Reconciliation(catalogue.connection)
    tables.add_found(store.files())
    tables.ignore(store.being_committed())
    _read_manifest(store, tables, findings)
    tables.add_found([path for path in tables.not_found() if store.exists(path)])  # since then
    listed = tables.listed()
    findings.extend(tables.findings())
    # While a run is writing, or was killed, what is brought up to date at its end is not.
    at_rest = alone or all(run.ended for run in last_run)
    if at_rest:
        others = list(check_other_manifests(store, tables))
    tables.choose(math.ceil(listed * selection.sample), selection.older_than)
    reading = _Reading(store, findings, progress)
    reading.read(tables, selection.threads)
    catalogue.connection.commit()  # to see what was written since, and to be in nobody's way
    if at_rest and (alone or catalogue.history.last(1, *WRITING) == last_run):
        findings.extend(others)
        if not without_declarations(finding.path for finding in findings.kept):
            findings.extend(check_oxum(store, tables))  # else it cannot add up
    _remember(store, lambda known: known.set_verified(tables.matching()))
    _remember(store, lambda known: known.set_sizes(tables.resized()))
    _remember(store, lambda known: known.set_properties(tables.properties()))
    return Audit(listed, reading.checked, reading.bytes, findings)


def _read_manifest(store: Store, tables: Reconciliation, findings: Findings) -> None:
    """Take in the checksum manifest; name the lines that are no checksum lines."""
    numbered = enumerate(store.manifest.raw_lines(), 1)
    while batch := list(islice(numbered, _BATCH)):
        for number, line in batch:
            if isinstance(line, bytes):
                _read_odd_line(store, number, line, tables, findings)
        good = [(number, line) for number, line in batch if not isinstance(line, bytes)]
        tables.add_listed([Listed(line.path, line.sha256, number) for number, line in good])


def _read_odd_line(
    store: Store, number: int, line: bytes, tables: Reconciliation, findings: Findings
) -> None:
    """Name a line that is no checksum line; the last one may only have lost its end."""
    if not line.endswith((b"\n", b"\r")):
        if store.being_committed():  # then a backup is just writing it
            return
        if found := parse(line + b"\n"):
            tables.add_listed([Listed(found.path, found.sha256, number)])
            return
    shown = line.decode(errors="replace").strip()[:60]
    detail = f"{shown!r} {problem_of(line)}"
    findings.add(Finding("contradictory", f"{MANIFEST}:{number}", detail))


@dataclass(frozen=True, slots=True)
class _Read:
    """What was found in reading a file."""

    finding: Finding | None
    """What is wrong with it, or with another file because of it."""
    size: int = 0
    said: Properties | None = None
    """What it says of itself, if it was looked at."""


_Matching: TypeAlias = tuple[str, _Read]


class _Reading:
    """Reads files in several threads, and compares their checksums."""

    def __init__(self, store: Store, findings: Findings, progress: ByteProgress) -> None:
        self.checked = 0
        self.bytes = 0
        self._store = store
        self._findings = findings
        self._progress = progress
        self._seen: set[str] = set()
        self._describes = Catalogue.is_writable(store.layout.catalogue)  # else nobody remembers it

    def read(self, tables: Reconciliation, threads: int) -> None:
        """Read the chosen files, and note which of them match."""
        self._progress.expected(tables.chosen_bytes())
        with ThreadPoolExecutor(threads) as pool:
            for group in tables.chosen():
                matching = self._matching(group, pool)
                tables.set_matching((path, read.size) for path, read in matching)
                tables.add_properties((path, read.said) for path, read in matching if read.said)

    def _matching(self, group: Sequence[Listed], pool: ThreadPoolExecutor) -> list[_Matching]:
        matching = []
        self._look_at_directories(group)
        for listed, read in zip(group, pool.map(self._check, group), strict=True):
            self.checked += 1
            self.bytes += read.size
            self._progress.received(read.size)
            if read.finding:
                self._findings.add(read.finding)
            if not read.finding or read.finding.path != listed.path:
                matching.append((listed.path, read))
        return matching

    def _look_at_directories(self, group: Sequence[Listed]) -> None:
        """Name each directory that is not really in the archive."""
        directories = {listed.path.rpartition("/")[0] for listed in group} - self._seen
        for directory in sorted(directories):
            self._seen.add(directory)
            if self._store.leads_out(directory):
                self._findings.add(Finding("contradictory", directory, _LEADS_OUT))

    def _check(self, listed: Listed) -> _Read:
        """Read a file; return what is wrong with it, if anything, and what it is."""
        path = self._store.layout.at(listed.path)
        if os.path.islink(path) and self._store.leads_out(listed.path):  # noqa: PTH114
            return _Read(Finding("unreadable", listed.path, f"{_LEADS_OUT}: it is not read"))
        try:
            with open_file(path) as file:
                actual, said = self._hash(listed, file)
                size = os.fstat(file.fileno()).st_size
            if actual == listed.sha256:
                return _Read(self._compare_others(listed), size, said)
        except FileNotFoundError:
            return _Read(Finding("missing", listed.path, "it is listed, but not there"))
        except OSError as error:
            return _Read(Finding("unreadable", listed.path, error.strerror or str(error)))
        detail = f"its {size:,} bytes have the checksum {actual[:16]}…, not {listed.sha256[:16]}…"
        return _Read(Finding("changed", listed.path, detail), size)

    def _hash(self, listed: Listed, file: io.FileIO) -> tuple[str, Properties | None]:
        """Return the checksum of a file, and what it says of itself if nobody knows that yet."""
        if self._describes and not listed.is_described and listed.path.endswith(_VIDEOS):
            return examine(file)
        return hashlib.file_digest(file, "sha256").hexdigest(), None

    def _compare_others(self, listed: Listed) -> Finding | None:
        """Return which manifest of another algorithm has another checksum of a file, if any."""
        for manifest, checksum in listed.others:
            if checksum_of(self._store.layout.at(listed.path), manifest) != checksum:
                return Finding(
                    "contradictory", manifest, f"it has another checksum of {listed.path}"
                )
        return None


def _remember(store: Store, what: Callable[[Catalogue], object]) -> None:
    """Write to the catalogue, if the disk allows it: a read-only archive has no memory."""
    path = store.layout.catalogue
    if Catalogue.is_writable(path):
        with suppress(StorageError), closing(Catalogue.open(path)) as catalogue:
            what(catalogue)
