"""Where an archive stands: what it holds and what it waits for, how its last runs went."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from archiver.archive.bag import HOUSEKEEPING, Bag
from archiver.archive.lock import holder
from archiver.catalogue.queries import Known, State, Tally
from archiver.catalogue.store import Catalogue
from archiver.errors import storage_errors
from archiver.run import Holdings, Run
from archiver.units import format_size

_SHOWN_RUNS = 5
_SHOWN = 20
_UNFINISHED: tuple[State, ...] = ("pending", "failed", "lost")


@dataclass(frozen=True, slots=True)
class Unfinished:
    """The generations in a state that is not the one we want, and the latest of them."""

    tally: Tally
    latest: Sequence[Known]


@dataclass(frozen=True, slots=True)
class Status:
    """Where an archive stands; times are in UTC, sizes in bytes."""

    archive: Path
    holdings: Holdings
    held: Tally
    unfinished: dict[State, Unfinished]
    runs: Sequence[Run]
    """The last of them first."""
    fixity: Run | None
    """The last audit."""
    running: str | None
    """The process that works in it now."""
    free: int
    size: int
    """How much of the disk is free, and how much there is."""

    def lines(self) -> Iterator[str]:
        """Say it to a person."""
        yield from _headed("archive", [str(self.archive.absolute())])
        yield from _headed("held", self._held())
        for state, unfinished in self.unfinished.items():
            yield from _headed(state, _count(unfinished.tally))
        yield from _headed("free", [f"{format_size(self.free)} of {format_size(self.size)}"])
        yield from _headed("running", [self.running] if self.running else [])
        yield from _headed("last audit", [_told(self.fixity)] if self.fixity else ["none yet"])
        yield from _headed("last runs", list(self._last_runs()) or ["none yet"])
        for state, unfinished in self.unfinished.items():
            if unfinished.latest:
                yield ""
                yield f"{state}:"
                yield from (f"  {told(known)}" for known in unfinished.latest)
                if more := unfinished.tally.count - len(unfinished.latest):
                    yield f"  … and {more:,} more (`archiver export` has them all)"

    def as_json(self) -> dict[str, object]:
        """Say it to a program."""
        return {
            "archive": str(self.archive.absolute()),
            "held": asdict(self.holdings) | {"first": self.held.first, "last": self.held.last},
            **{state: _unfinished_json(known) for state, known in self.unfinished.items()},
            "running": self.running,
            "last_audit": self.fixity and run_json(self.fixity),
            "last_runs": [run_json(run) for run in self.runs],
            "free_bytes": self.free,
            "disk_bytes": self.size,
        }

    def _last_runs(self) -> Iterator[str]:
        for number, run in enumerate(self.runs):
            yield _told(run, running=self.running is not None and number == 0)

    def _held(self) -> list[str]:
        holds = self.holdings
        if not holds.generations:
            return ["nothing yet"]
        return [
            f"{holds.generations:,} generations in {holds.files:,} files, "
            f"{format_size(holds.bytes)}",
            f"the first since {local(self.held.first)}, the last since {local(self.held.last)}",
        ]


def status(archive: Path) -> Status:
    """Return where an archive stands, also while a run works in it.

    Raises:
        NotAnArchive: if there is no archive.
        StorageError: if its records cannot be read.
    """
    bag = Bag(archive)
    bag.require()
    with storage_errors(f"looking at {archive}"):
        disk = shutil.disk_usage(archive)
    with closing(Catalogue.look(archive)) as catalogue:
        ask, history = catalogue.queries(), catalogue.history()
        runs = history.last(_SHOWN_RUNS)
        return Status(
            archive,
            ask.holdings(),
            ask.tally("held"),
            {s: Unfinished(ask.tally(s), ask.latest(s, _SHOWN)) for s in _UNFINISHED},
            runs,
            next((run for run in history.last(100, "verify", "repair") if _is_audit(run)), None),
            holder(archive / HOUSEKEEPING / "lock") if any(not run.ended for run in runs) else None,
            disk.free,
            disk.total,
        )


def told(known: Known) -> str:
    """Say of one generation what became of it, and where its files are."""
    name = known.generation.name
    match known.state:
        case None:
            return f"{name}  unknown: nothing is known of it in this archive"
        case "held":
            return f"{name}  held: {', '.join(file.path for file in known.files)}"
        case _:
            why = f": {known.reason}" if known.reason else ""
            return f"{name}  {known.state} since {local(known.since)}{why}"


def known_json(known: Known) -> dict[str, object]:
    """Say it to a program."""
    return {
        "generation": known.generation.name,
        "state": known.state or "unknown",
        "reason": known.reason,
        "since": known.since,
        "first_asked": known.first_asked,
        "asked": known.asked,
        "served_by": list(known.served_by),
        "files": [asdict(file) for file in known.files],
    }


def run_json(run: Run) -> dict[str, object]:
    """Say of one run to a program what came of it."""
    return {
        "command": run.command,
        "began": run.began.isoformat(),
        "ended": run.ended and run.ended.isoformat(),
        "exit_status": run.exit_status,
        "counts": dict(run.counts),
        "bytes": run.bytes,
        "summary": run.summary,
        "version": run.version,
    }


def local(moment: str | datetime | None) -> str:
    """Return a moment for people, in their time zone."""
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    return moment.astimezone().strftime("%Y-%m-%d %H:%M") if moment else "?"


def _is_audit(run: Run) -> bool:
    """Tell whether anything was read: where nothing was due, nothing is known."""
    return bool(run.counts.get("checked"))


def _headed(heading: str, lines: Sequence[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        yield f"{'' if number else heading:12}{line}"


def _count(tally: Tally) -> list[str]:
    if not tally.count:
        return ["0"]
    first, last = local(tally.first), local(tally.last)
    return [f"{tally.count:,}, since {first}" + (f" to {last}" if last != first else "")]


def _told(run: Run, *, running: bool = False) -> str:
    if run.ended is None:
        what = "it is running" if running else "it was killed, or the machine stopped"
        return f"{local(run.began)}  {run.command}: no end: {what}"
    return f"{local(run.began)}  {run.command}, exit status {run.exit_status}: {run.summary}"


def _unfinished_json(unfinished: Unfinished) -> dict[str, object]:
    return asdict(unfinished.tally) | {"latest": [known_json(k) for k in unfinished.latest]}
