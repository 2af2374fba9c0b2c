"""Mends what an audit has found, through the same way as a backup, and never by deleting."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from archiver.archive.bag import Bag
from archiver.archive.checksum_manifest import CHECKSUMS
from archiver.archive.staging import StagedFile, StagedGeneration, Staging, write_out
from archiver.catalogue.store import Catalogue
from archiver.errors import storage_errors
from archiver.fixity.report import FixityReport
from archiver.fixity.verify import Selection, audit
from archiver.generation import Generation, generation_at
from archiver.media.validator import NotWhole, Prover
from archiver.outcomes import Archived, Enlisted, Failed, Lost, Outcome, Pending, Report
from archiver.pipeline.backup import mend
from archiver.pipeline.desk import Finished, Result
from archiver.pipeline.workers import Night
from archiver.progress import Progress
from archiver.settings import Settings

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Fetching:
    """How to fetch: whether another file than the recorded one will do, and who watches."""

    settings: Settings
    accept_changed: bool
    progress: Progress


async def repair(archive: Path, selection: Selection, fetching: Fetching) -> FixityReport:
    """Audit an archive and mend what can be mended.

    What is missing or damaged is fetched anew; it is put in its place if its checksum is the
    recorded one, or another if that is accepted. Lines that were cut are written back. What
    ended the fetching early, if anything did, is in the report.

    Raises:
        NotAnArchive: if there is no archive.
        ArchiveLocked: if a run holds it.
        StorageError: if the disk does not let it.
    """
    Bag(archive).require()
    with (
        Bag.hold(archive, fetching.settings.lock_wait) as bag,
        closing(Catalogue.open(archive)) as catalogue,
        catalogue.history().recorded("repair", report := FixityReport()),
    ):
        audit(archive, selection, fetching.progress, report)
        mend(bag, catalogue, forget=False)
        started = time.monotonic()
        _mend_records(bag, catalogue, report)
        await _fetch(bag, catalogue, report, fetching)
        catalogue.absorb(bag)
        bag.describe(*catalogue.totals())
        report.seconds += time.monotonic() - started
    return report


def _mend_records(bag: Bag, catalogue: Catalogue, report: FixityReport) -> None:
    """Bring the checksum manifest and the catalogue to agree with files that vouch for themselves.

    A file does so if it matches either record of it or, where there is no record, if it is a
    generation's and whole.
    """
    suspects = _Suspects(bag, catalogue, report)
    if suspects.malformed or suspects.paths:
        bag.keep_aside([CHECKSUMS])
    agreed = [path for path in suspects.paths if suspects.agrees(path)]
    if suspects.malformed or agreed:
        bag.checksums.strike(set(agreed))
        for file in bag.adopt(agreed):
            catalogue.correct(file.path, file.sha256, file.bytes)
            report.mended[file.path] = "the records agree with the file again"
    for place in suspects.malformed:
        report.mended[place] = "the line is taken out; the manifest as it was is kept aside"


class _Suspects:
    """The places where the records are not right, and what is to be said of them."""

    def __init__(self, bag: Bag, catalogue: Catalogue, report: FixityReport) -> None:
        kinds = ("unexpected", "contradictory")
        found = dict.fromkeys(f.path for f in report.findings if f.kind in kinds)
        self.malformed = [path for path in found if path.startswith(f"{CHECKSUMS}:")]
        self.paths = [path for path in found if path not in self.malformed]
        self._bag = bag
        self._report = report
        self._records: dict[str, set[str]] = {path: set() for path in self.paths}
        for line in bag.checksums.lines():
            if line.path in self._records:
                self._records[line.path].add(line.sha256)
        for path in self.paths:
            self._records[path] |= catalogue.checksums(path)

    def agrees(self, path: str) -> bool:
        """Tell whether the file vouches for itself; if not, the report says why."""
        actual = self._bag.sha256(path)
        if actual is None:
            if not self._records[path]:
                self._report.unmended[path] = "it is not there"
        elif self._records[path]:
            if actual in self._records[path]:
                return True
            self._report.unmended[path] = "it matches none of its records"
        elif generation_at(path) is None or not _is_whole(self._bag.root / path):
            self._report.unmended[path] = "it is none of ours, or not surely whole: move it away"
        else:
            return True
        return False


def _is_whole(path: Path) -> bool:
    """Tell whether a file is what its name says: a video's response in JSON, or one whole video."""
    if path.suffix == ".json":
        return _has_payload(path) and _is_answer(path)
    prover = Prover()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                prover.feed(block)
        proof = prover.finish()
    except NotWhole:
        return False
    return f".{proof.extension}" == path.suffix and not proof.open_ended


