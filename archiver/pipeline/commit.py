"""Group commit: many results become part of the archive, and of the catalogue, at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, assert_never

from archiver.archive.staged import StagedGeneration, properties
from archiver.archive.staging import Staging
from archiver.archive.store import WritableStore
from archiver.catalogue.store import Catalogue, Record
from archiver.outcomes import (
    Archived,
    DeadLinks,
    Duplicate,
    Failed,
    Lost,
    Outcome,
    Pending,
    Streak,
    Unfinished,
)
from archiver.pipeline.give_up import Decision, decide
from archiver.pipeline.report import Tally
from archiver.pipeline.results import Fetched, Result
from archiver.pipeline.sidecars import with_entries

if TYPE_CHECKING:
    from concurrent.futures import Future


@dataclass(frozen=True, slots=True)
class GroupCommit:
    """Commits the results of a backup. Whoever calls it is in a thread, one at a time."""

    store: WritableStore
    catalogue: Catalogue
    stale_after: float
    tally: Tally

    def begin_upload(self, staged: StagedGeneration) -> "Future[str] | None":
        """Begin to send what is staged to the store, where that takes long; see `WritableStore`.

        Not so where some of its files are listed: the commit removes their lines first.
        """
        if self.store.is_shared and self.catalogue.known(f.target.path for f in staged.files):
            return None
        return self.store.begin_upload(staged)

    def commit(self, group: Sequence[Result]) -> Sequence[Outcome]:
        """Commit what was fetched and record every outcome; return them.

        Raises:
            StorageError: if the disk fails.
        """
        fetched = [result.staged for result in group if isinstance(result, Fetched)]
        decisions = [self._decide(result) for result in group]
        outcomes = [decision.outcome for decision in decisions]
        found = (record_of(decision.outcome, decision.streak) for decision in decisions)
        records = [record for record in found if record]
        commit_staged(self.store, self.catalogue, fetched, records)
        dead = (each for each in outcomes if isinstance(each, DeadLinks))
        self.catalogue.listed.set_dead((each.generation, each.paths) for each in dead)
        for outcome in outcomes:
            self.tally.add(outcome)
        for outcome in outcomes:
            self._tidy(outcome)
        return outcomes

    def _decide(self, result: Result) -> Decision:
        if isinstance(result, Fetched):
            return Decision(result.outcome)
        return decide(result, self.catalogue.past(result.generation), datetime.now(UTC))

    def _tidy(self, outcome: Outcome) -> None:
        match outcome:
            case Lost(generation):
                Staging(self.store.layout, generation).discard()
            case Failed(generation) | DeadLinks(generation):
                Staging(self.store.layout, generation).tidy(self.stale_after)
            case Archived() | Pending() | Unfinished() | Duplicate():
                pass
            case _:
                assert_never(outcome)


def commit_staged(
    store: WritableStore,
    catalogue: Catalogue,
    group: Sequence[StagedGeneration],
    records: Sequence[Record],
) -> None:
    """Commit staged generations to the store, with what manifests say of them.

    All records are committed to the catalogue with them.

    Raises:
        StorageError: if the disk fails.
    """
    whole = with_entries(store, catalogue, group)
    described = [described for _, described in whole]
    group = [staged for staged, _ in whole if staged.files]
    files = [file for staged in group for file in staged.files]
    targets, said = [file.target for file in files], properties(files)

    def record() -> None:
        catalogue.record(records, targets, store.manifest.mark(), described, said)

    if not group:
        record()
        return
    if listed := catalogue.known(target.path for target in targets):
        store.withdraw(listed)  # of generations that had lost others of their files
    store.commit(group, record)


def record_of(outcome: Outcome, streak: Streak | None = None) -> Record | None:
    """Return what the catalogue remembers of an outcome, if it does."""
    match outcome:
        case Archived(generation):
            return Record(generation, "held", served_by=outcome.served_by)
        case Pending(generation):
            return Record(generation, "pending", streak=streak)
        case Lost(generation):
            return Record(generation, "lost", outcome.why)
        case Failed(generation):
            return Record(generation, "failed", outcome.why, streak)
        case Unfinished(generation):
            return Record(generation, "failed", "its download was not finished", streak)
        case Duplicate() | DeadLinks():
            return None
        case _:
            assert_never(outcome)
