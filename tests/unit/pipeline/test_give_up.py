"""Giving up: failures that last for many runs become losses, and nothing else does."""

from datetime import timedelta

import pytest

from archiver.catalogue.store import Catalogue
from archiver.outcomes import Archived, Failed, LinkFault, Lost, Outcome, Pending, Worklist
from archiver.pipeline.give_up import decide
from tests.support.catalogues import Clock, generation, listed, report

GONE = (LinkFault("primary", "https://a.example/x.mp4", "404 Not Found", status=404),)
CUT = (LinkFault("primary", "https://a.example/x.mp4", "cut after 5 of 9 bytes"),)


def judged(catalogue: Catalogue, clock: Clock, outcome: Outcome) -> Outcome:
    """Return what an outcome amounts to now."""
    past = catalogue.past(outcome.generation)
    return decide(outcome, past, clock.time) if past else outcome


def end(catalogue: Catalogue, clock: Clock, outcome: Outcome) -> Outcome:
    """End a run with this outcome: it is decided on, and recorded."""
    decided = judged(catalogue, clock, outcome)
    report(catalogue, decided)
    return decided


DEAD = Failed(generation(1), "all links failed, fresh ones too", GONE)


def test_links_dead_on_three_runs_are_lost(catalogue: Catalogue, clock: Clock) -> None:
    """On the third run, and not before; the reason says so and keeps the fault of each link."""
    for _ in range(2):
        assert end(catalogue, clock, DEAD) == DEAD
        clock.time += timedelta(days=1)
    assert end(catalogue, clock, DEAD) == Lost(generation(1), f"{DEAD.reason}, on 3 runs", GONE)
    assert catalogue.worklist.add(listed(1), retry_lost=False) == Worklist(0, 1, 0)


@pytest.mark.parametrize(("hours", "lost"), [(0, False), (1, False), (19.9, False), (20, True)])
def test_runs_in_quick_succession_lose_nothing(
    catalogue: Catalogue, clock: Clock, hours: float, lost: bool
) -> None:
    """The first and the last run lie forty hours apart, however many there are between."""
    for _ in range(2):
        end(catalogue, clock, DEAD)
        clock.time += timedelta(hours=hours)
    assert isinstance(judged(catalogue, clock, DEAD), Lost) is lost


@pytest.mark.parametrize(
    "respite",
    [
        Failed(generation(1), "all links failed", CUT),
        Failed(generation(1), "no usable response: 502 Bad Gateway"),
        Pending(generation(1)),
    ],
)
def test_a_better_run_begins_the_count_again(
    catalogue: Catalogue, clock: Clock, respite: Outcome
) -> None:
    """Only runs in a row count: a link that was merely slow was not dead."""
    for outcome in (DEAD, DEAD, respite, DEAD, DEAD):
        assert end(catalogue, clock, outcome) == outcome
        clock.time += timedelta(hours=21)
    assert isinstance(end(catalogue, clock, DEAD), Lost)


def test_a_better_run_begins_the_time_again(catalogue: Catalogue, clock: Clock) -> None:
    """Forty hours are counted from the first of the runs in a row, not from an older one."""
    for outcome in (DEAD, Pending(generation(1))):
        end(catalogue, clock, outcome)
        clock.time += timedelta(days=2)
    for _ in range(3):
        assert end(catalogue, clock, DEAD) == DEAD
        clock.time += timedelta(hours=1)


def test_two_runs_are_too_few(catalogue: Catalogue, clock: Clock) -> None:
    """However far apart they are."""
    assert end(catalogue, clock, DEAD) == DEAD
    clock.time += timedelta(days=30)
    assert end(catalogue, clock, DEAD) == DEAD


@pytest.mark.parametrize(
    "outcome",
    [
        Failed(generation(1), "no usable response"),
        Failed(generation(1), "all links failed", GONE + CUT),
        Archived(generation(1), 1, ("a",)),
        Lost(generation(1), "not found"),
    ],
)
def test_nothing_else_is_given_up(catalogue: Catalogue, clock: Clock, outcome: Outcome) -> None:
    """What is not a failure of dead links alone stays what it is, after any number of runs."""
    for _ in range(5):
        report(catalogue, DEAD)
        clock.time += timedelta(days=1)
    assert judged(catalogue, clock, outcome) == outcome


@pytest.mark.parametrize(("days", "kind"), [(2, Pending), (3, Failed), (13, Failed), (14, Lost)])
def test_what_is_processing_for_days_is_reported(
    catalogue: Catalogue, clock: Clock, days: int, kind: type[Outcome]
) -> None:
    """Nothing takes three days: it is reported then, and given up after two weeks."""
    end(catalogue, clock, Pending(generation(1)))
    clock.time += timedelta(days=days)
    assert type(judged(catalogue, clock, Pending(generation(1)))) is kind


def test_only_the_time_of_processing_counts(catalogue: Catalogue, clock: Clock) -> None:
    """A failure of another kind before does not count; being stuck goes on counting."""
    failed, pending = Failed(generation(1), "no usable response"), Pending(generation(1))
    end(catalogue, clock, failed)
    clock.time += timedelta(days=20)
    assert end(catalogue, clock, pending) == pending
    clock.time += timedelta(days=4)
    assert isinstance(end(catalogue, clock, pending), Failed)
    clock.time += timedelta(days=11)
    assert isinstance(judged(catalogue, clock, pending), Lost)


def test_links_that_are_forbidden_are_given_up_late(catalogue: Catalogue, clock: Clock) -> None:
    """A host that has blocked us for some days has lost nothing."""
    fault = LinkFault("primary", "https://a.example/a.mp4", "403 Forbidden", status=403)
    forbidden = Failed(generation(1), "all links failed", (fault,))
    for _ in range(13):
        assert end(catalogue, clock, forbidden) == forbidden
        clock.time += timedelta(days=1)
    assert isinstance(end(catalogue, clock, forbidden), Lost)
