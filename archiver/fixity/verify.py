"""Verify: is every file in the archive what the checksum manifest lists?

It takes no lock and changes nothing under `data/`, so it may run beside a backup. What a backup
is committing stands in its journal before it is placed, and in the checksum manifest before it
leaves the journal; so the files are listed first, then the journal is read, then the manifest. A
backup on another machine shows itself by its lease.
"""

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TypeAlias

from archiver.archive.checksum_manifest import ChecksumManifest, parse, problem_of
from archiver.archive.layout import MANIFEST
from archiver.archive.store import Records, Store
from archiver.catalogue.database import CatalogueDamaged
from archiver.catalogue.store import Catalogue
from archiver.errors import StorageError
from archiver.fixity.checking import LEADS_OUT, Check, Checked, LocalFiles, ReadBack, Reports
from archiver.fixity.declarations import (
    check_other_manifests,
    check_oxum,
    check_structure,
    without_declarations,
)
from archiver.fixity.reconcile import Listed, Reconciliation
from archiver.fixity.report import Audit, Finding, Findings, FixityReport
from archiver.location import Location, parse_location
from archiver.pipeline.indexing import catch_up, index_in_memory, open_to_read
from archiver.pipeline.sidecars import describe_held
from archiver.progress import ByteProgress, Silent
from archiver.run import WRITING
from archiver.stores import look_into

_BATCH = 10_000
_ASKED_AT_ONCE = 32
"""A store is asked about this many objects at once: it takes long to answer, and little work."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which files to read: a share of them, or those last read this many seconds ago.

    Of what is in a bucket nothing is read unless one of these is given, or `read`, which is all;
    of what is not read the store is asked for the checksum that it keeps.
    """

    sample: float | None = None
    older_than: float = 0.0
    threads: int = os.cpu_count() or 1
    read: bool = False

    def share(self, store: Store) -> float:
        """Return how much of what is old enough is to be read."""
        if self.sample is None:
            return float(self.read or self.older_than > 0 or not store.is_shared)
        return self.sample


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
        store.require()
        if store.is_shared:
            with suppress(CatalogueDamaged):  # which is a finding
                catch_up(store, with_sizes=False)  # those it learns from what it checks
        found = audit(store, selection or Selection(), progress or Silent())
        report = FixityReport("verify", began, datetime.now(UTC), audit=found)
        if not store.is_shared:  # there backups read the responses, a few at a time
            _remember(store, lambda catalogue: describe_held(store, catalogue, lambda: True))
        _remember(store, lambda catalogue: catalogue.history.add(report.run))
    return report


def audit(
    store: Store, selection: Selection, progress: ByteProgress, *, alone: bool = False
) -> Audit:
    """Compare them, and return what is found; `alone` if no other run can be writing.

    Raises:
        StorageError: if its records cannot be read, or the store fails.
    """
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
    tables = Reconciliation(catalogue.connection)
    tables.add_found(store.files())
    tables.ignore(store.being_committed())
    with store.records() as records:
        # While a run is writing, or was killed, what is brought up to date at its end is not.
        at_rest = alone or (records.at_rest and all(run.ended for run in last_run))
        findings.extend(check_structure(records, at_rest=alone or records.at_rest))
        _read_manifest(store, records, tables, findings)
        tables.add_found(_asked(tables.not_found(), store.exists))  # since then
        if not alone:
            tables.ignore(_under_way(store, records, tables))
        listed = tables.listed()
        findings.extend(tables.findings())
        others = list(check_other_manifests(records.layout, tables)) if at_rest else []
        tables.choose(math.ceil(listed * selection.share(store)), selection.older_than)
        checking = _Checking(store, findings, progress)
        checking.check_all(tables, selection.threads)
        catalogue.connection.commit()  # to see what was written since, and to be in nobody's way
        if at_rest and (alone or catalogue.history.last(1, *WRITING) == last_run):
            findings.extend(others)
            if records.is_counted and not without_declarations(f.path for f in findings.kept):
                findings.extend(check_oxum(records.layout, tables))  # else it cannot add up
    _remember(store, lambda known: known.set_verified(tables.matching()))
    _remember(store, lambda known: known.set_sizes(tables.resized()))
    _remember(store, lambda known: known.set_properties(tables.properties()))
    return Audit(listed, checking.read, checking.reported, checking.bytes, findings)


def _under_way(store: Store, records: Records, tables: Reconciliation) -> list[str]:
    """Return what is not listed since a run elsewhere has sent it only, or was ended by then.

    All of a generation is listed at once. So where no run is under way, and its response is
    listed, a file has lost its line.
    """
    sent = _asked(tables.not_listed(), store.is_under_way)
    return [path for path in sent if not (records.at_rest and tables.lists_response_of(path))]


