"""What is asked about next: the night's list, and what is still being made."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.generation import Generation
from archiver.pipeline import scheduler as scheduler_module
from archiver.pipeline.scheduler import Scheduler, Turn

Row = tuple[Generation, bool]


class Clock:
    """A monotonic clock that stands still until it is put forward."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("archiver.pipeline.scheduler.time.monotonic", clock)
    return clock


def listing(*rows: tuple[str, bool]) -> Callable[[int], list[Row]]:
    """The night's list, given out as the catalogue does: so many at a time, then none."""
    left = iter([(Generation("v6/deepfake", id_), first) for id_, first in rows])
    return lambda limit: list(islice(left, limit))


async def upcoming(scheduler: Scheduler) -> Turn:
    turn = await asyncio.wait_for(scheduler.next(), 20)
    assert turn is not None
    return turn


async def the_end(scheduler: Scheduler) -> bool:
    return await asyncio.wait_for(scheduler.next(), 20) is None


async def waiting(scheduler: Scheduler) -> "asyncio.Task[Turn | None]":
    """Somebody who waits for a turn, and has begun to."""
    task = asyncio.create_task(scheduler.next())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()
    return task


async def test_the_list_is_handed_out_in_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """However it is cut into pieces, each generation has one turn, and then there are none."""
    monkeypatch.setattr(scheduler_module, "_TAKE", 2)
    scheduler = Scheduler(listing(*((str(n), True) for n in range(5))), wait=0)
    turns = [await upcoming(scheduler) for _ in range(5)]
    assert [turn.generation.id for turn in turns] == list("01234")
    assert all(turn.asked == 0 for turn in turns)
    for _ in turns:
        scheduler.done()
    assert await the_end(scheduler)


async def test_an_empty_list_is_the_end() -> None:
    """Where nothing is to be asked, nobody waits."""
    assert await the_end(Scheduler(listing(), wait=900))


async def test_what_is_refused_again_and_again_comes_after_the_others(clock: Clock) -> None:
    """It waits twice as long each time, and is tried once more at the end of the time there is."""
    scheduler = Scheduler(listing(("a", True), ("b", True)), wait=100)
    refused, other = await upcoming(scheduler), await upcoming(scheduler)
    assert scheduler.put_off(refused, 30, refused=True)
    clock.now += 30
    refused = await upcoming(scheduler)
    assert scheduler.put_off(refused, 30, refused=True)
    assert scheduler.put_off(other, 30, refused=False)
    clock.now += 30
    assert (await upcoming(scheduler)).generation == other.generation
    scheduler.done()
    clock.now += 30
    refused = await upcoming(scheduler)
    assert scheduler.put_off(refused, 10, refused=True)
    clock.now += 10
    assert await upcoming(scheduler) == replace(refused, refused=3)
    assert not scheduler.put_off(refused, 10, refused=True)
    assert await the_end(scheduler)


async def test_new_ones_come_before_polls_and_polls_before_old_troubles(clock: Clock) -> None:
    """Links of what was never tried may die tonight; old troubles have waited before."""
    scheduler = Scheduler(
        listing(("a", True), ("b", True), ("old", False), ("older", False)), wait=900
    )
    assert scheduler.again(await upcoming(scheduler), eta=5)
    clock.now += 60
    order = []
    for _ in range(4):
        order.append((await upcoming(scheduler)).generation.id)
        scheduler.done()
    assert order == ["b", "a", "old", "older"]


async def test_what_is_not_due_does_not_hold_up_old_troubles(clock: Clock) -> None:
    """Until a poll is due, the list goes on."""
    scheduler = Scheduler(listing(("a", True), ("old", False)), wait=900)
    scheduler.again(await upcoming(scheduler), eta=30)
    assert (await upcoming(scheduler)).generation.id == "old"


async def test_polls_come_in_the_order_in_which_they_are_due(clock: Clock) -> None:
    """The provider's guess decides, not the order on the list."""
    scheduler = Scheduler(listing(("slow", True), ("quick", True), ("middling", True)), wait=900)
    turns = [await upcoming(scheduler) for _ in range(3)]
    for turn, eta in zip(turns, (50, 10, 30), strict=True):
        assert scheduler.again(turn, eta)
    clock.now += 60
    assert [(await upcoming(scheduler)).generation.id for _ in range(3)] == [
        "quick", "middling", "slow",
    ]  # fmt: skip


async def test_without_patience_nothing_comes_again() -> None:
    """`--wait 0` leaves what is being made for the next night."""
    scheduler = Scheduler(listing(("a", True)), wait=0)
    assert not scheduler.again(await upcoming(scheduler), eta=1)
    assert scheduler.in_the_making() == []
    assert await the_end(scheduler)


async def polled(clock: Clock, wait: float, eta: float | None, asking: float = 0) -> list[float]:
    """When, in seconds from the first response, one generation that is never ready is polled."""
    scheduler = Scheduler(listing(("a", True)), wait)
    turn, first, asked = await upcoming(scheduler), clock.now, []
    while scheduler.again(turn, eta):
        assert scheduler.in_the_making() == [turn.generation]
        clock.now = scheduler._polls[0][0]
        turn = await upcoming(scheduler)
        assert turn.asked == len(asked) + 1
        asked.append(clock.now - first)
        clock.now += asking
        assert len(asked) <= wait, "it never gives up"
    assert await the_end(scheduler)
    return asked


