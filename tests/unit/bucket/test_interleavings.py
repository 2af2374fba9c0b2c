"""Two runs around the taking over of a lease, in every order of their requests to the store."""

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from archiver.archive.checksum_manifest import ChecksumManifest, parse
from archiver.archive.layout import MANIFEST, Layout
from archiver.bucket.lease import acquire
from archiver.bucket.segment import SEGMENTS
from archiver.bucket.segments import Segments
from archiver.checksums import BagFile, Checksum
from archiver.errors import LeaseLost
from tests.support.interleaved import Interrupted, Turns, every_order
from tests.support.marks import ALL_STEPS
from tests.support.objects_in_memory import ObjectsInMemory

FIRST, SECOND, THIRD, OURS, ANEW = (
    BagFile(f"data/v6/deepfake/{name}.mp4", sha256 * 64, 1)
    for name, sha256 in (("1", "a"), ("2", "b"), ("3", "c"), ("4", "d"), ("1", "e"))
)
"""The last replaces the first."""


class SharedObjects(ObjectsInMemory):
    """A bucket in which each request waits for its turn; some responses are lost, once."""

    def __init__(self) -> None:
        super().__init__()
        self.turns = Turns()
        self.lost: set[str] = set()
        self.killed_at = -1

    def step(self, what: str, path: str) -> None:
        """Wait for the turn, and be killed if it is time."""
        self.turns.step()
        self.asked.append(f"{threading.current_thread().name}: {what} {path}")
        self.killed_at -= 1
        if self.killed_at == 0:
            raise Interrupted

    def loses(self, what: str, path: str) -> bool:
        """Return whether this is a response to be lost."""
        lost = {each for each in self.lost if path.endswith(each)}
        self.lost -= lost
        return bool(lost)

    def lines(self) -> set[Checksum]:
        """Return the lines of the manifest and of all segments."""
        written = [self.content(path) or b"" for path in (MANIFEST, *self.paths(SEGMENTS))]
        return {
            line for each in b"".join(written).splitlines(keepends=True) if (line := parse(each))
        }


class Run:
    """A run with a mirror of its own, which commits lines as an archive in a bucket does."""

    def __init__(self, world: "World") -> None:
        layout = Layout(world.directory / str(next(world.numbers)))
        layout.root.mkdir()
        self.manifest = ChecksumManifest(layout.manifest)
        self._world = world
        self._lease = acquire(world.objects, 0, 60)
        self._segments = Segments(world.objects, self._lease, layout)
        self.roll_up, self.end = self._segments.roll_up, self._segments.end
        self.release = self._lease.release

    def begin(self) -> None:
        """Fence the others."""
        self._segments.begin()
        self._world.fenced = True

    def commit(self, file: BagFile) -> None:
        """Write a file, then its line."""
        self._world.there.setdefault(file.path, file.sha256)
        self._segments.append([file])
        self.manifest.append([file])
        self._world.committed |= {Checksum(file.sha256, file.path)} - self._world.withdrawn

    def withdraw(self, file: BagFile) -> None:
        """Withdraw a line."""
        line = Checksum(file.sha256, file.path)
        self._world.withdrawn.add(line)
        self._world.committed.discard(line)  # from when it is asked for it may be gone
        self._segments.rewrite({file.path})

    def replace(self, file: BagFile, by: BagFile) -> None:
        """Withdraw the line of a file, then replace that: the line would be false from now on."""
        self.withdraw(file)
        self._world.there[file.path] = by.sha256
        self.commit(by)


