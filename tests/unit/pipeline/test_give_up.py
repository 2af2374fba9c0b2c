"""Giving up: failures that last for many runs become losses, and nothing else does."""

from dataclasses import replace
from datetime import timedelta

import pytest

from archiver.catalogue.store import Catalogue
from archiver.outcomes import (
    Archived,
    Failed,
    LinkFault,
    Lost,
    Outcome,
    Pending,
    Unfinished,
    Worklist,
)
from archiver.pipeline.give_up import decide
from tests.support.catalogues import Clock, generation, listed, report

GONE = (LinkFault("primary", "https://a.example/x.mp4", "404 Not Found", status=404),)
CUT = (LinkFault("primary", "https://a.example/x.mp4", "cut after 5 of 9 bytes"),)


def judged(catalogue: Catalogue, clock: Clock, outcome: Outcome) -> Outcome:
    """Return what an outcome amounts to now."""
    return decide(outcome, catalogue.past(outcome.generation), clock.time).outcome


def end(catalogue: Catalogue, clock: Clock, outcome: Outcome) -> Outcome:
    """End a run with this outcome: it is decided on, and recorded."""
    decision = decide(outcome, catalogue.past(outcome.generation), clock.time)
    report(catalogue, decision.outcome, streak=decision.streak)
    return decision.outcome


def ends(catalogue: Catalogue, clock: Clock, outcome: Outcome, *days: float) -> list[str]:
    """End a run with this outcome on each of these days; return what each amounts to."""
    began, kinds = clock.time, []
    for day in days:
        clock.time = began + timedelta(days=day)
        kinds.append(type(end(catalogue, clock, outcome)).__name__.lower())
    return kinds


DEAD = Failed(generation(1), "all links failed, fresh ones too", GONE, trouble="hopeless")
NOT_FOUND = Failed(generation(1), "ModelsLab responded: Request not found", trouble="hopeless")
HOPELESS = pytest.mark.parametrize("outcome", [DEAD, NOT_FOUND])


@HOPELESS
def test_what_is_hopeless_on_three_runs_is_lost(
    catalogue: Catalogue, clock: Clock, outcome: Failed
) -> None:
    """On the third run, and not before; each says which it is and keeps the fault of each link."""
    for run in (1, 2):
        reason = f"{outcome.reason} (run {run} of 3 before it counts as lost)"
        assert end(catalogue, clock, outcome) == replace(outcome, reason=reason)
        clock.time += timedelta(days=1)
    lost = Lost(generation(1), f"{outcome.reason}, on 3 runs", outcome.faults)
    assert end(catalogue, clock, outcome) == lost
    assert catalogue.worklist.add(listed(1), retry_lost=False) == Worklist(0, 1, 0)


def test_many_runs_say_how_long_it_still_takes(catalogue: Catalogue, clock: Clock) -> None:
    """Where runs come by the hour, forty of them are needed, and not three."""
    for _ in range(4):
        outcome = end(catalogue, clock, NOT_FOUND)
        clock.time += timedelta(hours=2)
    assert isinstance(outcome, Failed)
    assert outcome.reason == f"{NOT_FOUND.reason} (run 4, 6 of 40 hours before it counts as lost)"


@pytest.mark.parametrize(("hours", "lost"), [(0, False), (1, False), (19.9, False), (20, True)])
def test_runs_in_quick_succession_lose_nothing(
    catalogue: Catalogue, clock: Clock, hours: float, lost: bool
) -> None:
    """The first and the last run lie forty hours apart, however many there are between."""
    for _ in range(2):
        end(catalogue, clock, DEAD)
        clock.time += timedelta(hours=hours)
    assert isinstance(judged(catalogue, clock, DEAD), Lost) is lost


@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize("wrong", [20, -20000])
@HOPELESS
def test_a_clock_that_was_wrong_once_loses_nothing(
    catalogue: Catalogue, clock: Clock, outcome: Failed, wrong: int, at: int
) -> None:
    """Twenty days ahead or at 1970 on any one of four runs within three hours."""
    days = [run / 24 for run in range(4)]
    days[at] += wrong
    assert set(ends(catalogue, clock, outcome, *days)) == {"failed"}


