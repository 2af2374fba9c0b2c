"""Outcomes: what became of each generation in a run."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from archiver.generation import Generation
from archiver.outputs import Role


@dataclass(frozen=True, slots=True)
class LinkFault:
    """Why a link did not give its payload."""

    role: Role
    link: str
    """Without its query, which may be a signature."""
    reason: str
    status: int = 0
    """The HTTP status, where there was one."""
    transient: bool = False
    """Another try may succeed."""
    pause: float | None = None
    """For how many seconds the host is to be left alone, where it asks for that."""
    no_space: bool = False
    """The payload does not fit on the disk: where it has a `pause`, it may fit after that."""

    @property
    def gone(self) -> bool:
        """Whether the host has nothing there any more: 404, 410."""
        return self.status in (404, 410)

    @property
    def forbidden(self) -> bool:
        """Whether the host refuses it, 403: the link has expired, or we are blocked."""
        return self.status == 403

    def __str__(self) -> str:
        return f"{self.role} {self.link}: {self.reason}"


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
        return f"pending {self.generation}: still processing"

    @property
    def trouble(self) -> "Trouble":
        """What is counted over many runs."""
        return "processing"


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Its download had begun and was not finished when the run ended: no failure by itself."""

    generation: Generation

    def __str__(self) -> str:
        return f"unfinished {self.generation}: the run ended before its download did"

    @property
    def trouble(self) -> "Trouble":
        """What is counted over many runs."""
        return "unfinished"


@dataclass(frozen=True, slots=True)
class Duplicate:
    """What the manifests list under an assumed family is `known_as` another generation."""

    generation: Generation
    known_as: Generation

    def __str__(self) -> str:
        return f"{self.generation} is {self.known_as}"


@dataclass(frozen=True, slots=True)
class DeadLinks:
    """Nobody but ModelsLab's own listing names it, and its links are dead: no loss of ours."""

    generation: Generation
    paths: tuple[str, ...]
    """The paths of the links that are listed."""

    def __str__(self) -> str:
        return f"{self.generation}: listed by ModelsLab alone, and its links are dead"


@dataclass(frozen=True, slots=True)
class Lost:
    """It cannot be archived any more: remembered, and not asked for again."""

    generation: Generation
    reason: str
    faults: tuple[LinkFault, ...] = ()

    def __str__(self) -> str:
        return f"lost {self.generation}: {self.why}"

    @property
    def why(self) -> str:
        """The reason and the fault of each link, in one line."""
        return _why(self.reason, self.faults)


@dataclass(frozen=True, slots=True)
class Failed:
    """It could not be archived on this run; the next run tries again."""

    generation: Generation
    reason: str
    faults: tuple[LinkFault, ...] = ()
    trouble: "Trouble | None" = None
    """What is counted over many runs, if anything is."""

    def __str__(self) -> str:
        return f"failed {self.generation}: {self.why}"

    @property
    def why(self) -> str:
        """The reason and the fault of each link, in one line."""
        return _why(self.reason, self.faults)

    @property
    def no_space(self) -> bool:
        """Whether it does not fit on the disk."""
        return any(fault.no_space for fault in self.faults)

    @property
    def forbidden(self) -> bool:
        """Whether a link may serve somebody else: a block can be lifted."""
        return any(fault.forbidden for fault in self.faults)


Outcome: TypeAlias = Archived | Pending | Unfinished | Duplicate | DeadLinks | Lost | Failed
"""How a generation that was worked on ends. Those already held, known to be lost or skipped are
counted in the report: a million of them are not a million values."""

Trouble: TypeAlias = Literal["hopeless", "processing", "unfinished"]
"""What may last for many runs: nothing promises that it will ever be there, ModelsLab is still
making it, or its download had begun when the run ended."""


@dataclass(frozen=True, slots=True)
class Streak:
    """The runs in a row on which a generation had the same trouble."""

    trouble: Trouble
    runs: int = 1
    seconds: int = 0
    """Over how long, as far as the clocks of these runs can be trusted."""


@dataclass(frozen=True, slots=True)
class Worklist:
    """What the manifests amount to; each generation counts once."""

    already_held: int = 0
    known_lost: int = 0
    to_fetch: int = 0
    unreported: tuple[Lost, ...] = ()
    """What an earlier run found lost, and did not live to report."""


def _why(reason: str, faults: tuple[LinkFault, ...]) -> str:
    return f"{reason}: {'; '.join(map(str, faults))}" if faults else reason
