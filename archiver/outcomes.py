"""Outcomes: what became of each generation tonight, the night's report and its exit status."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, TypeAlias, TypeVar, assert_never

from archiver.errors import ArchiverError
from archiver.generation import Generation
from archiver.manifest.entries import BadLine
from archiver.run import Command, Run
from archiver.units import counted, format_duration, format_size

T = TypeVar("T")

TOLD_LIMIT = 20
"""So many lines of each kind are printed; the rest is counted."""
KEPT_LIMIT = 1000
"""So many are kept for the summary in JSON; the catalogue has them all."""


@dataclass(frozen=True, slots=True)
class LinkFault:
    """Why a link did not give its payload."""

    role: Literal["primary", "proxy"]
    where: str
    """The link without its query, which may be a signature."""
    reason: str
    gone: bool = False
    """The host said that there is nothing any more: 404, 410."""
    forbidden: bool = False
    """The host said that it is not for us, 403: the link has expired, or we are blocked."""

    def __str__(self) -> str:
        return f"{self.role} {self.where}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Archived:
    """All outputs are in the archive, proven whole."""

    generation: Generation
    bytes: int
    served_by: tuple[str, ...]
    """For each output the link that served it, without its query."""
    faults: tuple[LinkFault, ...] = ()
    """What was wrong with the links tried before."""


@dataclass(frozen=True, slots=True)
class Pending:
    """ModelsLab is still making it."""

    generation: Generation

    def __str__(self) -> str:
        return f"still being made {self.generation}"


@dataclass(frozen=True, slots=True)
class Lost:
    """It cannot be had any more: remembered, and not asked for again."""

    generation: Generation
    reason: str
    faults: tuple[LinkFault, ...] = ()

    def __str__(self) -> str:
        return f"lost {self.generation}: {self.why}"

    @property
    def why(self) -> str:
        """The reason and what each link said, in one line."""
        return _why(self)

    def as_json(self) -> dict[str, object]:
        """Return what happened, for `--json`."""
        return _as_json("lost", self)


@dataclass(frozen=True, slots=True)
class Failed:
    """It could not be archived tonight; the next night tries again."""

    generation: Generation
    reason: str
    faults: tuple[LinkFault, ...] = ()
    hopeless: bool = False
    """ModelsLab said, in words that are not documented, that it could not make it."""
    stuck: bool = False
    """ModelsLab has been making it for longer than anything takes."""

    def __str__(self) -> str:
        return f"failed {self.generation}: {self.why}"

    @property
    def why(self) -> str:
        """The reason and what each link said, in one line."""
        return _why(self)

    @property
    def gone(self) -> bool:
        """Whether all say that there is nothing to be had: such nights are counted."""
        dead = bool(self.faults) and all(fault.gone or fault.forbidden for fault in self.faults)
        return self.hopeless or dead

    @property
    def forbidden(self) -> bool:
        """Whether a link might serve somebody else: a block that is lifted is no loss."""
        return any(fault.forbidden for fault in self.faults)

    def as_json(self) -> dict[str, object]:
        """Return what happened, for `--json`."""
        return _as_json("failed", self)


def _why(trouble: Lost | Failed) -> str:
    return "; ".join([trouble.reason, *map(str, trouble.faults)])


def _as_json(outcome: str, trouble: Lost | Failed) -> dict[str, object]:
    return {
        "generation": trouble.generation.name,
        "outcome": outcome,
        "reason": trouble.reason,
        "links": [
            {"role": fault.role, "link": fault.where, "reason": fault.reason}
            for fault in trouble.faults
        ],
    }


Outcome: TypeAlias = Archived | Pending | Lost | Failed
"""How a generation that was worked on ends. Those already held, known to be lost, or left
untouched are counted in the report: a million of them are not a million values."""


@dataclass(slots=True)
class Enlisted:
    """What a night's list amounts to; each generation is counted once."""

    already_held: int = 0
    known_lost: int = 0
    to_ask: int = 0
    untold: list[Lost] = field(default_factory=list)
    """What an earlier run has found to be lost, and did not live to tell."""


