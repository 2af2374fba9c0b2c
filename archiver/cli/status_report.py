"""Where an archive stands: what it holds and what not, how its last runs ended."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from archiver.archive.lock import holder
from archiver.archive.store import Holder, Store
from archiver.catalogue.history import History
from archiver.catalogue.queries import HeldFile, Known, Queries, State, Tally
from archiver.errors import storage_errors
from archiver.location import Location, absolute
from archiver.manifest.sources import Manifests
from archiver.pipeline.indexing import opened_to_read
from archiver.run import WRITING, Holdings, Run
from archiver.stores import layout_of
from archiver.units import counted, format_duration, format_size, printable

_SHOWN_RUNS = 5
_SHOWN_GENERATIONS = 20
_SHOWN_CHARACTERS = 300
_UNFINISHED: tuple[State, ...] = ("pending", "failed", "lost")
FOUND: dict[State, str] = {
    "held": "archived", "pending": "pending", "failed": "failed", "lost": "lost",
}  # fmt: skip
"""What a run has made of a generation that is in a state since then."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """How many generations are pending, failed or lost, and the latest of them."""

    tally: Tally
    latest: Sequence[Known]


@dataclass(frozen=True, slots=True)
class Here:
    """What is on this machine of an archive in a bucket, and which run holds the lease."""

    state: Path
    """The directory of the catalogue, which is this machine's own."""
    holder: Holder | None

    @property
    def killed(self) -> str | None:
        """Which run has left a lease that it cannot renew any more."""
        if not self.holder or self.holder.alive:
            return None
        return f"a run was killed ({_renewed(self.holder)}): the next one takes over"

    def as_json(self) -> dict[str, object]:
        """Return it for `--json`."""
        return {"state_dir": str(self.state), "lease": self.holder and asdict(self.holder)}


@dataclass(frozen=True, slots=True)
class Status:
    """Where an archive stands; times are in UTC, sizes in bytes."""

    archive: Location
    holdings: Holdings
    held: Tally
    unfinished: dict[State, Unfinished]
    runs: Sequence[Run]
    """The last runs, the latest first."""
    fixity: Run | None
    """The last verify or repair that read any file."""
    running: str | None
    """The process that holds the archive now."""
    disk_free: int
    disk_size: int
    here: Here | None = None
    """Of an archive in a bucket; the disk is then that of the state directory."""

    def lines(self) -> Iterator[str]:
        """Describe it for a person."""
        yield from _headed("archive", [absolute(self.archive)])
        yield from _headed("held", self._held())
        for state, unfinished in self.unfinished.items():
            yield from _headed(state, [_count(unfinished.tally)])
        free, size = format_size(self.disk_free), format_size(self.disk_size)
        if self.here:
            yield from _headed("records", [f"{self.here.state}, {free} of {size} free"])
        else:
            yield from _headed("disk free", [f"{free} of {size}"])
        yield from _headed("running", [self.running] if self.running else [])
        if self.here and self.here.killed:
            yield from _headed("lease", [self.here.killed])
        none = f"none yet{' on this machine' if self.here else ''}"
        yield from _headed("fixity", [described_run(self.fixity)] if self.fixity else [none])
        yield from _headed("last runs", list(self._last_runs()) or [none])
        for state, unfinished in self.unfinished.items():
            yield from _latest(state, unfinished)

    def as_json(self) -> dict[str, object]:
        """Return it for `--json`."""
        return {
            "archive": absolute(self.archive),
            "held": asdict(self.holdings) | {"first": self.held.first, "last": self.held.last},
            **{state: _unfinished_json(known) for state, known in self.unfinished.items()},
            "running": self.running,
            "fixity": self.fixity and self.fixity.as_json(),
            "last_runs": [run.as_json() for run in self.runs],
            **self._disk_json(),
        }

    def _disk_json(self) -> dict[str, object]:
        if not self.here:
            return {"disk_free_bytes": self.disk_free, "disk_bytes": self.disk_size}
        disk = {"state_disk_free_bytes": self.disk_free, "state_disk_bytes": self.disk_size}
        return {"disk_free_bytes": None, "disk_bytes": None, **disk, **self.here.as_json()}

    def _held(self) -> list[str]:
        holds = self.holdings
        if not holds.generations:
            return ["nothing yet"]
        generations, files = counted(holds.generations, "generation"), counted(holds.files, "file")
        return [
            f"{generations} in {files}, {format_size(holds.bytes)}",
            _since(self.held),
        ]

    def _last_runs(self) -> Iterator[str]:
        open_runs = [run for run in self.runs if not run.ended]
        running = open_runs[0] if open_runs and self.running else None
        for run in self.runs:
            yield described_run(run, running=run is running)