def _has_payload(response: Path) -> bool:
    """Tell whether a video lies beside a response: alone it is what an interrupted copy has left."""
    beside = response.parent.glob(f"{response.stem}[.-]*")
    return any(path.suffix != ".json" and _is_whole(path) for path in beside)


def _is_answer(path: Path) -> bool:
    try:
        return isinstance(json.loads(path.read_bytes()), dict)
    except ValueError:
        return False


async def _fetch(bag: Bag, catalogue: Catalogue, report: FixityReport, fetching: Fetching) -> None:
    """Fetch anew what is missing or damaged."""
    damaged = _damaged(bag, report)
    gone = {path: sha256 for path, sha256 in _gone(bag, catalogue, report) if path not in damaged}
    desk = _Desk(bag, catalogue, report, fetching.accept_changed, damaged | gone, frozenset(gone))
    generations = desk.generations()
    if generations:
        night = Report()
        night.enlist(Enlisted(to_ask=len(generations)))
        fetching.progress.enlisted(Enlisted(to_ask=len(generations)))
        await Night(desk, fetching.settings, night, fetching.progress).run()
        report.ending = night.ending
        for path in desk.damaged.keys() - report.mended.keys() - report.unmended.keys():
            report.unmended[path] = night.left_because or "it was not fetched"


def _damaged(bag: Bag, report: FixityReport) -> dict[str, str]:
    """Return the paths to fetch anew, with their recorded checksums."""
    kinds = ("missing", "changed", "unreadable")
    paths = {finding.path for finding in report.findings if finding.kind in kinds}
    paths -= report.mended.keys()
    return {line.path: line.sha256 for line in bag.checksums.lines() if line.path in paths}


def _gone(bag: Bag, catalogue: Catalogue, report: FixityReport) -> Iterator[tuple[str, str]]:
    """Yield what the catalogue alone remembers, with its checksum: neither listed nor there."""
    for finding in report.findings:
        if finding.kind == "contradictory" and not bag.exists(finding.path):
            yield from ((finding.path, sha256) for sha256 in catalogue.checksums(finding.path))


@dataclass(slots=True)
class _Desk:
    """A repair's work comes from the findings, and goes into the places of the damaged files."""

    bag: Bag
    catalogue: Catalogue
    report: FixityReport
    accept_changed: bool
    damaged: dict[str, str]
    unlisted: frozenset[str]
    _waiting: list[Generation] = field(default_factory=list)

    @property
    def root(self) -> Path:
        return self.bag.root

    def generations(self) -> list[Generation]:
        """Return whose files are damaged, and wait for their turns."""
        for path in self.damaged:
            generation = generation_at(path)
            if generation is None:
                self.report.unmended[path] = "no generation's file: it cannot be fetched"
            elif generation not in self._waiting:
                self._waiting.append(generation)
        return list(self._waiting)

    def take(self, count: int) -> list[tuple[Generation, bool]]:
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return [(generation, True) for generation in taken]

    def settle(self, group: Sequence[Result]) -> Sequence[Outcome]:
        outcomes = []
        for result in group:
            match result:
                case Finished(staged, outcome):
                    self._write_out(staged)
                    for file in staged.files:
                        self._restore(file)
                    Staging(self.root, outcome.generation).clear()
                    self._leave(outcome.generation, "ModelsLab has other files now")
                case Failed() | Lost() | Pending() | Archived() as outcome:
                    Staging(self.root, outcome.generation).tidy()
                    self._leave(outcome.generation, str(outcome))
            outcomes.append(outcome)
        return outcomes

    def _write_out(self, staged: StagedGeneration) -> None:
        with storage_errors(f"staging {staged.generation} in {self.root}"):
            write_out(self.root, [staged])

    def _restore(self, file: StagedFile) -> None:
        recorded = self.damaged.get(file.path)
        if recorded is None:
            return
        if recorded != file.sha256 and not self.accept_changed:
            self.report.unmended[file.path] = (
                f"ModelsLab gives another file now (SHA-256 {file.sha256}): "
                "--accept-changed takes it"
            )
            return
        self.bag.restore(file, None if file.path in self.unlisted else recorded)
        self.catalogue.correct(file.path, file.sha256, file.bytes)
        same = recorded == file.sha256
        self.report.mended[file.path] = "fetched anew" + ("" if same else ", another file")

    def _leave(self, generation: Generation, why: str) -> None:
        for path in self.damaged:
            known = path in self.report.mended or path in self.report.unmended
            if generation_at(path) == generation and not known:
                self.report.unmended[path] = why