@dataclass(slots=True)
class Report:
    """The night so far: it counts outcomes and owns the exit status."""

    archived: int = 0
    bytes: int = 0
    already_held: int = 0
    pending: int = 0
    lost: int = 0
    known_lost: int = 0
    failed: int = 0
    to_ask: int = 0
    would_ask: int | None = None
    """In a dry run: how many generations would be asked about."""
    bad_lines: int = 0
    seconds: float = 0.0
    unreadable: list[str] = field(default_factory=list)
    """The manifests that could not be read, and why."""
    ending: ArchiverError | None = None
    """What ended the night early, if anything did."""
    left_because: str = ""
    time_is_up: bool = False
    """The night was to end when it did: what is left is not wrong."""
    _bad_lines: list[BadLine] = field(default_factory=list)
    _lost: list[Lost] = field(default_factory=list)
    _failed: list[Failed] = field(default_factory=list)

    def enlist(self, enlisted: Enlisted) -> None:
        """Note what the night's list amounts to."""
        self.already_held, self.known_lost = enlisted.already_held, enlisted.known_lost
        self.to_ask = enlisted.to_ask + len(enlisted.untold)
        for lost in enlisted.untold:
            self.add(lost)

    def plan(self, enlisted: Enlisted) -> None:
        """Note what a night would have to do, that is not to be."""
        self.already_held, self.known_lost = enlisted.already_held, enlisted.known_lost
        self.would_ask = enlisted.to_ask

    def add(self, outcome: Outcome) -> None:
        """Count one outcome."""
        match outcome:
            case Archived():
                self.archived += 1
                self.bytes += outcome.bytes
            case Pending():
                self.pending += 1
            case Lost():
                self.lost += 1
                _keep(outcome, self._lost)
            case Failed():
                self.failed += 1
                _keep(outcome, self._failed)
            case _:
                assert_never(outcome)

    def add_bad_line(self, bad: BadLine) -> None:
        """Count a manifest line that was not understood."""
        self.bad_lines += 1
        _keep(bad, self._bad_lines)

    @property
    def left(self) -> int:
        """How many generations were not tried, because the night ended early."""
        return self.to_ask - self.archived - self.pending - self.lost - self.failed

    @property
    def not_understood(self) -> list[str]:
        """What is wrong with the manifests, a line each."""
        return [*self.unreadable, *_capped(self._bad_lines, self.bad_lines)]

    @property
    def exit_status(self) -> int:
        """The process's exit status: the worst that happened wins."""
        if self.ending is not None:
            return self.ending.exit_status
        left = self.left if not self.time_is_up else 0
        wrong = self.lost or self.failed or left or self.bad_lines or self.unreadable
        return 3 if wrong else 0

    @property
    def noteworthy(self) -> bool:
        """Whether there is anything to be told where all is silent when all is well."""
        return self.exit_status != 0

    def as_run(self, command: Command, began: datetime) -> Run:
        """Return what is to be remembered of the run that this tells of, which ends now."""
        counts = {name: count for name, _, count in self._counts()}
        return Run(
            command,
            began,
            datetime.now(UTC),
            self.exit_status,
            counts | {"bad_lines": self.bad_lines},
            self.bytes,
            f"ended early: {self.ending}; {self._headline()}" if self.ending else self._headline(),
        )

    def as_json(self) -> dict[str, object]:
        """Return the summary for `--json`."""
        told: list[Failed | Lost] = [*self._failed, *self._lost]
        return {
            "outcomes": {name: count for name, _, count in self._counts()},
            "bytes": self.bytes,
            "seconds": round(self.seconds, 3),
            "exit_status": self.exit_status,
            "ended_early": str(self.ending or self.left_because) or None,
            "troubles": [trouble.as_json() for trouble in told],
            "troubles_omitted": self.failed + self.lost - len(told),
            "bad_lines": [str(bad) for bad in self._bad_lines],
            "bad_lines_omitted": self.bad_lines - len(self._bad_lines),
            "unreadable_manifests": self.unreadable,
        }

    def lines(self) -> Iterator[str]:
        """Say what happened: a line of counts, then one for each thing that went wrong."""
        yield self._headline()
        if self.ending:
            yield f"ended early: {self.ending}"
        if self.left:
            why = f": {self.left_because}" if self.left_because else ""
            yield f"left for the next night: {self.left:,} not tried{why}"
        yield from self.not_understood
        yield from _capped(self._failed, self.failed)
        yield from _capped(self._lost, self.lost)

    def _counts(self) -> list[tuple[str, str, int]]:
        return [
            ("archived", "archived", self.archived),
            ("already_held", "already held", self.already_held),
            ("pending", "still being made", self.pending),
            ("failed", "failed", self.failed),
            ("lost", "lost", self.lost),
            ("known_lost", "known to be lost", self.known_lost),
            ("left", "left", self.left),
        ]

    def _headline(self) -> str:
        if self.would_ask is not None:
            return (
                f"would ask for {counted(self.would_ask, 'generation')}; "
                f"{self.already_held:,} already held, {self.known_lost:,} known to be lost"
            )
        parts = [f"{count:,} {label}" for _, label, count in self._counts() if count]
        said = ", ".join(parts) or "nothing to do"
        return f"{said}; {format_size(self.bytes)} in {format_duration(self.seconds)}"


def _keep(item: T, kept: list[T]) -> None:
    if len(kept) < KEPT_LIMIT:
        kept.append(item)


def _capped(kept: Sequence[object], total: int) -> Iterator[str]:
    yield from map(str, kept[:TOLD_LIMIT])
    if total > TOLD_LIMIT:
        yield f"… and {total - TOLD_LIMIT:,} more like these"