@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize("wrong", [20, -20000])
def test_what_is_processing_is_not_lost_by_a_wrong_clock(
    catalogue: Catalogue, clock: Clock, wrong: int, at: int
) -> None:
    """Nor reported as if it had been processing for days."""
    days = [run / 24 for run in range(4)]
    days[at] += wrong
    assert set(ends(catalogue, clock, Pending(generation(1)), *days)) == {"pending"}


def test_a_wrong_clock_only_delays(catalogue: Catalogue, clock: Clock) -> None:
    """Forty hours of right time later it is lost all the same."""
    assert ends(catalogue, clock, DEAD, 0, -20000, 1, 2, 3) == [*["failed"] * 4, "lost"]


def test_a_pause_of_weeks_counts_for_a_day(catalogue: Catalogue, clock: Clock) -> None:
    """Nobody has asked in between: two runs in an hour and one a month later are too few."""
    assert ends(catalogue, clock, DEAD, 0, 0.04, 30, 31) == [*["failed"] * 3, "lost"]


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
        assert isinstance(end(catalogue, clock, outcome), Failed | Pending)
        clock.time += timedelta(hours=21)
    assert isinstance(end(catalogue, clock, DEAD), Lost)


def test_a_better_run_begins_the_time_again(catalogue: Catalogue, clock: Clock) -> None:
    """Forty hours are counted from the first of the runs in a row, not from an older one."""
    for outcome in (DEAD, Pending(generation(1))):
        end(catalogue, clock, outcome)
        clock.time += timedelta(days=2)
    for _ in range(3):
        assert isinstance(end(catalogue, clock, DEAD), Failed)
        clock.time += timedelta(hours=1)


def test_two_runs_are_too_few(catalogue: Catalogue, clock: Clock) -> None:
    """However far apart they are."""
    assert ends(catalogue, clock, DEAD, 0, 30) == ["failed", "failed"]


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
    ends(catalogue, clock, DEAD, 0, 1)
    clock.time += timedelta(days=1)
    assert judged(catalogue, clock, outcome) == outcome


def test_what_is_processing_for_days_is_reported(catalogue: Catalogue, clock: Clock) -> None:
    """Nothing takes three days: it is reported then, and given up after two weeks."""
    kinds = ends(catalogue, clock, Pending(generation(1)), *range(15))
    assert kinds == ["pending"] * 3 + ["failed"] * 11 + ["lost"]


def test_only_the_time_of_processing_counts(catalogue: Catalogue, clock: Clock) -> None:
    """A failure of another kind before does not count; being stuck goes on counting."""
    failed = Failed(generation(1), "no usable response")
    assert ends(catalogue, clock, failed, *range(20)) == ["failed"] * 20
    clock.time += timedelta(days=1)
    assert ends(catalogue, clock, Pending(generation(1)), *range(3)) == ["pending"] * 3


def test_a_download_that_three_runs_have_not_finished_is_reported(
    catalogue: Catalogue, clock: Clock
) -> None:
    """It is named from the third run on, and never lost; the time does not matter."""
    kinds = ends(catalogue, clock, Unfinished(generation(1)), *range(5))
    assert kinds == ["unfinished"] * 2 + ["failed"] * 3
    outcome = end(catalogue, clock, Unfinished(generation(1)))
    assert isinstance(outcome, Failed)
    assert outcome.reason == "its download was begun and not finished on 6 runs"


def test_links_that_are_forbidden_are_given_up_late(catalogue: Catalogue, clock: Clock) -> None:
    """A host that has blocked us for some days has lost nothing."""
    fault = LinkFault("primary", "https://a.example/a.mp4", "403 Forbidden", status=403)
    forbidden = Failed(generation(1), "all links failed", (fault,), trouble="hopeless")
    assert ends(catalogue, clock, forbidden, *range(14)) == ["failed"] * 13 + ["lost"]
