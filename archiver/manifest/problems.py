"""Problems: what could not be read or understood in the manifests of a run."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from archiver.manifest.entries import BadLine
from archiver.units import capped

_KEPT = 1000
"""At most this many bad lines are kept for the JSON report."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A manifest that cannot be opened or read."""

    manifest: str
    reason: str

    def __str__(self) -> str:
        return f"{self.manifest}: {self.reason}"


@dataclass(slots=True)
class Problems:
    """The manifests that were not read, and the lines that were not understood."""

    unreadable: list[str] = field(default_factory=list)
    bad_lines: int = 0
    kept_lines: list[BadLine] = field(default_factory=list)
    """The first of the bad lines."""

    def __bool__(self) -> bool:
        return bool(self.unreadable or self.bad_lines)

    def add(self, problem: BadLine | Unreadable) -> None:
        """Count a problem."""
        match problem:
            case Unreadable():
                self.unreadable.append(str(problem))
            case BadLine():
                self.bad_lines += 1
                if len(self.kept_lines) < _KEPT:
                    self.kept_lines.append(problem)

    def lines(self) -> Iterator[str]:
        """Describe the problems, a line each; beyond twenty bad lines the rest is counted."""
        yield from self.unreadable
        yield from capped(self.kept_lines, self.bad_lines)

    def as_json(self) -> dict[str, object]:
        """Return the problems for `--json`."""
        return {
            "bad_lines": [str(bad) for bad in self.kept_lines],
            "bad_lines_omitted": self.bad_lines - len(self.kept_lines),
            "unreadable_manifests": list(self.unreadable),
        }
