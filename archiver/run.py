"""One run of a command: when it was, what came of it, and how it is remembered."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

from archiver import __version__

Command: TypeAlias = Literal["backup", "verify", "repair"]


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a command in an archive. One that was killed has no end and no exit status."""

    command: Command
    began: datetime
    """In UTC, as `ended` is."""
    ended: datetime | None = None
    exit_status: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    """How many generations had each outcome, or how many files there were of each finding."""
    bytes: int = 0
    """How many were archived, or read."""
    summary: str = ""
    """What was told in one line."""
    version: str = __version__

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        return (self.ended - self.began).total_seconds() if self.ended else None


@dataclass(frozen=True, slots=True)
class Holdings:
    """What an archive holds: so many generations, in so many files of so many bytes."""

    generations: int
    files: int
    bytes: int