def look(archive: Location) -> Status:
    """Return where an archive stands, also while a run holds it.

    Raises:
        NotAnArchive: if there is no archive.
        StorageError: if its records cannot be read.
    """
    with opened_to_read(archive) as (store, catalogue):
        queries, history = catalogue.queries, catalogue.history
        runs = history.last(_SHOWN_RUNS)
        here = Here(store.layout.root, store.holder()) if store.is_shared else None
        return Status(
            archive,
            queries.holdings(),
            queries.tally("held"),
            {state: _unfinished(queries, state) for state in _UNFINISHED},
            runs,
            _last_fixity_run(history),
            _running(store, history, here),
            *_space(store),
            here,
        )


def _running(store: Store, history: History, here: Here | None) -> str | None:
    """Return the process that holds the archive: on this machine, or as the lease says."""
    if process := holder(store.layout.lock) if _open_run(history) else None:
        return process
    return _renewed(here.holder) if here and here.holder and here.holder.alive else None


def _renewed(holder: Holder) -> str:
    return f"{holder.name}; its lease was renewed {format_duration(holder.renewed)} ago"


def _space(store: Store) -> tuple[int, int]:
    """Return how many bytes are free on the disk here, and its size."""
    root = store.layout.root
    with storage_errors(f"looking at {root}"):
        disk = shutil.disk_usage(root)
    return disk.free, disk.total


@dataclass(frozen=True, slots=True)
class Running:
    """How far the run is that holds an archive; sizes are in bytes."""

    process: str
    run: Run | None
    """None while it begins or ends, and of a run on another machine."""
    holdings: Holdings
    found: dict[State, int]
    """How many generations the run has found in each state."""
    unfinished: int
    """How many downloads have partial files, of this run or of an earlier one."""
    unfinished_bytes: int
    elsewhere: bool = False
    """Whether it runs on another machine: what it has found is known there."""

    @property
    def name(self) -> str:
        """The command that runs."""
        if self.elsewhere:
            return "a run on another machine"
        return self.run.command if self.run else "a run"

    @property
    def counts(self) -> str:
        """What came of it until now, in words as those of a report.

        What a sync copies is held for as long as in its source: that says nothing of this run.
        """
        if self.elsewhere:
            return self.process
        if not self.run:
            return "begins or ends"
        if self.run.command == "sync":
            return "copying"
        some = [f"{count:,} {FOUND[state]}" for state, count in self.found.items() if count]
        return ", ".join(some) or "nothing yet"


def follow(archive: Location) -> Running | None:
    """Return how far the run is that holds an archive, without the lock; None if none does.

    Raises:
        NotAnArchive: if there is no archive.
        StorageError: if its records cannot be read.
    """
    process = holder(layout_of(archive).lock)
    if not process and isinstance(archive, Path):
        return None
    with opened_to_read(archive) as (store, catalogue):
        queries = catalogue.queries
        if not process:
            return _elsewhere(store, queries)
        run = _open_run(catalogue.history)
        found = {state: queries.changed(state, run.began) if run else 0 for state in FOUND}
        sizes = _unfinished_sizes(store)
        return Running(process, run, queries.holdings(), found, len(sizes), sum(sizes))


def _elsewhere(store: Store, queries: Queries) -> Running | None:
    """Return how far a run on another machine is, as far as the bucket shows it."""
    found = store.holder()
    if not found or not found.alive:
        return None
    return Running(found.name, None, queries.holdings(), {}, 0, 0, elsewhere=True)


def _unfinished_sizes(store: Store) -> list[int]:
    """Return the sizes of what is staged, or will be; files come and go meanwhile."""
    sizes = []
    for directory, _, names in os.walk(store.layout.incoming):
        for name in names:
            if not name.endswith(".json"):
                with suppress(OSError):
                    sizes.append(Path(directory, name).stat().st_size)
    return sizes


def states(archive: Location, manifests: Manifests) -> Iterator[Known]:
    """Yield what is known of each generation that the manifests list.

    Raises:
        NotAnArchive: if there is no archive.
        ManifestUnreadable: if no manifest can be read.
        StorageError: if the archive's records cannot be read.
    """
    manifests.check()
    with opened_to_read(archive) as (_, catalogue):
        for ids in manifests.entries():
            yield from map(catalogue.queries.of, ids.generations())
    manifests.check()


