"""The report of a fixity check: what was found, what was repaired, and the exit status."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from archiver.errors import ArchiverError
from archiver.run import Command, Completed, Ended, Run, Stopped
from archiver.units import capped, format_duration, format_size

KEPT_LIMIT = 100_000
"""At most this many findings are kept; the rest is counted."""

Kind: TypeAlias = Literal[
    "missing", "changed", "unreadable", "unverified", "unexpected", "contradictory"
]
"""missing: listed, and not there; changed: its checksum differs; unreadable: the disk or the store
fails, or it is no file; unverified: the store has no checksum of it, and it was not read;
unexpected: there, and not listed; contradictory: the records disagree, or make no sense."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be."""

    kind: Kind
    path: str
    detail: str

    def __str__(self) -> str:
        return f"{self.kind} {self.path}: {self.detail}"


@dataclass(slots=True)
class Findings:
    """Findings, counted; the first ones are kept."""

    kept: list[Finding] = field(default_factory=list)
    counts: Counter[Kind] = field(default_factory=Counter)

    def add(self, finding: Finding) -> None:
        """Count a finding."""
        self.counts[finding.kind] += 1
        if len(self.kept) < KEPT_LIMIT:
            self.kept.append(finding)

    def extend(self, findings: Iterable[Finding]) -> None:
        """Count findings."""
        for finding in findings:
            self.add(finding)

    def paths(self, *kinds: Kind) -> list[str]:
        """Return the paths of the findings of these kinds, each once."""
        return list(dict.fromkeys(f.path for f in self.kept if f.kind in kinds))

    @property
    def total(self) -> int:
        """How many there are."""
        return self.counts.total()


@dataclass(slots=True)
class Repairs:
    """What a repair did: by path how it was repaired, or why not."""

    done: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def result(self, path: str) -> str:
        """Describe what came of a path; "" if nothing was tried."""
        if how := self.done.get(path):
            return f"repaired: {how}"
        return f"not repaired: {why}" if (why := self.failed.get(path)) else ""


@dataclass(frozen=True, slots=True)
class Audit:
    """What was looked at, and what was found."""

    listed: int = 0
    """How many files the checksum manifest lists."""
    read: int = 0
    """How many of them were read."""
    reported: int = 0
    """Of how many others the store has reported a checksum, or that they are not there."""
    bytes: int = 0
    """How many were read."""
    findings: Findings = field(default_factory=Findings)

    @property
    def checked(self) -> int:
        """How many files were checked, one way or the other."""
        return self.read + self.reported

    def __str__(self) -> str:
        """How many files were checked, and how."""
        checked, size = (
            f"{self.checked:,} of {self.listed:,} files checked",
            format_size(self.bytes),
        )
        if not self.reported:
            return f"{checked}, {size}"
        if not self.read:
            return f"{checked} by what the store reports, none read back,"
        return f"{checked}, {self.reported:,} by what the store reports, {self.read:,} read: {size}"


@dataclass(frozen=True, slots=True)
class FixityReport:
    """What a fixity check or a repair found and did, and its exit status."""

    command: Command
    began: datetime
    """In UTC, as `finished` is."""
    finished: datetime
    ended: Ended = field(default_factory=Completed)
    audit: Audit = field(default_factory=Audit)
    repairs: Repairs = field(default_factory=Repairs)

    @classmethod
    def failed_to_begin(
        cls, command: Command, began: datetime, error: ArchiverError
    ) -> "FixityReport":
        """Return the report of a run that an error kept from beginning."""
        return cls(command, began, datetime.now(UTC), Stopped(error, begun=False))

    @property
    def findings(self) -> list[Finding]:
        """The findings, the first 100,000 of them."""
        return self.audit.findings.kept

    @property
    def exit_status(self) -> int:
        """0 if all that was looked at is as it should be, or is again; else 4, or worse."""
        if isinstance(self.ended, Stopped):
            return self.ended.error.exit_status
        repaired = sum(finding.path in self.repairs.done for finding in self.findings)
        return 4 if self.audit.findings.total > repaired else 0

    @property
    def noteworthy(self) -> bool:
        """Whether a person should see it; also what was repaired: a disk may be failing."""
        return bool(self.exit_status or self.findings)

    @property
    def seconds(self) -> float:
        """How long the run took."""
        return (self.finished - self.began).total_seconds()

    @property
    def run(self) -> Run:
        """What is remembered of the run."""
        audit = self.audit
        counts = {
            "listed": audit.listed,
            "checked": audit.checked,
            "repaired": len(self.repairs.done),
        }
        if audit.reported:
            counts |= {"read": audit.read, "reported": audit.reported}
        return Run(
            self.command,
            self.began,
            self.finished,
            self.exit_status,
            counts | {str(kind): count for kind, count in audit.findings.counts.items()},
            audit.bytes,
            "; ".join([*self._stopped(), *self._headline()]),
        )

    def lines(self) -> Iterator[str]:
        """Describe what was found: a line of counts, then one for each finding."""
        yield from self._headline()
        yield from self._stopped()
        yield from capped(map(self._described, self.findings), self.audit.findings.total)

    def as_json(self) -> dict[str, object]:
        """Return the report for `--json`."""
        audit = self.audit
        return {
            "listed": audit.listed,
            "checked": audit.checked,
            "read": audit.read,
            "reported": audit.reported,
            "bytes": audit.bytes,
            "seconds": round(self.seconds, 3),
            "exit_status": self.exit_status,
            "ended_early": str(self.ended.error) if isinstance(self.ended, Stopped) else None,
            "counts": dict(audit.findings.counts),
            "findings": [
                {
                    "kind": f.kind,
                    "path": f.path,
                    "detail": f.detail,
                    "repaired": f.path in self.repairs.done,
                    "result": self.repairs.done.get(f.path) or self.repairs.failed.get(f.path),
                }
                for f in self.findings
            ],
            "findings_omitted": audit.findings.total - len(self.findings),
        }

    def _described(self, finding: Finding) -> str:
        result = self.repairs.result(finding.path)
        return f"{finding}; {result}" if result else str(finding)

    def _headline(self) -> Iterator[str]:
        """Yield the counts in a line; a run that did not begin has none."""
        if isinstance(self.ended, Stopped) and not self.ended.begun:
            return
        audit = self.audit
        found = [f"{count:,} {kind}" for kind, count in audit.findings.counts.items()]
        if self.repairs.done:
            found.append(f"{len(self.repairs.done):,} repaired")
        errors = ", ".join(found) or "no errors found"
        yield f"{audit} in {format_duration(self.seconds)}: {errors}"

    def _stopped(self) -> Iterator[str]:
        if isinstance(self.ended, Stopped):
            yield str(self.ended)
