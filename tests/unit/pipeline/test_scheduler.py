"""The scheduler hands out the worklist, and what is still processing again when it is due."""

import asyncio
from collections.abc import Callable
from itertools import islice, pairwise
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.catalogue.worklist import Entry
from archiver.generation import Generation
from archiver.outcomes import Failed, Pending
from archiver.pipeline.scheduler import Again, Job, Reason, Scheduler, _Wait
from archiver.settings import Timings
from tests.support.clock import MonotonicClock

TIMINGS = Timings()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> MonotonicClock:
    return MonotonicClock.of("archiver.pipeline.scheduler", monkeypatch)


def listing(*rows: tuple[str, bool]) -> Callable[[int], list[Entry]]:
    """A worklist, given out as the catalogue does: at most a number at a time, then none."""
    left = iter([Entry(Generation("v6/deepfake", id_), first) for id_, first in rows])
    return lambda limit: list(islice(left, limit))


def processing(job: Job, eta: float | None) -> Again:
    """What a job amounts to that ModelsLab is still making."""
    return Again(job, Reason.PROCESSING, Pending(job.generation), eta)


def failed(job: Job, reason: Reason, pause: float | None = None, *, refused: bool = False) -> Again:
    """What a job amounts to that is not there, for this reason."""
    return Again(job, reason, Failed(job.generation, str(reason)), pause, refused)


def paused(job: Job, pause: float, *, refused: bool = False) -> Again:
    """What a job amounts to whose host asks for a pause."""
    return failed(job, Reason.HOST_PAUSED, pause, refused=refused)


async def upcoming(scheduler: Scheduler) -> Job:
    job = await asyncio.wait_for(scheduler.next(), 20)
    assert job is not None
    return job


async def the_end(scheduler: Scheduler) -> bool:
    return await asyncio.wait_for(scheduler.next(), 20) is None


async def waiting(scheduler: Scheduler) -> "asyncio.Task[Job | None]":
    """A task that has begun to wait for a job."""
    task = asyncio.create_task(scheduler.next())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()
    return task


async def test_the_worklist_is_handed_out_in_its_order() -> None:
    """In batches of any size each generation has one job, and then there are none."""
    worklist = listing(*((str(n), True) for n in range(5)))
    scheduler = Scheduler(worklist, 0, TIMINGS, batch=2)
    jobs = [await upcoming(scheduler) for _ in range(5)]
    assert [job.generation.id for job in jobs] == list("01234")
    for _ in jobs:
        scheduler.done()
    assert await the_end(scheduler)


async def test_an_empty_worklist_is_the_end() -> None:
    """Where there is nothing to do, nobody waits."""
    assert await the_end(Scheduler(listing(), 900, TIMINGS))


async def test_what_a_host_refuses_again_and_again_comes_after_the_others(
    clock: MonotonicClock,
) -> None:
    """It waits twice as long each time, and is tried once more when its time is over."""
    scheduler = Scheduler(listing(("a", True), ("b", True)), 100, TIMINGS)
    refused, other = await upcoming(scheduler), await upcoming(scheduler)
    assert scheduler.again(paused(refused, 30, refused=True))
    clock.now += 30
    refused = await upcoming(scheduler)
    assert scheduler.again(paused(refused, 30, refused=True))
    assert scheduler.again(paused(other, 30, refused=False))
    clock.now += 30
    assert (await upcoming(scheduler)).generation == other.generation
    scheduler.done()
    clock.now += 30
    refused = await upcoming(scheduler)
    assert scheduler.again(paused(refused, 10, refused=True))
    clock.now += 10
    refused = await upcoming(scheduler)
    assert not scheduler.again(paused(refused, 10, refused=True))
    scheduler.done()
    assert await the_end(scheduler)


async def test_what_is_ready_and_was_deferred_comes_before_all_else(clock: MonotonicClock) -> None:
    """As soon as its pause is over, which is a few seconds at least: its links may die."""
    scheduler = Scheduler(listing(("1", True), ("2", True), ("3", True)), 60, TIMINGS)
    first = await upcoming(scheduler)
    assert scheduler.again(paused(first, 0, refused=True))
    assert [outcome.generation.id for outcome in scheduler.left()] == ["1"]
    clock.now += TIMINGS.poll_min - 0.1
    assert (await upcoming(scheduler)).generation.id == "2"
    scheduler.done()
    clock.now += 0.1
    for id_ in ("1", "3"):
        assert (await upcoming(scheduler)).generation.id == id_
        scheduler.done()
    assert await the_end(scheduler)