def described(known: Known) -> str:
    """Describe the state of a generation, and where its files are, in one line."""
    name = known.generation.name
    match known.state:
        case None:
            return f"{name}  unknown: it is not in this archive's catalogue"
        case "held":
            return f"{name}  held: {', '.join(map(_described_file, known.files))}"
        case _:
            why = f": {known.reason}" if known.reason else ""
            return f"{name}  {known.state} since {local(known.since)}{why}"


def details(known: Known) -> Iterator[str]:
    """Describe what is said of a generation, a line each; a long prompt is shortened."""
    said = known.metadata
    frame = f"{said.width or '?'} x {said.height or '?'}" if said.width or said.height else None
    seconds = f"{said.duration:g} s" if said.duration else None
    described = {
        "prompt": said.prompt,
        "negative prompt": said.negative_prompt,
        "model": said.model,
        "seed": said.seed,
        "requested": ", ".join(filter(None, (frame, seconds))),
        "track ID": said.track_id,
        "created": said.created and local(said.created),
    }
    for name, value in described.items():
        if value:
            shown = printable(" ".join(value.split()))
            rest = "…" if len(shown) > _SHOWN_CHARACTERS else ""
            yield f"  {name:17}{shown[:_SHOWN_CHARACTERS]}{rest}"


def _described_file(file: HeldFile) -> str:
    """Return where a file is, and what the video says of itself."""
    said = file.properties
    parts = (
        said.duration and f"{said.duration:.1f} s",
        said.width and said.height and f"{said.width} x {said.height}",
        said.frame_rate and f"{said.frame_rate:g} frames/s",
        said.video_codec,
        said.audio_codec,
    )
    described = ", ".join(part for part in parts if part)
    return f"{file.path} ({described})" if described else file.path


def described_run(run: Run, *, running: bool = False) -> str:
    """Describe a run in one line."""
    if run.ended is None:
        what = "in progress" if running else "no end: it was killed, or the machine stopped"
        return f"{local(run.began)}  {run.command}, {what}"
    return f"{local(run.began)}  {run.command}, exit status {run.exit_status}: {run.summary}"


def known_json(known: Known) -> dict[str, object]:
    """Return the state of a generation for `--json`."""
    return {
        "generation": known.generation.name,
        "state": known.state or "unknown",
        "reason": known.reason,
        "since": known.since,
        "first_checked": known.first_checked,
        "checked": known.checked,
        "served_by": list(known.served_by),
        "metadata": asdict(known.metadata),
        "files": [asdict(file) for file in known.files],
    }


def local(moment: str | datetime | None) -> str:
    """Return a moment in the time zone of the user."""
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    return moment.astimezone().strftime("%Y-%m-%d %H:%M") if moment else "?"


def _unfinished(queries: Queries, state: State) -> Unfinished:
    return Unfinished(queries.tally(state), queries.latest(state, _SHOWN_GENERATIONS))


def _last_fixity_run(history: History) -> Run | None:
    """Return the last run that read any file: where none was due, nothing was learnt."""
    runs = history.last(100, "verify", "repair")
    return next((run for run in runs if run.counts.get("checked")), None)


def _open_run(history: History) -> Run | None:
    """Return the run that may be in progress; runs that found the archive locked came later."""
    runs = history.last(100, *WRITING)
    return next((run for run in runs if not run.ended), None)


def _headed(heading: str, lines: Sequence[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        yield f"{'' if number else heading:12}{line}"


def _count(tally: Tally) -> str:
    if not tally.count:
        return "0"
    return f"{tally.count:,}, {_since(tally)}"


def _since(tally: Tally) -> str:
    first, last = local(tally.first), local(tally.last)
    return f"since {first}" if first == last else f"the first since {first}, the last since {last}"


def _latest(state: State, unfinished: Unfinished) -> Iterator[str]:
    if not unfinished.latest:
        return
    yield ""
    yield f"{state}:"
    for known in unfinished.latest:
        yield f"  {described(known)}"
    if more := unfinished.tally.count - len(unfinished.latest):
        yield f"  … and {more:,} more (`archiver export` lists them all)"


def _unfinished_json(unfinished: Unfinished) -> dict[str, object]:
    latest = [known_json(known) for known in unfinished.latest]
    return asdict(unfinished.tally) | {"latest": latest}
