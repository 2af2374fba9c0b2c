"""The report of a merge: sums over all archives, what is wrong with any, the exit status."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from archiver.merge.listing import Listed
from archiver.merge.parts import UNFINISHED, Part, Problem
from archiver.run import Run, worst
from archiver.units import capped, counted, format_size

_ODD_LINES = 4
_HELD_TWICE = 3


@dataclass(frozen=True, slots=True)
class MergeReport:
    """What several archives hold together, and how their last runs ended."""

    parts: Sequence[Part]
    listed: Listed
    output: Path | None
    """The checksum manifest of all; None if it was not written, because an archive is missing."""
    set_problems: Sequence[Problem] = field(default_factory=list)
    """What is wrong with the archives as a set, or keeps one from being read."""

    @property
    def generations(self) -> int:
        """How many generations are held; one that is held twice counts twice."""
        return self.listed.generations.total()

    @property
    def files(self) -> int:
        """How many files the checksum manifests list."""
        return self.listed.files.total()

    @property
    def bytes(self) -> int:
        """How many bytes of files, as far as the archives know."""
        return sum(part.bytes or 0 for part in self.parts)

    @property
    def states(self) -> dict[str, int]:
        """How many generations are not held, by why."""
        return {
            state: sum(part.states.get(state, 0) for part in self.parts) for state in UNFINISHED
        }

    @property
    def counts(self) -> Counter[str]:
        """What the last backups did, in sum."""
        counts = Counter[str]()
        for run in self._backups():
            counts.update(run.counts)
        return counts

    @property
    def problems(self) -> list[Problem]:
        """All that is wrong, but for lines and generations, of which there may be many."""
        return [*self.set_problems, *(each for part in self.parts for each in part.problems())]

    @property
    def exit_status(self) -> int:
        """The worst of the last runs, and of what is wrong with the set."""
        statuses = [problem.exit_status for problem in self.problems]
        statuses += [_ODD_LINES] if self.listed.odd else []
        statuses += [_HELD_TWICE] if self.listed.held_twice else []
        return worst(statuses)

    def lines(self) -> Iterator[str]:
        """Describe what there is, in sum."""
        held = f"{counted(self.generations, 'generation')} in {counted(self.files, 'file')}"
        yield from (_row("archives", f"{len(self.parts):,}"), _row("held", f"{held}, {self._size}"))
        yield from (_row(state, f"{count:,}") for state, count in self.states.items())
        yield _row("backups", self._last_backups())
        if self.output:
            yield _row("checksums", str(self.output))

    def wrong(self) -> Iterator[str]:
        """Describe what is wrong, a line each."""
        yield from map(str, self.problems)
        yield from capped(self.listed.odd_lines, self.listed.odd)
        yield from capped(self.listed.twice, self.listed.held_twice)

    def as_json(self) -> dict[str, object]:
        """Return the report for `--json`."""
        listed = self.listed
        return {
            "archives": [self._part_json(part) for part in self.parts],
            "held": {
                "generations": self.generations, "files": self.files, "bytes": self.bytes,
            },
            **self.states,
            "outcomes": dict(self.counts),
            "held_twice": [
                {"generation": each.name, "archives": [str(a) for a in each.archives]}
                for each in listed.twice
            ],
            "held_twice_omitted": listed.held_twice - len(listed.twice),
            "bad_lines": listed.odd_lines,
            "bad_lines_omitted": listed.odd - len(listed.odd_lines),
            "problems": [str(problem) for problem in self.problems],
            "checksums": self.output and str(self.output),
            "exit_status": self.exit_status,
        }  # fmt: skip

    @property
    def _size(self) -> str:
        unknown = sum(part.bytes is None for part in self.parts)
        rest = f", and {counted(unknown, 'archive')} of unknown size" if unknown else ""
        return f"{format_size(self.bytes)}{rest}"

    def _backups(self) -> list[Run]:
        return [run for part in self.parts for run in part.runs if run.command == "backup"]

    def _last_backups(self) -> str:
        runs = self._backups()
        did = [
            f"{count:,} {name.replace('_', ' ')}" for name, count in self.counts.items() if count
        ]
        size = format_size(sum(run.bytes for run in runs))
        return f"the last of {counted(len(runs), 'archive')}: {', '.join(did) or 'nothing'}; {size}"

    def _part_json(self, part: Part) -> dict[str, object]:
        return {
            "archive": str(part.archive),
            "shard": part.shard and str(part.shard),
            "generations": self.listed.generations[part.archive],
            "files": self.listed.files[part.archive],
            "bytes": part.bytes,
            **{str(state): count for state, count in part.states.items()},
            "running": part.running,
            "last_runs": [run.as_json() for run in part.runs],
        }


def _row(heading: str, text: str) -> str:
    return f"{heading:12}{text}"
