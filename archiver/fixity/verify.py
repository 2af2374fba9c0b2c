"""Verify: is every file in the archive what the checksum manifest lists?

It takes no lock and changes nothing under `data/`, so it may run beside a backup. What a backup
is committing stands in its journal before it is placed, and in the checksum manifest before it
leaves the journal; so the files are listed first, then the journal is read, then the manifest.
"""

import hashlib
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from archiver.archive.bag import Bag
from archiver.archive.layout import MANIFEST
from archiver.catalogue.store import Catalogue
from archiver.errors import StorageError
from archiver.fixity.reconcile import Listed, Reconciliation
from archiver.fixity.report import Audit, Finding, Findings, FixityReport
from archiver.pipeline.indexing import open_to_read
from archiver.progress import ByteProgress, Silent

_BATCH = 10_000


@dataclass(frozen=True, slots=True)
class Selection:
    """Which files to read: a share of them, or those last verified this many seconds ago."""

    sample: float = 1.0
    older_than: float = 0.0
    threads: int = os.cpu_count() or 1


def verify(
    archive: Path | str,
    selection: Selection | None = None,
    progress: ByteProgress | None = None,
) -> FixityReport:
    """Compare the files, the checksum manifest and the catalogue with each other, and remember it.

    Raises:
        NotAnArchive: if there is no archive.
        StorageError: if its records cannot be read.
    """
    bag, began = Bag(Path(archive)), datetime.now(UTC)
    found = audit(bag, selection or Selection(), progress or Silent())
    report = FixityReport("verify", began, datetime.now(UTC), audit=found)
    _remember(bag, lambda catalogue: catalogue.history.add(report.run))
    return report


def audit(bag: Bag, selection: Selection, progress: ByteProgress) -> Audit:
    """Compare them, and return what is found.

    Raises:
        NotAnArchive: if there is no archive.
        StorageError: if its records cannot be read.
    """
    bag.require()
    findings = Findings()
    with closing(open_to_read(bag)) as catalogue:
        tables = Reconciliation(catalogue.connection)
        tables.add_found(bag.files())
        tables.ignore(bag.being_committed())
        _read_manifest(bag, tables, findings)
        tables.add_found([path for path in tables.not_found() if bag.exists(path)])  # since then
        listed = tables.listed()
        for finding in tables.findings():
            findings.add(finding)
        tables.choose(math.ceil(listed * selection.sample), selection.older_than)
        reading = _Reading(bag, findings, progress)
        reading.read(tables, selection.threads)
        _remember(bag, lambda known: known.set_verified(tables.matching()))
    return Audit(listed, reading.checked, reading.bytes, findings)


def _read_manifest(bag: Bag, tables: Reconciliation, findings: Findings) -> None:
    """Take in the checksum manifest; name the lines that are no checksum lines."""
    numbered = enumerate(bag.manifest.raw_lines(), 1)
    while batch := list(islice(numbered, _BATCH)):
        good = [(number, line) for number, line in batch if not isinstance(line, bytes)]
        tables.add_listed([Listed(line.path, line.sha256, number) for number, line in good])
        for number, line in batch:
            # A last line without an end may be one that a backup is just writing.
            if isinstance(line, bytes) and (line.endswith(b"\n") or not bag.being_committed()):
                shown = line.decode(errors="replace").strip()[:60]
                place = f"{MANIFEST}:{number}"
                findings.add(Finding("contradictory", place, f"{shown!r} is not a checksum line"))


class _Reading:
    """Reads files in several threads, and compares their checksums."""

    def __init__(self, bag: Bag, findings: Findings, progress: ByteProgress) -> None:
        self.checked = 0
        self.bytes = 0
        self._bag = bag
        self._findings = findings
        self._progress = progress

    def read(self, tables: Reconciliation, threads: int) -> None:
        """Read the chosen files, and note which of them match."""
        self._progress.expected(tables.chosen_bytes())
        with ThreadPoolExecutor(threads) as pool:
            for group in tables.chosen():
                tables.set_matching(self._matching(group, pool))

    def _matching(self, group: Sequence[Listed], pool: ThreadPoolExecutor) -> list[str]:
        matching = []
        for listed, (finding, size) in zip(group, pool.map(self._check, group), strict=True):
            self.checked += 1
            self.bytes += size
            self._progress.received(size)
            if finding:
                self._findings.add(finding)
            else:
                matching.append(listed.path)
        return matching

    def _check(self, listed: Listed) -> tuple[Finding | None, int]:
        """Read a file; return what is wrong with it, if anything, and its size."""
        try:
            with (self._bag.layout.root / listed.path).open("rb", buffering=0) as file:
                actual = hashlib.file_digest(file, "sha256").hexdigest()
                size = os.fstat(file.fileno()).st_size
        except FileNotFoundError:
            return Finding("missing", listed.path, "it is listed, but not there"), 0
        except OSError as error:
            return Finding("unreadable", listed.path, error.strerror or str(error)), 0
        if actual == listed.sha256:
            return None, size
        detail = f"its {size:,} bytes have the checksum {actual[:16]}…, not {listed.sha256[:16]}…"
        return Finding("changed", listed.path, detail), size


def _remember(bag: Bag, what: Callable[[Catalogue], object]) -> None:
    """Write to the catalogue, if the disk allows it: a read-only archive has no memory."""
    path = bag.layout.catalogue
    if Catalogue.is_writable(path):
        with suppress(StorageError), closing(Catalogue.open(path)) as catalogue:
            what(catalogue)
