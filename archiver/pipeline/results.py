"""Results: what the workers hand over to be committed."""

from dataclasses import dataclass
from typing import TypeAlias

from archiver.archive.staged import StagedGeneration
from archiver.outcomes import Archived, LinkFault, Outcome


@dataclass(frozen=True, slots=True)
class Fetched:
    """A generation that is staged whole, and the outcome that it has once it is committed."""

    staged: StagedGeneration
    outcome: Archived

    @classmethod
    def of(
        cls,
        staged: StagedGeneration,
        served_by: tuple[str, ...],
        faults: tuple[LinkFault, ...] = (),
    ) -> "Fetched":
        """Return the result for a generation that these links have served."""
        outcome = Archived(staged.generation, staged.payload_bytes, served_by, faults)
        return cls(staged, outcome)


Result: TypeAlias = Fetched | Outcome
"""What is ready to be committed."""
