"""The report of a backup run: outcomes counted, failures named, how it ended, the exit status."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar, assert_never

from archiver.errors import ArchiverError, StorageError
from archiver.manifest.problems import Problems
from archiver.outcomes import (
    Archived,
    DeadLinks,
    Duplicate,
    Failed,
    Lost,
    Outcome,
    Pending,
    Unfinished,
    Worklist,
)
from archiver.run import Completed, Ended, Run, Skipped, Stopped, TimeUp
from archiver.shards import Shard
from archiver.units import capped, counted, format_duration, format_size

T = TypeVar("T")

KEPT_LIMIT = 1000
"""At most this many failures are kept for the JSON report; the catalogue has them all."""


@dataclass(slots=True)
class Tally:
    """Counts outcomes, and keeps the first failures and losses."""

    archived: int = 0
    bytes: int = 0
    pending: int = 0
    failed: int = 0
    lost: int = 0
    duplicates: int = 0
    """Listed under two names, and counted under the other."""
    dead: int = 0
    """Listed by ModelsLab alone, with dead links."""
    no_space: int = 0
    """How many of the failed do not fit on the disk."""
    failures: list[Failed] = field(default_factory=list)
    losses: list[Lost] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Count one outcome."""
        match outcome:
            case Archived():
                self.archived += 1
                self.bytes += outcome.bytes
            case Pending():
                self.pending += 1
            case Failed():
                self.failed += 1
                self.no_space += outcome.no_space
                _keep(outcome, self.failures)
            case Lost():
                self.lost += 1
                _keep(outcome, self.losses)
            case Duplicate():
                self.duplicates += 1
            case DeadLinks():
                self.dead += 1
            case Unfinished():
                pass  # it counts as not tried
            case _:
                assert_never(outcome)

    @property
    def total(self) -> int:
        """How many outcomes were counted."""
        counted_elsewhere = self.duplicates + self.dead
        return self.archived + self.pending + self.failed + self.lost + counted_elsewhere


@dataclass(slots=True)
class Discovered:
    """What was made of one's own generations, as ModelsLab lists them, before any was fetched."""

    listed: int
    without_links: int = 0
    """How many have no links yet."""
    dead: int = 0
    """How many have links that were dead not long ago: they are left alone for a while."""
    changed: int = 0
    """How many are held, and are listed with other links now."""
    shard: Shard | None = None
    """The shard whose they are, if they are not all."""

    def lines(self, dead: int) -> Iterator[str]:
        """Describe it, with how many more were found to have `dead` links."""
        without = f", {self.without_links:,} of them without a link yet"
        listed = counted(self.listed + self.without_links, "generation")
        shard = f", in shard {self.shard}" if self.shard else ""
        yield f"ModelsLab lists {listed} of yours{shard}{without if self.without_links else ''}"
        if dead := self.dead + dead:
            yield (
                f"{dead:,} of them, which no manifest lists, have dead links:"
                " not archived, and tried again ever more seldom"
            )
        if self.changed:
            yield f"{self.changed:,} of them are held, and listed with other links now: left alone"

    def as_json(self, dead: int) -> dict[str, object]:
        """Return it for `--json`."""
        counts = {
            "listed": self.listed + self.without_links,
            "without_links": self.without_links,
            "dead_links": self.dead + dead,
            "changed_links": self.changed,
        }
        return {"discovered": counts}


