"""The report of a sync: what was copied, what could not be, and the exit status."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from archiver.errors import ArchiverError
from archiver.run import Completed, Ended, Run, Stopped
from archiver.units import capped, counted, format_duration, format_size

_KEPT_LIMIT = 100_000
"""At most this many problems are kept; the rest is counted."""

Kind: TypeAlias = Literal[
    "missing", "changed", "unreadable", "contradictory", "different", "name", "refused"
]
"""Of the source: missing, a file is listed, and not there; changed, it does not match its line;
unreadable, the disk fails, or it is no file; contradictory, a line makes no sense. Of the target:
different, another file is listed there under its path; name, it can have no file of this name,
since another's differs in case alone, a directory or a link is in the way, or it is too long;
refused, its store says that what came is not what was announced."""
_OF_THE_TARGET = ("different", "name", "refused")


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a file was not copied."""

    kind: Kind
    path: str
    detail: str

    def __str__(self) -> str:
        return f"{self.kind} {self.path}: {self.detail}"


@dataclass(slots=True)
class Tally:
    """What has become of the files that the source lists."""

    listed: int = 0
    held: int = 0
    """Those that the target lists, too."""
    found: int = 0
    """Those that were there already, and are listed now."""
    copied: int = 0
    bytes: int = 0
    """How many were copied."""
    kept: list[Problem] = field(default_factory=list)
    """The problems, the first 100,000 of them."""
    counts: Counter[Kind] = field(default_factory=Counter)

    def add(self, problem: Problem) -> None:
        """Count a problem."""
        self.counts[problem.kind] += 1
        if len(self.kept) < _KEPT_LIMIT:
            self.kept.append(problem)

    @property
    def problems(self) -> int:
        """How many there are."""
        return self.counts.total()

    @property
    def exit_status(self) -> int:
        """4 if anything is wrong with the source, 3 if the target has something else, or 0."""
        if any(kind not in _OF_THE_TARGET for kind in self.counts):
            return 4
        return 3 if self.counts else 0


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a sync did, and its exit status."""

    began: datetime
    """In UTC, as `finished` is."""
    finished: datetime
    ended: Ended = field(default_factory=Completed)
    tally: Tally = field(default_factory=Tally)

    @classmethod
    def failed_to_begin(cls, began: datetime, error: ArchiverError) -> "SyncReport":
        """Return the report of a run that an error kept from beginning."""
        return cls(began, datetime.now(UTC), Stopped(error, begun=False))

    @property
    def exit_status(self) -> int:
        """0 if the target holds all that the source lists; the worst that happened wins."""
        if isinstance(self.ended, Stopped):
            return self.ended.error.exit_status
        return self.tally.exit_status

    @property
    def noteworthy(self) -> bool:
        """Whether a person should see it."""
        return bool(self.exit_status)

    @property
    def seconds(self) -> float:
        """How long the run took."""
        return (self.finished - self.began).total_seconds()

    @property
    def run(self) -> Run:
        """What is remembered of the run, in the target."""
        return Run(
            "sync",
            self.began,
            self.finished,
            self.exit_status,
            self._counts(),
            self.tally.bytes,
            "; ".join([*self._stopped(), *self._headline()]),
        )

    def lines(self) -> Iterator[str]:
        """Describe what was done: a line of counts, then one for each problem."""
        yield from self._headline()
        yield from self._stopped()
        yield from capped(self.tally.kept, self.tally.problems)

    def as_json(self) -> dict[str, object]:
        """Return the report for `--json`."""
        tally = self.tally
        return {
            **self._counts(),
            "bytes": tally.bytes,
            "seconds": round(self.seconds, 3),
            "exit_status": self.exit_status,
            "ended_early": str(self.ended.error) if isinstance(self.ended, Stopped) else None,
            "problems": [{"kind": p.kind, "path": p.path, "detail": p.detail} for p in tally.kept],
            "problems_omitted": tally.problems - len(tally.kept),
        }

    def _counts(self) -> dict[str, int]:
        tally = self.tally
        done = {"listed": tally.listed, "already_held": tally.held, "found": tally.found}
        return done | {"copied": tally.copied} | {str(k): n for k, n in tally.counts.items()}

    def _headline(self) -> Iterator[str]:
        """Yield the counts in a line; a run that did not begin has none."""
        if isinstance(self.ended, Stopped) and not self.ended.begun:
            return
        tally = self.tally
        others = [f"{tally.held:,} already held"]
        if tally.found:
            others.append(f"{tally.found:,} found there and listed")
        others += [f"{count:,} {kind}" for kind, count in tally.counts.items()]
        yield (
            f"{counted(tally.copied, 'file')} of {tally.listed:,} copied, "
            f"{format_size(tally.bytes)} in {format_duration(self.seconds)}: {', '.join(others)}"
        )

    def _stopped(self) -> Iterator[str]:
        if isinstance(self.ended, Stopped):
            yield str(self.ended)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a sync would do."""

    tally: Tally
    files: int
    bytes: int
    """As far as the source knows them."""

    @property
    def exit_status(self) -> int:
        """That of the sync, as far as it is known."""
        return self.tally.exit_status

    def lines(self) -> Iterator[str]:
        """Describe it: a line of counts, then one for each problem."""
        yield (
            f"{counted(self.files, 'file')} of {self.tally.listed:,} would be copied, "
            f"{format_size(self.bytes)}: {self.tally.held:,} already held"
        )
        yield from capped(self.tally.kept, self.tally.problems)

    def as_json(self) -> dict[str, object]:
        """Return it for `--json`."""
        tally = self.tally
        return {
            "listed": tally.listed,
            "already_held": tally.held,
            "to_copy": self.files,
            "bytes": self.bytes,
            "exit_status": self.exit_status,
            "problems": [{"kind": p.kind, "path": p.path, "detail": p.detail} for p in tally.kept],
            "problems_omitted": tally.problems - len(tally.kept),
        }
