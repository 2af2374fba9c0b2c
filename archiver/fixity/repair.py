"""Repair: what a fixity check has found is put right, as in a backup, and never by deleting."""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import PurePosixPath

from archiver.archive.staged import StagedFile, StagedGeneration, properties, write_contents
from archiver.archive.staging import Staging
from archiver.archive.store import Store, WritableStore
from archiver.catalogue.store import Catalogue
from archiver.catalogue.worklist import Entry
from archiver.checksums import BagFile
from archiver.errors import storage_errors
from archiver.fixity.declarations import confirm_declarations, repair_declarations
from archiver.fixity.records import repair_records
from archiver.fixity.report import Audit, FixityReport, Repairs
from archiver.fixity.verify import Selection, audit
from archiver.generation import LISTED, Generation, entry_number, generation_at
from archiver.location import Location, parse_location
from archiver.outcomes import Outcome, Worklist
from archiver.pipeline.families import Families
from archiver.pipeline.indexing import absorb, describe
from archiver.pipeline.recovery import recover
from archiver.pipeline.results import Fetched, Result
from archiver.pipeline.sidecars import read
from archiver.pipeline.workers import Work, fetch_all
from archiver.progress import Progress, Silent
from archiver.run import Completed, Ended, Skipped, TimeUp
from archiver.settings import Settings
from archiver.stores import look_into, open_store


async def repair(
    archive: Location | str,
    selection: Selection,
    settings: Settings,
    progress: Progress | None = None,
    *,
    accept_changed: bool = False,
) -> FixityReport:
    """Check an archive and repair what can be repaired.

    What is missing or damaged is fetched anew; it is put in place if its checksum is the recorded
    one, or with `accept_changed` another. Lines that were removed are written back. An error that
    ended the fetching early is in the report.

    Raises:
        NotAnArchive: if there is no archive.
        ArchiveLocked: if a run holds it.
        StorageError: if the disk fails.
    """
    began, progress, location = datetime.now(UTC), progress or Silent(), parse_location(archive)
    stale_after = settings.timings.stale_after
    with look_into(location) as store:
        store.require()
    with (
        open_store(location, settings.lock_wait, settings.bucket) as store,
        closing(Catalogue.open(store.layout.catalogue)) as catalogue,
        catalogue.history.recording("repair", began) as record,
    ):
        found, repairs = audit(store, selection, progress, alone=True), Repairs()
        recover(store, catalogue, stale_after, forget=False)
        repair_records(store, catalogue, found, repairs)
        repair_declarations(store, found, repairs)
        damage = _find_damage(store, catalogue, found, repairs)
        if accept_changed:
            damage = _without_entries(store, catalogue, damage, repairs)
        replacement = _Replacement(store, catalogue, damage, repairs, accept_changed, stale_after)
        ended = await _fetch(replacement, settings, progress)
        absorb(store, catalogue)
        describe(store, catalogue)
        confirm_declarations(store, found, repairs)
        report = FixityReport("repair", began, datetime.now(UTC), ended, found, repairs)
        record(report.run)
    return report


async def _fetch(replacement: "_Replacement", settings: Settings, progress: Progress) -> Ended:
    """Fetch the damaged generations anew; return how that ended."""
    ended: Ended = Completed()
    if replacement.waiting:
        progress.planned(Worklist(to_fetch=len(replacement.waiting)))
        layout, nobody = replacement.store.layout, Families(())  # whose a video is, is known
        work = Work(layout, replacement.take, replacement.commit, nobody)
        ended = await fetch_all(work, settings, progress)
    match ended:
        case Skipped(reason) | TimeUp(reason):
            replacement.give_up(reason)
        case _:
            replacement.give_up("it was not fetched")
    return ended


@dataclass(frozen=True, slots=True)
class _Damage:
    """The damaged files of the archive."""

    recorded: dict[str, str]
    """By path, the checksum that each should have."""
    listed: dict[str, str]
    """Those of them that the checksum manifest lists: the others the catalogue alone remembers."""


def _find_damage(store: Store, catalogue: Catalogue, found: Audit, repairs: Repairs) -> _Damage:
    """Return the files to fetch anew; some were repaired without that."""
    paths = {*found.findings.paths("missing", "changed", "unreadable")} - repairs.done.keys()
    listed = {line.path: line.sha256 for line in store.manifest.lines() if line.path in paths}
    unlisted = {
        path: sha256
        for path in found.findings.paths("contradictory")
        if path not in listed and not store.exists(path)
        for sha256 in catalogue.checksums(path)
    }
    return _Damage(listed | unlisted, listed)


def _without_entries(
    store: WritableStore, catalogue: Catalogue, damage: _Damage, repairs: Repairs
) -> _Damage:
    """Remove the sidecars with what manifests say, which nobody else has; return the rest."""
    entries = {path: sha256 for path, sha256 in damage.recorded.items() if entry_number(path)}
    if entries:
        store.withdraw(entries)
        store.set_aside(entries)
        catalogue.forget([BagFile(path, sha256, 0) for path, sha256 in entries.items()])
        done = "it is removed; the next backup writes what its lists say"
        repairs.done |= dict.fromkeys(entries, done)
    rest = {path: sha for path, sha in damage.recorded.items() if path not in entries}
    return replace(damage, recorded=rest)


