"""Parts: what the records of each archive say, and whether together they are the whole set."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from archiver.archive import shard_mark, tags
from archiver.archive.bag import Bag
from archiver.archive.layout import Layout
from archiver.archive.lock import holder
from archiver.catalogue.history import History
from archiver.catalogue.queries import State
from archiver.catalogue.store import Catalogue
from archiver.errors import ArchiveLocked, NotAnArchive, storage_errors
from archiver.run import Command, Run
from archiver.shards import Shard
from archiver.units import SHOWN_LIMIT, counted

UNFINISHED: tuple[State, ...] = ("pending", "failed", "lost")
_INCOMPLETE = 3
_OF_ONE_KIND: tuple[tuple[Command, ...], ...] = (("backup",), ("verify", "repair"))


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that a person should know, in one line, and what it does to the exit status."""

    text: str
    exit_status: int = _INCOMPLETE

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Part:
    """One archive of those that are merged: what its records say. `bytes` is None if unknown."""

    archive: Path
    shard: Shard | None = None
    bytes: int | None = None
    states: Mapping[State, int] = field(default_factory=dict)
    """How many generations are not held, by why."""
    runs: Sequence[Run] = ()
    """Its last backup, and its last verify or repair, as far as there were any."""
    running: str | None = None
    """The process that holds it now."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with its last runs."""
        for run in self.runs:
            if run.ended is None and self.running:
                text = f"{run.command} is in progress, {self.running}: merge again after it"
                yield Problem(f"{self.archive}: {text}", ArchiveLocked.exit_status)
            elif run.ended is None:
                text = f"its last {run.command} has no end: it was killed, or is on another machine"
                yield Problem(f"{self.archive}: {text}")
            elif run.exit_status:
                text = f"{run.command}, exit status {run.exit_status}: {run.summary}"
                yield Problem(f"{self.archive}: {text}", run.exit_status)


def look(archive: Path) -> Part:
    """Return what the records of an archive say.

    Raises:
        NotAnArchive: if it is none.
        StorageError: if they cannot be read.
    """
    bag = Bag(archive)
    bag.require()
    shard, size = shard_mark.marked(bag.layout), _declared_bytes(bag.layout)
    catalogue = Catalogue.open_to_read(bag.layout.catalogue)
    if catalogue is None:  # it was copied, or its history is lost: the checksum manifest serves
        return Part(archive, shard, size)
    with closing(catalogue):
        states = {state: catalogue.queries.tally(state).count for state in UNFINISHED}
        runs = (_last(catalogue.history, commands) for commands in _OF_ONE_KIND)
        found = tuple(filter(None, runs))
        size, running = catalogue.queries.holdings().bytes, holder(bag.layout.lock)
    return Part(archive, shard, size, states, found, running)


def _declared_bytes(layout: Layout) -> int | None:
    with storage_errors(f"reading {layout.info}"):
        declared = [oxum.partition(".")[0] for oxum in tags.payload_oxums(layout)]
    return int(declared[0]) if declared and declared[0].isdecimal() else None


def _last(history: History, commands: tuple[Command, ...]) -> Run | None:
    """Return the last run that did anything: one that found the archive locked did nothing."""
    runs = history.last(100, *commands)
    did = (run for run in runs if run.exit_status != ArchiveLocked.exit_status)
    return next(did, runs[0] if runs else None)


def without_repeats(archives: Iterable[Path]) -> tuple[list[Path], list[Problem]]:
    """Return the archives, each once, and a problem for each that was given again."""
    found: dict[Path, Path] = {}
    repeated = []
    for archive in archives:
        if same := found.get(place := archive.resolve()):
            text = f"{archive} is given twice" + (f", also as {same}" if same != archive else "")
            repeated.append(Problem(f"{text}: it counts once", NotAnArchive.exit_status))
        else:
            found[place] = archive
    return list(found.values()), repeated


def set_problems(parts: Sequence[Part], of: int | None = None) -> Iterator[Problem]:
    """Yield what is wrong with the archives as a set of shards, `of` as many if that is known.

    Archives of which none is a shard's are no set: nothing can be missing.
    """
    marked = [(part.shard, part) for part in parts if part.shard]
    counts = {shard.of for shard, _ in marked} | ({of} if of else set())
    if not counts:
        return
    for part in parts:
        if part.shard is None:
            yield Problem(f"{part.archive} is the archive of no shard")
    if len(counts) > 1:
        sizes = ", ".join(str(count) for count in sorted(counts))
        yield Problem(f"these are not shards of one set: they are of {sizes}")
    by_shard: dict[Shard, Part] = {}
    for shard, part in marked:
        if (other := by_shard.setdefault(shard, part)) is not part:
            yield Problem(f"{other.archive} and {part.archive} are both of shard {shard}")
    if len(counts) == 1:
        yield from _missing({shard.number for shard in by_shard}, counts.pop())


def _missing(there: set[int], of: int) -> Iterator[Problem]:
    missing = [number for number in range(of) if number not in there]
    if missing:
        shown = ", ".join(map(str, missing[:SHOWN_LIMIT]))
        more = f" and {len(missing) - SHOWN_LIMIT:,} more" if len(missing) > SHOWN_LIMIT else ""
        verb = "is" if len(missing) == 1 else "are"
        yield Problem(f"{counted(len(missing), 'shard')} of {of:,} {verb} missing: {shown}{more}")
