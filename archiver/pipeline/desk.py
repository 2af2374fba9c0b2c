"""Where a night's work comes from and where it goes: a backup has a desk, and a repair another."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from archiver.archive.staging import StagedGeneration
from archiver.generation import Generation
from archiver.outcomes import Archived, LinkFault, Outcome


@dataclass(frozen=True, slots=True)
class Finished:
    """A generation that is wholly staged, and the outcome it will have once it is settled."""

    staged: StagedGeneration
    outcome: Archived


Result: TypeAlias = Finished | Outcome


class Desk(Protocol):
    """A night takes its work from here, and gives its results back."""

    @property
    def root(self) -> Path:
        """The archive's directory."""

    def take(self, count: int) -> list[tuple[Generation, bool]]:
        """Return the next generations to ask about, and whether each was never tried before."""

    def settle(self, group: Sequence[Result]) -> Sequence[Outcome]:
        """Make results durable, in a thread, and return what became of each."""


def archived(
    staged: StagedGeneration, served_by: tuple[str, ...], faults: tuple[LinkFault, ...] = ()
) -> Archived:
    """Return the outcome of a generation that is wholly staged, once it is settled."""
    return Archived(staged.generation, staged.payload_bytes, served_by, faults)
