"""What was written of the catalogue, so that the next time only what has changed is read again."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

from archiver.archive.durable import replace
from archiver.catalogue.queries import Queries

FORMAT = 1
"""The form of the data scripts: those of another are written anew."""


class Counts(NamedTuple):
    """How much there is; what is not the same any more must be read again."""

    held: int = 0
    lost: int = 0
    files: int = 0
    bytes: int = 0
    facts: int = 0

    def minus(self, other: "Counts") -> "Counts":
        """Return the differences."""
        return Counts(*(here - there for here, there in zip(self, other, strict=True)))


@dataclass(frozen=True, slots=True)
class Chunk:
    """What was written of a stretch of generations."""

    data: str
    """The digest of the script of its rows, as `details` is that of their details."""
    details: str
    rows: int
    counts: Counts
    without_poster: int = 0
    """How many of its videos have no poster yet."""


@dataclass(frozen=True, slots=True)
class Written:
    """What was written of an archive."""

    chunks: Mapping[int, Chunk] = field(default_factory=dict)
    until: str = ""
    """When the last generation that is in a chunk came into its state, UTC."""
    tied: int = 0
    """How many have come into their state in that very second."""
    last_number: int = 0
    verified: str = ""
    """When the last fixity check had begun, UTC."""
    others: Counts = field(default_factory=Counts)
    """What the catalogue counts beyond what is in the chunks."""

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Return what was written; None if nothing was, or that is not known."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            fields = json.loads(path.read_text(encoding="utf-8"))
            if fields.pop("format") == FORMAT:
                chunks = {int(number): _chunk(c) for number, c in fields.pop("chunks").items()}
                return cls(chunks, others=Counts(*fields.pop("others")), **fields)
        return None

    def write(self, path: Path) -> None:
        """Remember it.

        Raises:
            OSError: if the disk does not take it.
        """
        replace(path, [json.dumps({"format": FORMAT, **asdict(self)})])

    def counts(self) -> Counts:
        """Return the counts of all chunks together."""
        counts = (chunk.counts for chunk in self.chunks.values())
        return Counts(*map(sum, zip(Counts(), *counts, strict=True)))

    def follows(self, old: Self) -> bool:
        """Return whether there is no more to read than what came after an earlier writing."""
        return self.verified == old.verified and self.last_number >= old.last_number


def counts_of(queries: Queries) -> Counts:
    """Return how much the catalogue knows."""
    holdings = queries.holdings()
    lost = queries.tally("lost").count
    return Counts(holdings.generations, lost, holdings.files, holdings.bytes, queries.facts())


def _chunk(fields: dict[str, Any]) -> Chunk:
    return Chunk(counts=Counts(*fields.pop("counts")), **fields)
