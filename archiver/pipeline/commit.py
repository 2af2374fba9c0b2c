"""Group commit: many results become part of the archive, and of the catalogue, at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, assert_never

from archiver.archive.bag import Bag
from archiver.archive.staging import StagedGeneration, Staging
from archiver.catalogue.store import Catalogue, Record
from archiver.outcomes import Archived, Failed, Lost, Outcome, Pending
from archiver.pipeline.give_up import decide
from archiver.pipeline.report import Tally
from archiver.pipeline.results import Fetched, Result

if TYPE_CHECKING:
    from archiver.archive.disk_space import DiskSpace


@dataclass(frozen=True, slots=True)
class GroupCommit:
    """Commits the results of a backup. Whoever calls it is in a thread, one at a time."""

    bag: Bag
    catalogue: Catalogue
    space: "DiskSpace"
    stale_after: float
    tally: Tally

    def commit(self, group: Sequence[Result]) -> Sequence[Outcome]:
        """Commit what was fetched and record every outcome; return them.

        Raises:
            StorageError: if the disk fails.
        """
        fetched = [result.staged for result in group if isinstance(result, Fetched)]
        self.space.require_now(_unwritten(fetched))
        outcomes = [self._outcome(result) for result in group]
        commit_staged(self.bag, self.catalogue, fetched, outcomes)
        for outcome in outcomes:
            self._tidy(outcome)
            self.tally.add(outcome)
        return outcomes

    def _outcome(self, result: Result) -> Outcome:
        if isinstance(result, Fetched):
            return result.outcome
        past = self.catalogue.past(result.generation)
        return decide(result, past, datetime.now(UTC)) if past else result

    def _tidy(self, outcome: Outcome) -> None:
        match outcome:
            case Lost(generation):
                Staging(self.bag.layout, generation).discard()
            case Failed(generation):
                Staging(self.bag.layout, generation).tidy(self.stale_after)
            case Archived() | Pending():
                pass
            case _:
                assert_never(outcome)


def commit_staged(
    bag: Bag,
    catalogue: Catalogue,
    group: Sequence[StagedGeneration],
    outcomes: Sequence[Outcome],
) -> None:
    """Commit staged generations to the bag, and all outcomes to the catalogue with them.

    Raises:
        StorageError: if the disk fails.
    """
    records = map(record_of, outcomes)
    if not group:
        catalogue.record(records, (), bag.manifest.mark())
        return
    targets = [file.target for staged in group for file in staged.files]
    if listed := catalogue.known(target.path for target in targets):
        bag.withdraw(listed)  # of generations that had lost others of their files
    bag.commit(group, lambda: catalogue.record(records, targets, bag.manifest.mark()))


def _unwritten(group: Sequence[StagedGeneration]) -> int:
    """Return how many bytes are still in memory."""
    return sum(len(file.content or b"") for staged in group for file in staged.files)


def record_of(outcome: Outcome) -> Record:
    """Return what the catalogue remembers of an outcome."""
    match outcome:
        case Archived(generation):
            return Record(generation, "held", served_by=outcome.served_by)
        case Pending(generation):
            return Record(generation, "pending", processing=True)
        case Lost(generation):
            return Record(generation, "lost", outcome.why)
        case Failed(generation):
            return Record(
                generation, "failed", outcome.why, gone=outcome.gone, processing=outcome.stuck
            )
        case _:
            assert_never(outcome)
