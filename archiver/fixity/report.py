"""What an audit of an archive has found: findings, and the report that counts them."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from archiver.errors import ArchiverError
from archiver.run import Command, Run
from archiver.units import format_duration, format_size

TOLD_LIMIT = 20
KEPT_LIMIT = 100_000

Kind: TypeAlias = Literal["missing", "changed", "unreadable", "unexpected", "contradictory"]
"""missing: listed, and not there; changed: its checksum differs; unreadable: the disk fails;
unexpected: there, and not listed; contradictory: the records do not agree, or make no sense."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be."""

    kind: Kind
    path: str
    detail: str

    def __str__(self) -> str:
        return f"{self.kind} {self.path}: {self.detail}"


@dataclass(slots=True)
class FixityReport:
    """What was looked at and what was found; it owns the exit status."""

    listed: int = 0
    checked: int = 0
    bytes: int = 0
    seconds: float = 0.0
    findings: list[Finding] = field(default_factory=list)
    counts: Counter[Kind] = field(default_factory=Counter)
    mended: dict[str, str] = field(default_factory=dict)
    """Which paths are as they should be again, and how that came."""
    ending: ArchiverError | None = None
    """What ended the mending early, if anything did."""
    unmended: dict[str, str] = field(default_factory=dict)
    """Why a path could not be mended."""

    def add(self, finding: Finding) -> None:
        """Count a finding."""
        self.counts[finding.kind] += 1
        if len(self.findings) < KEPT_LIMIT:
            self.findings.append(finding)

    @property
    def exit_status(self) -> int:
        """0 if all that was looked at is as it should be, or is again; else 4, or worse."""
        if self.ending is not None:
            return self.ending.exit_status
        mended = sum(finding.path in self.mended for finding in self.findings)
        return 4 if sum(self.counts.values()) > mended else 0

    @property
    def noteworthy(self) -> bool:
        """Whether there is anything to be told; what was mended is: a disk may be failing."""
        return bool(self.exit_status or self.findings)

    @property
    def headline(self) -> str:
        """The counts, in a line."""
        found = ", ".join(f"{count:,} {kind}" for kind, count in self.counts.items())
        return (
            f"{self.checked:,} of {self.listed:,} files checked, {format_size(self.bytes)} in "
            f"{format_duration(self.seconds)}: {found or 'all as they should be'}"
        )

    def as_run(self, command: Command, began: datetime) -> Run:
        """Return what is to be remembered of the run that this tells of, which ends now."""
        counts = {"listed": self.listed, "checked": self.checked, "mended": len(self.mended)}
        return Run(
            command,
            began,
            datetime.now(UTC),
            self.exit_status,
            counts | {str(kind): count for kind, count in self.counts.items()},
            self.bytes,
            f"ended early: {self.ending}; {self.headline}" if self.ending else self.headline,
        )

    def lines(self) -> Iterator[str]:
        """Say what was found: a line of counts, then one for each finding."""
        yield self.headline
        if self.ending:
            yield f"ended early: {self.ending}"
        for finding in self.findings[:TOLD_LIMIT]:
            yield f"{finding}{self._sequel(finding.path)}"
        if len(self.findings) > TOLD_LIMIT:
            yield f"… and {sum(self.counts.values()) - TOLD_LIMIT:,} more like these (see --json)"

    def as_json(self) -> dict[str, object]:
        """Return the summary for `--json`."""
        return {
            "listed": self.listed,
            "checked": self.checked,
            "bytes": self.bytes,
            "seconds": round(self.seconds, 3),
            "exit_status": self.exit_status,
            "ended_early": str(self.ending) if self.ending else None,
            "counts": dict(self.counts),
            "findings": [
                {
                    "kind": f.kind,
                    "path": f.path,
                    "detail": f.detail,
                    "mended": f.path in self.mended,
                    "sequel": self.mended.get(f.path) or self.unmended.get(f.path),
                }
                for f in self.findings
            ],
            "findings_omitted": sum(self.counts.values()) - len(self.findings),
        }

    def _sequel(self, path: str) -> str:
        if how := self.mended.get(path):
            return f"; mended: {how}"
        if why := self.unmended.get(path):
            return f"; not mended: {why}"
        return ""