async def test_a_job_is_deferred_no_longer_than_there_is_time(clock: MonotonicClock) -> None:
    """A minute is always waited out; more only if the run may wait so long, counted in all."""
    scheduler = Scheduler(listing(("1", True)), 0, TIMINGS)
    assert not scheduler.again(paused(await upcoming(scheduler), 61, refused=True))
    scheduler = Scheduler(listing(("1", True)), 0, TIMINGS)
    assert scheduler.again(paused(await upcoming(scheduler), 60, refused=True))
    patient = Scheduler(listing(("1", True)), 100, TIMINGS)
    assert patient.again(paused(await upcoming(patient), 99, refused=True))
    entry, soon = Entry(Generation("v6/deepfake", "1")), _Wait(clock.now + 0.5)
    late = Job(entry, waits={Reason.HOST_PAUSED: soon})
    assert not patient.again(paused(late, 1, refused=True))
    polled = Job(entry, waits={Reason.PROCESSING: soon})
    assert patient.again(paused(polled, 1, refused=True))


async def test_a_host_that_goes_on_serving_is_waited_for(clock: MonotonicClock) -> None:
    """Thousands of videos of a host that throttles take longer than any one of them may wait."""
    scheduler = Scheduler(listing(*((str(n), True) for n in range(3000))), 100, TIMINGS)
    jobs = [await upcoming(scheduler) for _ in range(3000)]
    for job in jobs:
        assert scheduler.again(paused(job, 10, refused=True))
    for _ in range(10):
        clock.now += 90
        served = await upcoming(scheduler)
        scheduler.served(served)
        scheduler.done()
        assert scheduler.again(paused(await upcoming(scheduler), 10))
    clock.now += 91
    assert not scheduler.again(paused(await upcoming(scheduler), 10))


async def test_any_number_of_deferred_ones_holds_up_no_new_ones(clock: MonotonicClock) -> None:
    """The host of the next one may be another."""
    scheduler = Scheduler(listing(*((str(n), True) for n in range(5001))), 900, TIMINGS)
    for _ in range(5000):
        assert scheduler.again(paused(await upcoming(scheduler), 600))
    assert (await upcoming(scheduler)).generation.id == "5000"


async def tries(clock: MonotonicClock, wait: float, reason: Reason) -> list[float]:
    """When, in seconds from the first try, one generation is tried again for a reason."""
    scheduler = Scheduler(listing(("a", True)), wait, TIMINGS)
    job, first, times = await upcoming(scheduler), clock.now, list[float]()
    while scheduler.again(failed(job, reason)):
        queue = scheduler._polls or scheduler._ready
        clock.now = queue[0][0]
        job = await upcoming(scheduler)
        times.append(clock.now - first)
        assert len(times) < 50, "it never gives up"
    return times


@pytest.mark.parametrize(
    ("wait", "expected"),
    [
        (900, [5, 12.5, 23.75, 40.625, 65.9375, 103.90625, 160.859375, 180]),
        (60, [5, 12.5, 23.75, 40.625, 60]),
        (5, [5]),
        (0, []),
    ],
)
async def test_what_is_not_found_is_asked_again_for_three_minutes(
    clock: MonotonicClock, wait: float, expected: list[float]
) -> None:
    """Spaced out, and no longer than `--wait` allows."""
    assert await tries(clock, wait, Reason.NOT_FOUND) == expected


@pytest.mark.parametrize(
    ("wait", "expected"),
    [(900, [1.5, 4.5, 10.5, 22.5, 46.5, 90]), (10, [1.5, 4.5, 10]), (0, [])],
)
async def test_links_are_tried_again_for_a_minute_and_a_half(
    clock: MonotonicClock, wait: float, expected: list[float]
) -> None:
    """A link can name a file before it can be read."""
    assert await tries(clock, wait, Reason.NOT_READABLE) == expected


async def test_each_reason_has_a_time_of_its_own(clock: MonotonicClock) -> None:
    """What was not found for three minutes may be processing for as long as anything else."""
    scheduler = Scheduler(listing(("a", True)), 900, TIMINGS)
    job = await upcoming(scheduler)
    while scheduler.again(failed(job, Reason.NOT_FOUND)):
        clock.now = scheduler._polls[0][0]
        job = await upcoming(scheduler)
    assert scheduler.again(processing(job, None))


async def test_what_modelslab_throttles_comes_after_the_others(clock: MonotonicClock) -> None:
    """Its words may be about it alone: after the pause the others are asked first."""
    scheduler = Scheduler(listing(("a", True), ("b", True), ("c", False)), 0, TIMINGS)
    assert scheduler.again(failed(await upcoming(scheduler), Reason.THROTTLED, 30))
    clock.now += 30
    assert [(await upcoming(scheduler)).generation.id for _ in range(2)] == ["b", "c"]
    clock.now += TIMINGS.after_pause
    assert (await upcoming(scheduler)).generation.id == "a"