@pytest.mark.parametrize(
    ("wait", "eta", "expected"),
    [
        (60, 20, [20, 40, 60]),
        (60, 25, [25, 50, 60]),
        (30, None, [5, 12.5, 23.75, 30]),
        (30, 900, [30]),
        (200, 900, [60, 120, 180, 200]),
        (20, 0, [5, 10, 15, 20]),
    ],
)
async def test_a_poll_comes_again_until_patience_ends(
    clock: Clock, wait: float, eta: float | None, expected: list[float]
) -> None:
    """Each time later, a last time when the wait is over, and then no more."""
    assert await polled(clock, wait, eta) == expected


@pytest.mark.parametrize("eta", [None, 0, 0.1, 5, 7, 59, 61, 605, 10**9])
@pytest.mark.parametrize("wait", [5, 61, 900, 7200])
@pytest.mark.parametrize("asking", [0, 0.3])
async def test_polls_are_neither_spam_nor_forgotten(
    clock: Clock, eta: float | None, wait: float, asking: float
) -> None:
    """Between two questions about one generation lie 5 to 60 seconds, whatever the eta says."""
    asked = await polled(clock, wait, eta, asking)
    gaps = [later - sooner for sooner, later in pairwise([-asking, *asked])]
    assert asked
    assert all(5 - 1e-6 <= gap - asking <= 60 + 1e-6 for gap in gaps)


@given(st.integers(0, 100_000), st.none() | st.floats(0, 1e300))
def test_no_number_of_polls_is_too_many(asked: int, eta: float | None) -> None:
    """A wait of days asks thousands of times, and the pause stays what it was."""
    scheduler = Scheduler(listing(), wait=1e9)
    assert scheduler.again(Turn(Generation("v6/deepfake", "a"), first=True, asked=asked), eta)


async def test_a_poll_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only polls are left, the next turn comes by itself, when it is due."""
    monkeypatch.setattr(scheduler_module, "_SOONEST", 0.02)
    scheduler = Scheduler(listing(("a", True), ("b", True)), wait=0.5)
    turns = [await upcoming(scheduler) for _ in range(2)]
    scheduler.again(turns[0], eta=0.04)
    scheduler.again(turns[1], eta=0.02)
    assert [(await upcoming(scheduler)).generation.id for _ in range(2)] == ["b", "a"]


async def test_whoever_waits_is_woken_by_a_poll_that_is_due_sooner(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A wait for one poll does not make another late."""
    monkeypatch.setattr(scheduler_module, "_SOONEST", 0.01)
    scheduler = Scheduler(listing(("late", True), ("soon", True)), wait=900)
    late, soon = await upcoming(scheduler), await upcoming(scheduler)
    scheduler.again(late, eta=60)
    task = await waiting(scheduler)
    scheduler.again(soon, eta=0.01)
    turn = await asyncio.wait_for(task, 20)
    assert turn is not None
    assert turn.generation.id == "soon"


async def test_it_is_not_over_while_a_turn_is_under_way() -> None:
    """Whoever is being asked about may have to be asked about again."""
    scheduler = Scheduler(listing(("a", True), ("b", True)), wait=0)
    await upcoming(scheduler), await upcoming(scheduler)
    tasks = [await waiting(scheduler), await waiting(scheduler)]
    scheduler.done()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)
    scheduler.done()
    assert await asyncio.wait_for(asyncio.gather(*tasks), 20) == [None, None]


async def test_closing_ends_every_wait() -> None:
    """Nobody is handed anything any more, and what was to be asked again is known."""
    scheduler = Scheduler(listing(("a", True), ("b", True), ("c", False)), wait=900)
    poll, under_way = await upcoming(scheduler), await upcoming(scheduler)
    scheduler.again(poll, eta=60)
    await upcoming(scheduler)
    tasks = [await waiting(scheduler) for _ in range(3)]
    scheduler.close()
    assert await asyncio.wait_for(asyncio.gather(*tasks), 20) == [None] * 3
    assert await the_end(scheduler)
    assert not scheduler.again(under_way, eta=5)
    assert [generation.id for generation in scheduler.in_the_making()] == ["a"]


async def test_closing_leaves_the_list_alone() -> None:
    """What was not handed out when it was closed is not."""
    scheduler = Scheduler(listing(("a", True)), wait=900)
    scheduler.close()
    assert await the_end(scheduler)


async def test_a_cancelled_wait_loses_no_turn() -> None:
    """A worker that is cancelled while it waits takes nothing along."""
    scheduler = Scheduler(listing(("a", True)), wait=900)
    turn = await upcoming(scheduler)
    task = await waiting(scheduler)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    scheduler.again(turn, eta=60)
    assert scheduler.in_the_making() == [turn.generation]
