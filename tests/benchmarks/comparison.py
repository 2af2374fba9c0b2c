"""Comparisons: ratios of runs taken in turn, and whether a target is reached."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of several values, and the range they lie in."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Return the spread of at least one value."""
        return cls(median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Target:
    """A limit for a median: an upper limit, or a lower one if `at_least` is set."""

    limit: float
    at_least: bool = False
    unit: str = ""

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        return f"{'≥' if self.at_least else '≤'} {self.limit:.3g}{unit}"

    def verdict(self, value: float) -> str:
        """Return whether `value`, as measured and not as shown, is within the limit."""
        kept = value >= self.limit if self.at_least else value <= self.limit
        return "reached" if kept else "missed"


def at_most(limit: float, unit: str = "") -> Target:
    """Return the target for a ratio of ours to theirs, or for a difference in a unit."""
    return Target(limit, unit=unit)


def at_least(limit: float) -> Target:
    """Return the target of a ratio of theirs to ours: how many times faster."""
    return Target(limit, at_least=True)


def ratios(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """Return the ratio of each round: runs of the same minute are compared."""
    return [one / other for one, other in zip(over, under, strict=True)]


def compared(ours: Sequence[float], theirs: Sequence[float], target: Target | None) -> Spread:
    """Return ours ÷ theirs where the target is an upper limit, and theirs ÷ ours elsewhere."""
    upper = target is not None and not target.at_least
    return Spread.of(ratios(ours, theirs) if upper else ratios(theirs, ours))