async def test_what_turns_up_comes_next() -> None:
    """An entry that the worklist did not have is handed out like the others."""
    scheduler = Scheduler(listing(("a", True)), 0, TIMINGS)
    await upcoming(scheduler)
    task = await waiting(scheduler)
    scheduler.add(Entry(Generation("v6/video", "a")))
    job = await asyncio.wait_for(task, 20)
    assert job is not None
    assert job.generation.name == "v6/video/a"


async def test_without_patience_no_link_is_tried_again() -> None:
    """`--retries 0` leaves links to the next run; what is processing is polled all the same."""
    scheduler = Scheduler(listing(("a", True)), 900, TIMINGS, patient=False)
    job = await upcoming(scheduler)
    assert not scheduler.again(paused(job, 0))
    assert not scheduler.again(failed(job, Reason.NOT_READABLE))
    assert scheduler.again(processing(job, 5))


async def test_new_ones_come_before_polls_and_polls_before_old_failures(
    clock: MonotonicClock,
) -> None:
    """Links of what was never tried may die soon; old failures have waited before."""
    scheduler = Scheduler(
        listing(("a", True), ("b", True), ("old", False), ("older", False)), 900, TIMINGS
    )
    assert scheduler.again(processing(await upcoming(scheduler), 5))
    clock.now += 60
    order = []
    for _ in range(4):
        order.append((await upcoming(scheduler)).generation.id)
        scheduler.done()
    assert order == ["b", "a", "old", "older"]


async def test_what_is_not_due_does_not_delay_old_failures(clock: MonotonicClock) -> None:
    """Until a poll is due, the worklist goes on."""
    scheduler = Scheduler(listing(("a", True), ("old", False)), 900, TIMINGS)
    scheduler.again(processing(await upcoming(scheduler), 30))
    assert (await upcoming(scheduler)).generation.id == "old"


async def test_polls_come_in_the_order_in_which_they_are_due(clock: MonotonicClock) -> None:
    """The provider's estimate decides, not the order of the worklist."""
    scheduler = Scheduler(
        listing(("slow", True), ("quick", True), ("middling", True)), 900, TIMINGS
    )
    jobs = [await upcoming(scheduler) for _ in range(3)]
    for job, eta in zip(jobs, (50, 10, 30), strict=True):
        assert scheduler.again(processing(job, eta))
    clock.now += 60
    assert [(await upcoming(scheduler)).generation.id for _ in range(3)] == [
        "quick", "middling", "slow",
    ]  # fmt: skip


async def test_without_a_wait_nothing_is_polled_again() -> None:
    """`--wait 0` leaves what is still processing for the next run."""
    scheduler = Scheduler(listing(("a", True)), 0, TIMINGS)
    assert not scheduler.again(processing(await upcoming(scheduler), 1))
    scheduler.done()
    assert list(scheduler.left()) == []
    assert await the_end(scheduler)


async def polled(
    clock: MonotonicClock, wait: float, eta: float | None, took: float = 0
) -> list[float]:
    """When, in seconds from the first response, one generation that is never ready is polled."""
    scheduler = Scheduler(listing(("a", True)), wait, TIMINGS)
    job, first, polls = await upcoming(scheduler), clock.now, list[float]()
    while scheduler.again(processing(job, eta)):
        assert list(scheduler.left()) == [Pending(job.generation)]
        clock.now = scheduler._polls[0][0]
        job = await upcoming(scheduler)
        polls.append(clock.now - first)
        clock.now += took
        assert len(polls) <= wait, "it never gives up"
    scheduler.done()
    assert await the_end(scheduler)
    return polls


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
async def test_polls_come_again_until_the_wait_is_over(
    clock: MonotonicClock, wait: float, eta: float | None, expected: list[float]
) -> None:
    """Each one is later, the last when the wait is over, and then there are no more."""
    assert await polled(clock, wait, eta) == expected


@pytest.mark.parametrize("eta", [None, 0, 0.1, 5, 7, 59, 61, 605, 10**9])
@pytest.mark.parametrize("wait", [5, 61, 900, 7200])
@pytest.mark.parametrize("took", [0, 0.3])
async def test_polls_are_neither_spam_nor_forgotten(
    clock: MonotonicClock, eta: float | None, wait: float, took: float
) -> None:
    """Between two requests about one generation lie 5 to 60 seconds, whatever the estimate is."""
    polls = await polled(clock, wait, eta, took)
    gaps = [later - sooner for sooner, later in pairwise([-took, *polls])]
    assert polls
    assert all(5 - 1e-6 <= gap - took <= 60 + 1e-6 for gap in gaps)