class World:
    """A bucket, what its files are, and which lines were committed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.objects = SharedObjects()
        self.numbers = count()
        self.there: dict[str, str] = {}
        self.committed: set[Checksum] = set()
        self.withdrawn: set[Checksum] = set()
        self.fenced = False
        self._before: set[Checksum] = set()

    def look(self, name: str) -> None:
        """Make sure of what holds after every step."""
        lines = self.objects.lines()
        assert all(self.there[line.path] == line.sha256 for line in lines), (
            "a false line",
            "\n".join(self.objects.asked),
        )
        assert self.committed <= lines, ("a lost line", "\n".join(self.objects.asked))
        if name == "sleeper" and self.fenced:
            assert lines == self._before, ("changed by a fenced run", "\n".join(self.objects.asked))
        self._before = lines

    def take_turns(self, turns: Turns, **actors: Callable[[], None]) -> None:
        """Let runs work at once, in one order; only the sleeper may lose its lease."""
        self.objects.turns, self.fenced = turns, False
        ended = turns.run(actors, self.look)
        assert not ended["taker"], ended["taker"]
        if error := ended["sleeper"]:
            assert isinstance(error, LeaseLost), error


@pytest.fixture
def new_world(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], World]]:
    """Make worlds, quickly: nothing is flushed, and what is read is read one by one."""

    class OneByOne(ThreadPoolExecutor):
        map = staticmethod(map)  # type: ignore[assignment]

    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr("archiver.bucket.segment.ThreadPoolExecutor", OneByOne)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        numbers = count()

        def new() -> World:
            directory = Path(name) / str(next(numbers))
            directory.mkdir()
            return World(directory)

        yield new


def asleep(world: World, prepare: Callable[[Run], None]) -> Run:
    """Return a run whose lease is stale, though it does not know."""
    sleeper = Run(world)
    sleeper.begin()
    prepare(sleeper)
    world.objects.pass_seconds(120)
    return sleeper


def nothing(run: Run) -> None:
    pass


def one_segment(run: Run) -> None:
    run.commit(FIRST)


def rolled_up_and_one_more(run: Run) -> None:
    run.commit(SECOND)
    run.roll_up()
    run.commit(FIRST)


def empty_manifest(run: Run) -> None:
    run.roll_up()
    run.commit(FIRST)


def commits(run: Run) -> None:
    run.commit(THIRD)


def rolls_up(run: Run) -> None:
    run.roll_up()


def commits_and_rolls_up(run: Run) -> None:
    run.commit(THIRD)
    run.roll_up()


def withdraws(run: Run) -> None:
    run.withdraw(FIRST)


def ends(run: Run) -> None:
    run.end()


def takes_over(world: World) -> None:
    """Take the lease over, know all lines, replace a file and commit another."""
    run = Run(world)
    run.begin()
    known = set(run.manifest.lines())
    assert world.committed <= known
    if Checksum(FIRST.sha256, FIRST.path) in known:
        run.replace(FIRST, ANEW)
    run.commit(OURS)
    run.end()


def is_long_gone(world: World) -> None:
    """Take the lease over and end in order; a later run replaces a file."""
    run = Run(world)
    run.begin()
    run.end()
    run.release()
    takes_over(world)


PREPARED = [nothing, one_segment, rolled_up_and_one_more, empty_manifest]
WORK = [commits, rolls_up, commits_and_rolls_up, withdraws, ends]


FEW = [(work, 2) for work in WORK]
ALL = [(work, None) for work in (commits, rolls_up, withdraws)]
"""Where there are not too many: of the others those with a few more switches are tried."""
SOME = [(work, 3) for work in WORK if work is not ends]
MANY = [*ALL, (commits_and_rolls_up, 4), (ends, 4)] if ALL_STEPS else SOME


@pytest.mark.parametrize("prepare", PREPARED)
@pytest.mark.parametrize(
    ("work", "switches"), [*FEW, *(pytest.param(*each, marks=pytest.mark.slow) for each in MANY)]
)
@pytest.mark.timeout(900)
def test_no_order_of_two_runs_makes_a_false_line_or_loses_one(
    new_world: Callable[[], World],
    prepare: Callable[[Run], None],
    work: Callable[[Run], None],
    switches: int | None,
) -> None:
    """After the fence the sleeper changes no line; each line is true, and each committed there."""
    for turns in every_order(switches):
        world = new_world()
        sleeper = asleep(world, prepare)
        world.take_turns(turns, taker=partial(takes_over, world), sleeper=partial(work, sleeper))


LOST = [
    (nothing, one_segment, "-00000001.txt"),
    (one_segment, commits_and_rolls_up, "-00000002.txt"),
    (one_segment, commits_and_rolls_up, MANIFEST),
    (rolled_up_and_one_more, rolls_up, MANIFEST),
]


@pytest.mark.parametrize(("prepare", "work", "response"), LOST)
def test_a_lost_response_is_no_way_around_the_fence(
    new_world: Callable[[], World],
    prepare: Callable[[Run], None],
    work: Callable[[Run], None],
    response: str,
) -> None:
    """What the client sends again, as it saw no response, is a line once, true, or none."""
    for turns in every_order(switches=2):
        world = new_world()
        sleeper = asleep(world, prepare)
        world.objects.lost = {response}
        world.take_turns(turns, taker=partial(takes_over, world), sleeper=partial(work, sleeper))


@pytest.mark.parametrize("prepare", PREPARED)
@pytest.mark.parametrize("work", WORK)
def test_a_sleeper_may_wake_when_the_run_after_the_next_works(
    new_world: Callable[[], World], prepare: Callable[[Run], None], work: Callable[[Run], None]
) -> None:
    """What must not come back is remembered beyond the run that took over."""
    for turns in every_order(switches=1):
        world = new_world()
        sleeper = asleep(world, prepare)
        world.take_turns(turns, taker=partial(is_long_gone, world), sleeper=partial(work, sleeper))


@pytest.mark.parametrize("killed_at", range(3, 23))
@pytest.mark.parametrize("prepare", [nothing, rolled_up_and_one_more])
@pytest.mark.parametrize("work", [commits, pytest.param(withdraws, marks=pytest.mark.slow)])
def test_a_taker_that_is_killed_leaves_the_fence_to_the_next(
    new_world: Callable[[], World],
    prepare: Callable[[Run], None],
    work: Callable[[Run], None],
    killed_at: int,
) -> None:
    """Whoever takes over from the taker fences both, wherever it was killed."""
    for turns in every_order(switches=1):
        world = new_world()
        sleeper = asleep(world, prepare)
        world.objects.killed_at = killed_at
        with suppress(Interrupted):
            takes_over(world)
        world.objects.killed_at = -1
        world.objects.pass_seconds(120)
        world.take_turns(turns, taker=partial(takes_over, world), sleeper=partial(work, sleeper))