def _asked(paths: Iterator[str], ask: Callable[[str], bool]) -> list[str]:
    """Return those of the paths of which the store says so."""
    found: list[str] = []
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
        while batch := list(islice(paths, _BATCH)):
            answers = zip(batch, pool.map(ask, batch), strict=True)
            found += [path for path, yes in answers if yes]
    return found


def _read_manifest(
    store: Store, records: Records, tables: Reconciliation, findings: Findings
) -> None:
    """Take in the checksum manifest; name the lines that are no checksum lines."""
    manifest = ChecksumManifest(records.layout.manifest)
    numbered = enumerate(manifest.raw_lines() if manifest.path.exists() else (), 1)
    while batch := list(islice(numbered, _BATCH)):
        for number, line in batch:
            if isinstance(line, bytes):
                _read_odd_line(store, number, line, tables, findings)
        good = [(number, line) for number, line in batch if not isinstance(line, bytes)]
        tables.add_listed([Listed(line.path, line.sha256, number) for number, line in good])
    tables.add_further(list(_read_segments(records.segments, findings)))


def _read_segments(segments: Iterable[tuple[str, bytes]], findings: Findings) -> Iterator[Listed]:
    """Yield the lines of segments, numbered together; name what is none."""
    number = 0
    for name, content in segments:
        for line in content.splitlines(keepends=True):
            if found := parse(line):
                number += 1
                yield Listed(found.path, found.sha256, number)
            else:
                findings.add(Finding("contradictory", name, _odd(line)))


def _read_odd_line(
    store: Store, number: int, line: bytes, tables: Reconciliation, findings: Findings
) -> None:
    """Name a line that is no checksum line; the last one may only have lost its end."""
    if not line.endswith((b"\n", b"\r")):
        if not store.is_shared and store.being_committed():  # then a backup is just writing it
            return
        if found := parse(line + b"\n"):
            tables.add_listed([Listed(found.path, found.sha256, number)])
            return
    findings.add(Finding("contradictory", f"{MANIFEST}:{number}", _odd(line)))


def _odd(line: bytes) -> str:
    return f"{line.decode(errors='replace').strip()[:60]!r} {problem_of(line)}"


_Matching: TypeAlias = tuple[str, Checked]


class _Checking:
    """Checks files in several threads, and counts what was found."""

    def __init__(self, store: Store, findings: Findings, progress: ByteProgress) -> None:
        self.read = 0
        self.reported = 0
        self.bytes = 0
        self._store = store
        self._findings = findings
        self._progress = progress
        self._seen: set[str] = set()

    def check_all(self, tables: Reconciliation, threads: int) -> None:
        """Read the chosen files; of the rest ask a store that keeps checksums."""
        self._progress.expected(tables.chosen_bytes())
        if not self._store.is_shared:
            self._check(tables, tables.chosen(), LocalFiles(self._store), threads)
            return
        self._check(tables, tables.chosen(), ReadBack(self._store), threads)
        tables.choose_rest()
        rest = tables.chosen(to_read=False)
        self._check(tables, rest, Reports(self._store), _ASKED_AT_ONCE)

    def _check(
        self, tables: Reconciliation, groups: Iterable[Sequence[Listed]], how: Check, threads: int
    ) -> None:
        """Check files, and note which of them match."""
        with ThreadPoolExecutor(threads) as pool:
            for group in groups:
                matching = self._matching(group, how, pool)
                tables.set_matching((path, each.size, each.was_read) for path, each in matching)
                tables.add_properties((path, each.said) for path, each in matching if each.said)

    def _matching(
        self, group: Sequence[Listed], how: Check, pool: ThreadPoolExecutor
    ) -> list[_Matching]:
        matching = []
        self._look_at_directories(group)
        for listed, checked in zip(group, pool.map(how.check, group), strict=True):
            self._count(checked)
            if checked.finding:
                self._findings.add(checked.finding)
            if not checked.finding or checked.finding.path != listed.path:
                matching.append((listed.path, checked))
        return matching

    def _count(self, checked: Checked) -> None:
        if checked.was_read:
            self.read += 1
            self.bytes += checked.size
            self._progress.received(checked.size)
        elif not checked.finding or checked.finding.kind != "unverified":
            self.reported += 1

    def _look_at_directories(self, group: Sequence[Listed]) -> None:
        """Name each directory that is not really in the archive."""
        directories = {listed.path.rpartition("/")[0] for listed in group} - self._seen
        for directory in sorted(directories):
            self._seen.add(directory)
            if self._store.leads_out(directory):
                self._findings.add(Finding("contradictory", directory, LEADS_OUT))


def _remember(store: Store, what: Callable[[Catalogue], object]) -> None:
    """Write to the catalogue, if the disk allows it: a read-only archive has no memory."""
    path = store.layout.catalogue
    if Catalogue.is_writable(path):
        with suppress(StorageError), closing(Catalogue.open(path)) as catalogue:
            what(catalogue)