@given(st.integers(0, 100_000), st.none() | st.floats(0, 1e300))
def test_no_number_of_polls_is_too_many(polls: int, eta: float | None) -> None:
    """A wait of days polls thousands of times, and the pause stays what it was."""
    scheduler = Scheduler(listing(), 1e9, TIMINGS)
    waits = {Reason.PROCESSING: _Wait(inf, polls)}
    job = Job(Entry(Generation("v6/deepfake", "a")), waits=waits)
    assert scheduler.again(processing(job, eta))


async def test_a_poll_is_waited_for() -> None:
    """Where only polls are left, the next job comes by itself, when it is due."""
    worklist, timings = listing(("a", True), ("b", True)), Timings(poll_min=0.02)
    scheduler = Scheduler(worklist, 0.5, timings)
    jobs = [await upcoming(scheduler) for _ in range(2)]
    scheduler.again(processing(jobs[0], 0.04))
    scheduler.again(processing(jobs[1], 0.02))
    assert [(await upcoming(scheduler)).generation.id for _ in range(2)] == ["b", "a"]


async def test_a_waiting_worker_is_woken_by_a_poll_that_is_due_sooner() -> None:
    """A wait for one poll does not make another late."""
    worklist, timings = listing(("late", True), ("soon", True)), Timings(poll_min=0.01)
    scheduler = Scheduler(worklist, 900, timings)
    late, soon = await upcoming(scheduler), await upcoming(scheduler)
    scheduler.again(processing(late, 60))
    task = await waiting(scheduler)
    scheduler.again(processing(soon, 0.01))
    job = await asyncio.wait_for(task, 20)
    assert job is not None
    assert job.generation.id == "soon"


async def test_it_is_not_over_while_a_job_is_under_way() -> None:
    """It may have to be polled again."""
    scheduler = Scheduler(listing(("a", True), ("b", True)), 0, TIMINGS)
    await upcoming(scheduler), await upcoming(scheduler)
    tasks = [await waiting(scheduler), await waiting(scheduler)]
    scheduler.done()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)
    scheduler.done()
    assert await asyncio.wait_for(asyncio.gather(*tasks), 20) == [None, None]


async def test_closing_ends_every_wait() -> None:
    """No worker gets another job, and what was to be polled again is known."""
    scheduler = Scheduler(listing(("a", True), ("b", True), ("c", False)), 900, TIMINGS)
    poll, under_way = await upcoming(scheduler), await upcoming(scheduler)
    scheduler.again(processing(poll, 60))
    await upcoming(scheduler)
    tasks = [await waiting(scheduler) for _ in range(3)]
    scheduler.close()
    assert await asyncio.wait_for(asyncio.gather(*tasks), 20) == [None] * 3
    assert await the_end(scheduler)
    assert not scheduler.again(processing(under_way, 5))
    assert list(scheduler.left()) == [Pending(poll.generation)]


async def test_closing_leaves_the_worklist_alone() -> None:
    """What was not handed out before is not handed out any more."""
    scheduler = Scheduler(listing(("a", True)), 900, TIMINGS)
    scheduler.close()
    assert await the_end(scheduler)


async def test_a_cancelled_wait_loses_no_job() -> None:
    """A worker that is cancelled while it waits loses nothing."""
    scheduler = Scheduler(listing(("a", True)), 900, TIMINGS)
    job = await upcoming(scheduler)
    task = await waiting(scheduler)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    scheduler.again(processing(job, 60))
    assert list(scheduler.left()) == [Pending(job.generation)]


async def test_what_is_waited_for_is_counted_by_its_reason(clock: MonotonicClock) -> None:
    """From when it is put back until it comes again."""
    scheduler = Scheduler(listing(("1", True), ("2", True), ("3", True)), 900, TIMINGS)
    one, two, three = [await upcoming(scheduler) for _ in range(3)]
    assert set(scheduler.waiting.values()) == {0}
    assert scheduler.again(processing(one, 5))
    assert scheduler.again(paused(two, 30))
    assert scheduler.again(processing(three, 100))
    assert scheduler.waiting[Reason.PROCESSING] == 2
    assert scheduler.waiting[Reason.HOST_PAUSED] == 1
    clock.now += 50
    assert {(await upcoming(scheduler)).generation.id for _ in range(2)} == {"1", "2"}
    assert scheduler.waiting[Reason.PROCESSING] == 1
    assert scheduler.waiting[Reason.HOST_PAUSED] == 0