@dataclass(slots=True)
class _Replacement:
    """Replaces damaged files by what is fetched for their generations."""

    store: WritableStore
    catalogue: Catalogue
    damage: _Damage
    repairs: Repairs
    accept_changed: bool
    stale_after: float
    waiting: deque[Generation] = field(init=False)
    _paths: dict[Generation, list[str]] = field(init=False)

    def __post_init__(self) -> None:
        self._paths = {}
        for path in self.damage.recorded:
            if entry_number(path):
                self.repairs.failed[path] = (
                    "it has what your lists said: restore it from a copy, or let --accept-changed "
                    "remove it"
                )
            elif generation := generation_at(path):
                self._paths.setdefault(generation, []).append(path)
            else:
                self.repairs.failed[path] = "it belongs to no generation: it cannot be fetched"
        self.waiting = deque(self._paths)

    def take(self, count: int) -> list[Entry]:
        """Return the next generations to fetch."""
        taken = [self.waiting.popleft() for _ in range(min(count, len(self.waiting)))]
        return [Entry(one, item=self._item(one)) for one in taken]

    def _item(self, generation: Generation) -> str | None:
        """Return what ModelsLab listed of a generation that no endpoint knows: its links."""
        if generation.endpoint != LISTED or generation.sidecar_path in self.damage.recorded:
            return None
        return read(self.store, generation.sidecar_path).decode(errors="replace") or None

    def commit(self, group: Sequence[Result]) -> Sequence[Outcome]:
        """Put what was fetched in place."""
        fetched = [result.staged for result in group if isinstance(result, Fetched)]
        self._replace(fetched)
        return [self._outcome(result) for result in group]

    def give_up(self, reason: str) -> None:
        """Note for whatever is still damaged why it is."""
        for generation in self._paths:
            self._note_rest(generation, reason)

    def _outcome(self, result: Result) -> Outcome:
        match result:
            case Fetched(staged, outcome):
                Staging(self.store.layout, staged.generation).clear()
                self._note_rest(staged.generation, "ModelsLab has different files now")
                return outcome
            case outcome:
                Staging(self.store.layout, outcome.generation).tidy(self.stale_after)
                self._note_rest(outcome.generation, str(outcome))
                return outcome

    def _replace(self, group: Sequence[StagedGeneration]) -> None:
        """Put the files of a group in the places of damaged ones."""
        with storage_errors(f"staging files in {self.store.layout.root}"):
            write_contents(self.store.layout, group)
        recorded = self.damage.recorded
        files = [file for staged in group for file in self._replacements(staged)]
        self.store.restore(files, self.damage.listed)
        self.catalogue.correct([file.target for file in files], properties(files))
        for file in files:
            same = recorded[file.target.path] == file.target.sha256
            self.repairs.done[file.target.path] = (
                f"fetched anew{'' if same else ', a different file'}"
            )

    def _replacements(self, staged: StagedGeneration) -> Iterator[StagedFile]:
        """Yield what replaces the damaged files of a generation.

        That is what has the recorded checksum, whichever output it is now: a response may list
        them in another order.
        """
        fetched = list(staged.files)
        others: list[str] = []
        for path in self._paths[staged.generation]:
            sha256 = self.damage.recorded[path]
            same = (file for file in fetched if _is_for(path, file) and sha256 == _sha256(file))
            if file := next(same, None):
                fetched.remove(file)
                yield _placed(file, path)
            else:
                others.append(path)
        in_place = self._in_place(staged)
        fetched = [file for file in fetched if _sha256(file) not in in_place]
        for path in others:
            if file := self._changed(path, fetched):
                fetched.remove(file)
                yield _placed(file, path)

    def _changed(self, path: str, fetched: Sequence[StagedFile]) -> StagedFile | None:
        """Return which other file may replace a damaged one: that in its place, if it is there."""
        candidates = [file for file in fetched if _is_for(path, file)]
        candidates.sort(key=lambda file: file.target.path != path)
        if candidates and not self.accept_changed:
            self.repairs.failed[path] = (
                f"ModelsLab has a different file now (SHA-256 {_sha256(candidates[0])}): "
                "see --accept-changed"
            )
        return candidates[0] if candidates and self.accept_changed else None

    def _in_place(self, staged: StagedGeneration) -> set[str]:
        """Return the checksums of a generation's undamaged files."""
        paths = (file.target.path for file in staged.files)
        undamaged = (path for path in paths if path not in self.damage.recorded)
        return set().union(*map(self.catalogue.checksums, undamaged))

    def _note_rest(self, generation: Generation, reason: str) -> None:
        for path in self._paths[generation]:
            if path not in self.repairs.done and path not in self.repairs.failed:
                self.repairs.failed[path] = reason


def _is_for(path: str, file: StagedFile) -> bool:
    """Return whether a fetched file is of the kind of a damaged one: a response, an MP4 …."""
    return PurePosixPath(path).suffix == PurePosixPath(file.target.path).suffix


def _placed(file: StagedFile, path: str) -> StagedFile:
    return replace(file, target=replace(file.target, path=path))


def _sha256(file: StagedFile) -> str:
    return file.target.sha256
