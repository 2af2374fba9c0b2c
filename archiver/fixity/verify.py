"""The fixity audit: is every file in the archive what the checksum manifest says?

It takes no lock and changes nothing under `data/`, so it may run beside a backup. What a backup
is just placing stands in its journal before it is placed, and in the checksum manifest before it
leaves the journal; so the files are listed first, then the journal is read, then the manifest.
"""

import hashlib
import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from archiver.archive.bag import Bag
from archiver.archive.checksum_manifest import CHECKSUMS
from archiver.catalogue.store import Catalogue
from archiver.errors import StorageError
from archiver.fixity.reconcile import Audit, Listed
from archiver.fixity.report import Finding, FixityReport
from archiver.progress import ByteProgress

_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Selection:
    """Which files to read: a share of them, or those not proven for so many seconds."""

    sample: float = 1.0
    older_than: float = 0.0
    threads: int = os.cpu_count() or 1


def verify(archive: Path, selection: Selection, progress: ByteProgress) -> FixityReport:
    """Compare the files, the checksum manifest and the catalogue with each other, and remember it.

    Raises:
        NotAnArchive: if there is no archive.
        StorageError: if its records cannot be read.
    """
    report, began = FixityReport(), datetime.now(UTC)
    audit(archive, selection, progress, report)
    _remember(archive, lambda catalogue: catalogue.history().add(report.as_run("verify", began)))
    return report


def audit(
    archive: Path, selection: Selection, progress: ByteProgress, report: FixityReport
) -> None:
    """Compare them, and report what is found.

    Raises:
        NotAnArchive: if there is no archive.
        StorageError: if its records cannot be read.
    """
    bag, started = Bag(archive), time.monotonic()
    bag.require()
    with closing(Catalogue.look(archive)) as catalogue:
        tables = catalogue.audit()
        tables.find(bag.files())
        tables.excuse(bag.being_settled())
        _read_manifest(bag, tables, report)
        tables.find([path for path in tables.not_found() if bag.exists(path)])  # placed meanwhile
        report.listed = tables.listed()
        for finding in tables.findings():
            report.add(finding)
        limit = math.ceil(report.listed * selection.sample)
        tables.choose(limit, selection.older_than)
        _Reading(bag, report, progress).read(tables, selection.threads)
        _remember(archive, lambda known: known.prove(tables.all_proven()))
    report.seconds = time.monotonic() - started


def _read_manifest(bag: Bag, audit: Audit, report: FixityReport) -> None:
    """Take in the checksum manifest; name the lines that are none, or speak twice of one file."""
    numbered = enumerate(bag.checksums.raw_lines(), 1)
    while batch := list(islice(numbered, _BATCH * 10)):
        good = [(number, line) for number, line in batch if not isinstance(line, bytes)]
        audit.list([Listed(line.path, line.sha256, number) for number, line in good])
        for number, line in batch:
            if isinstance(line, bytes) and (line.endswith(b"\n") or not bag.being_settled()):
                shown = line.decode(errors="replace").strip()[:60]
                place = f"{CHECKSUMS}:{number}"
                report.add(Finding("contradictory", place, f"{shown!r} is no checksum line"))


class _Reading:
    """Reads files in several threads, and compares their checksums."""

    def __init__(self, bag: Bag, report: FixityReport, progress: ByteProgress) -> None:
        self._bag = bag
        self._report = report
        self._progress = progress

    def read(self, tables: Audit, threads: int) -> None:
        """Read the chosen files, so many at once, and note which are proven now."""
        self._progress.expected(tables.chosen_bytes())
        with ThreadPoolExecutor(threads) as pool:
            for group in tables.chosen():
                checked = zip(group, pool.map(self._check, group), strict=True)
                tables.proven(listed.path for listed, found in checked if self._is_right(*found))

    def _is_right(self, finding: Finding | None, size: int) -> bool:
        self._report.checked += 1
        self._report.bytes += size
        self._progress.received(size)
        if finding:
            self._report.add(finding)
        return finding is None

    def _check(self, listed: Listed) -> tuple[Finding | None, int]:
        """Read a file; return what is wrong with it, if anything, and how large it is."""
        try:
            with (self._bag.root / listed.path).open("rb", buffering=0) as file:
                actual = hashlib.file_digest(file, "sha256").hexdigest()
                size = os.fstat(file.fileno()).st_size
        except FileNotFoundError:
            return Finding("missing", listed.path, "it is listed and not there"), 0
        except OSError as error:
            return Finding("unreadable", listed.path, error.strerror or str(error)), 0
        if actual == listed.sha256:
            return None, size
        detail = f"its {size:,} bytes have the checksum {actual[:16]}…, not {listed.sha256[:16]}…"
        return Finding("changed", listed.path, detail), size


def _remember(archive: Path, what: Callable[[Catalogue], object]) -> None:
    """Write to the catalogue, if the disk lets it: an archive that is read-only has no memory."""
    if Catalogue.is_writable(archive):
        with suppress(StorageError), closing(Catalogue.open(archive)) as catalogue:
            what(catalogue)