@dataclass(frozen=True, slots=True)
class Report:
    """What a backup run did, and its exit status."""

    began: datetime
    """In UTC, as `finished` is."""
    finished: datetime
    ended: Ended = field(default_factory=Completed)
    worklist: Worklist = field(default_factory=Worklist)
    tally: Tally = field(default_factory=Tally)
    problems: Problems = field(default_factory=Problems)
    discovered: Discovered | None = None
    """What ModelsLab lists, where it was asked."""

    @classmethod
    def failed_to_begin(cls, began: datetime, error: ArchiverError) -> "Report":
        """Return the report of a run that an error kept from beginning."""
        return cls(began, datetime.now(UTC), Stopped(error, begun=False))

    @property
    def archived(self) -> int:
        """How many generations were archived."""
        return self.tally.archived

    @property
    def already_held(self) -> int:
        """How many generations the archive held before."""
        return self.worklist.already_held

    @property
    def pending(self) -> int:
        """How many generations ModelsLab is still making."""
        return self.tally.pending

    @property
    def failed(self) -> int:
        """How many generations failed on this run; the next one tries them again."""
        return self.tally.failed

    @property
    def lost(self) -> int:
        """How many generations were found lost, and are reported now."""
        return self.tally.lost

    @property
    def known_lost(self) -> int:
        """How many generations an earlier run has reported lost."""
        return self.worklist.known_lost

    @property
    def skipped(self) -> int:
        """How many generations were not tried, because the run ended early."""
        return self.worklist.to_fetch + len(self.worklist.unreported) - self.tally.total

    @property
    def bytes(self) -> int:
        """How many bytes of video were archived."""
        return self.tally.bytes

    @property
    def seconds(self) -> float:
        """How long the run took."""
        return (self.finished - self.began).total_seconds()

    @property
    def exit_status(self) -> int:
        """The process's exit status: the worst that happened wins."""
        wrong = self.failed or self.lost or self.problems
        match self.ended:
            case Stopped(error):
                return error.exit_status
            case _ if self.tally.no_space:
                return StorageError.exit_status
            case TimeUp():
                return 3 if wrong else 0
            case Completed() | Skipped():
                return 3 if wrong or self.skipped else 0
            case _:
                assert_never(self.ended)

    @property
    def noteworthy(self) -> bool:
        """Whether a person should see it even where silence means that all is well."""
        return self.exit_status != 0

    @property
    def run(self) -> Run:
        """What is remembered of the run."""
        counts = {name: count for name, _, count in self._counts()}
        return Run(
            "backup",
            self.began,
            self.finished,
            self.exit_status,
            counts | {"bad_lines": self.problems.bad_lines},
            self.bytes,
            "; ".join([*self._stopped(), *self._headline(), *self._no_space()]),
        )

    def as_json(self) -> dict[str, object]:
        """Return the report for `--json`."""
        kept: list[Failed | Lost] = [*self.tally.failures, *self.tally.losses]
        return {
            "outcomes": {name: count for name, _, count in self._counts()},
            "bytes": self.bytes,
            "seconds": round(self.seconds, 3),
            "exit_status": self.exit_status,
            "ended_early": self.reason or None,
            "failures": [_as_json(failure) for failure in kept],
            "failures_omitted": self.failed + self.lost - len(kept),
            **(self.discovered.as_json(self.tally.dead) if self.discovered else {}),
            **self.problems.as_json(),
        }

    def lines(self) -> Iterator[str]:
        """Describe the run: a line of counts, then one for each thing that went wrong."""
        yield from self._headline()
        yield from self._stopped()
        yield from self.discovered.lines(self.tally.dead) if self.discovered else ()
        yield from self._no_space()
        if self.skipped:
            why = "" if isinstance(self.ended, Stopped) else self.reason
            yield f"skipped {self.skipped:,}, retried on the next run{': ' if why else ''}{why}"
        yield from self.problems.lines()
        yield from capped(self.tally.failures, self.failed)
        yield from capped(self.tally.losses, self.lost)

    @property
    def reason(self) -> str:
        """Why the run ended before its worklist was done; "" if it was done."""
        match self.ended:
            case Completed():
                return ""
            case Skipped(reason) | TimeUp(reason):
                return reason
            case Stopped(error):
                return str(error)
            case _:
                assert_never(self.ended)

    def _stopped(self) -> Iterator[str]:
        if isinstance(self.ended, Stopped):
            yield str(self.ended)

    def _no_space(self) -> Iterator[str]:
        """Yield why a run that was not ended early has the exit status of a full disk."""
        if count := self.tally.no_space:
            yield f"{count:,} of the failed did not fit on the disk: free some space"

    def _counts(self) -> list[tuple[str, str, int]]:
        return [
            ("archived", "archived", self.archived),
            ("already_held", "already held", self.already_held),
            ("pending", "pending", self.pending),
            ("failed", "failed", self.failed),
            ("lost", "lost", self.lost),
            ("known_lost", "known lost", self.known_lost),
            ("skipped", "skipped", self.skipped),
        ]

    def _headline(self) -> Iterator[str]:
        """Yield the counts in a line; a run that did not begin has none."""
        if isinstance(self.ended, Stopped) and not self.ended.begun:
            return
        parts = [f"{count:,} {label}" for _, label, count in self._counts() if count]
        done = ", ".join(parts) or "nothing to do"
        yield f"{done}; {format_size(self.bytes)} in {format_duration(self.seconds)}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a backup would do, for `--dry-run`."""

    worklist: Worklist
    problems: Problems
    discovered: Discovered | None = None

    @property
    def exit_status(self) -> int:
        """3 if something in the manifests was not understood."""
        return 3 if self.problems else 0

    def as_json(self) -> dict[str, object]:
        """Return the plan for `--json`."""
        return {
            "to_fetch": self.worklist.to_fetch,
            "already_held": self.worklist.already_held,
            "known_lost": self.worklist.known_lost + len(self.worklist.unreported),
            "exit_status": self.exit_status,
            **(self.discovered.as_json(0) if self.discovered else {}),
            **self.problems.as_json(),
        }

    def lines(self) -> Iterator[str]:
        """Describe the plan: a line of counts, then one for each problem."""
        lost = self.worklist.known_lost + len(self.worklist.unreported)
        yield (
            f"would fetch {counted(self.worklist.to_fetch, 'generation')}; "
            f"{self.worklist.already_held:,} already held, {lost:,} known lost"
        )
        yield from self.discovered.lines(0) if self.discovered else ()
        yield from self.problems.lines()


def _as_json(failure: Failed | Lost) -> dict[str, object]:
    return {
        "generation": failure.generation.name,
        "outcome": "failed" if isinstance(failure, Failed) else "lost",
        "reason": failure.reason,
        "links": [
            {"role": fault.role, "link": fault.link, "reason": fault.reason}
            for fault in failure.faults
        ],
    }


def _keep(item: T, kept: list[T]) -> None:
    if len(kept) < KEPT_LIMIT:
        kept.append(item)
