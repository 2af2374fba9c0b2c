"""One run of a command: when it was, how it ended, and what is remembered of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

from archiver.errors import ArchiverError
from archiver.version import __version__

Command: TypeAlias = Literal["backup", "verify", "repair", "sync"]
WRITING: tuple[Command, ...] = ("backup", "repair", "sync")
"""Those that hold the lock of the archive, and may leave something to recover."""


_WORST_FIRST = (1, 2, 77, 74, 69, 75, 143, 130, 4, 3, 0)
"""Exit statuses: a bug, then what a person must see to, what another try may overcome, what was
interrupted; these ended a run early. Then what a run that was completed has found."""


def worst(statuses: Iterable[int]) -> int:
    """Return the exit status of several runs together: the worst that happened wins."""
    order = {status: place for place, status in enumerate(_WORST_FIRST)}
    return min(statuses, key=lambda status: order.get(status, -1), default=0)


@dataclass(frozen=True, slots=True)
class Completed:
    """Everything there was to do was tried."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """Some generations were not tried, for this reason: the next run tries them."""

    reason: str


@dataclass(frozen=True, slots=True)
class TimeUp:
    """The time limit ended the run: what was not tried is no failure."""

    reason: str = "the time limit was reached (--max-time)"


@dataclass(frozen=True, slots=True)
class Stopped:
    """An error ended the run early, or kept it from beginning; it decides the exit status."""

    error: ArchiverError
    begun: bool = True

    def __str__(self) -> str:
        return f"{'ended early' if self.begun else 'did not begin'}: {self.error}"


Ended: TypeAlias = Completed | Skipped | TimeUp | Stopped
"""Why a run ended."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a command in an archive. One that was killed has no end and no exit status."""

    command: Command
    began: datetime
    """In UTC, as `ended` is."""
    ended: datetime | None = None
    exit_status: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    """How many generations had each outcome, or how many files each finding."""
    bytes: int = 0
    """How many bytes were archived or read."""
    summary: str = ""
    """The result in one line."""
    version: str = __version__

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        return (self.ended - self.began).total_seconds() if self.ended else None

    def as_json(self) -> dict[str, object]:
        """Return what is remembered of it, for `--json`."""
        return {
            "command": self.command,
            "began": self.began.isoformat(),
            "ended": self.ended and self.ended.isoformat(),
            "exit_status": self.exit_status,
            "counts": dict(self.counts),
            "bytes": self.bytes,
            "summary": self.summary,
            "version": self.version,
        }


@dataclass(frozen=True, slots=True)
class Holdings:
    """What an archive holds: generations, and their files and bytes."""

    generations: int
    files: int
    bytes: int
