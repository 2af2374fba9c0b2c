"""The fixity audit: is every file in the archive what the checksum manifest says?

It takes no lock and changes nothing under `data/`, so it may run beside a backup. What a backup
is just placing stands in its journal before it is placed, and in the checksum manifest before it
leaves the journal; so the files are listed first, then the journal is read, then the manifest.
"""

import hashlib
import math
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from archiver.audit import Audit, Listed
from archiver.bag import Bag
from archiver.catalogue import Catalogue
from archiver.errors import DiskTrouble
from archiver.fixity import Finding, FixityReport
from archiver.transfer import Meter

_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Selection:
    """Which files to read: a share of them, or those not proven for so many seconds."""

    sample: float = 1.0
    older_than: float = 0.0
    threads: int = os.cpu_count() or 1


def verify(archive: Path, selection: Selection, watch: Meter) -> FixityReport:
    """Compare the files, the checksum manifest and the catalogue with each other.

    Raises:
        NotAnArchive: if there is no archive.
        DiskTrouble: if its records cannot be read.
    """
    bag, report, started = Bag(archive), FixityReport(), time.monotonic()
    bag.require()
    with closing(Catalogue.look(archive)) as catalogue:
        audit = catalogue.audit()
        audit.find(bag.files())
        audit.excuse(bag.being_settled())
        _read_manifest(bag, audit, report)
        audit.find([path for path in audit.not_found() if bag.exists(path)])  # placed meanwhile
        report.listed = audit.listed()
        for finding in audit.findings():
            report.add(finding)
        limit = math.ceil(report.listed * selection.sample)
        chosen = audit.least_recently_proven(limit, selection.older_than)
        audit.end()
    proven = _Reading(bag, report, watch).read(chosen, selection.threads)
    with suppress(DiskTrouble):  # an archive that is read-only remembers nothing
        _remember(archive, proven)
    report.seconds = time.monotonic() - started
    return report


def _read_manifest(bag: Bag, audit: Audit, report: FixityReport) -> None:
    """Take in the checksum manifest; name the lines that are none, or speak twice of one file."""
    numbered = enumerate(bag.raw_lines(), 1)
    while batch := list(islice(numbered, _BATCH * 10)):
        good = [(number, line) for number, line in batch if not isinstance(line, bytes)]
        audit.list([Listed(line.path, line.sha256, number) for number, line in good])
        for number, line in batch:
            if isinstance(line, bytes) and (line.endswith(b"\n") or not bag.being_settled()):
                shown = line.decode(errors="replace").strip()[:60]
                place = f"{bag.checksums.name}:{number}"
                report.add(Finding("contradictory", place, f"{shown!r} is no checksum line"))


class _Reading:
    """Reads files in several threads, and compares their checksums."""

    def __init__(self, bag: Bag, report: FixityReport, watch: Meter) -> None:
        self._bag = bag
        self._report = report
        self._watch = watch

    def read(self, chosen: Sequence[Listed], threads: int) -> list[str]:
        """Read these files, so many at once; return what is proven now."""
        self._watch.expected(sum(self._bag.size_of(listed.path) for listed in chosen))
        proven = []
        with ThreadPoolExecutor(threads) as pool:
            for listed, finding in zip(chosen, pool.map(self._check, chosen), strict=True):
                size = self._bag.size_of(listed.path)
                self._report.checked += 1
                self._report.bytes += size
                self._watch.received(size)
                if finding:
                    self._report.add(finding)
                else:
                    proven.append(listed.path)
        return proven

    def _check(self, listed: Listed) -> Finding | None:
        path = self._bag.root / listed.path
        try:
            with path.open("rb", buffering=0) as file:
                actual = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return Finding("missing", listed.path, "it is listed and not there")
        except OSError as error:
            return Finding("unreadable", listed.path, error.strerror or str(error))
        if actual == listed.sha256:
            return None
        size = path.stat().st_size
        detail = f"its {size:,} bytes have the checksum {actual[:16]}…, not {listed.sha256[:16]}…"
        return Finding("changed", listed.path, detail)


def _remember(archive: Path, proven: list[str]) -> None:
    if Catalogue.is_writable(archive):
        with closing(Catalogue.open(archive)) as catalogue:
            catalogue.prove(proven)
