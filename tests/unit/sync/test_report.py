"""The report of a sync: its exit status is the worst that happened."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from archiver.errors import Interrupted, StorageError
from archiver.run import Completed, Ended, Stopped
from archiver.sync.report import Kind, Plan, Problem, SyncReport, Tally

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
INTERRUPTED, FULL = Interrupted(2), StorageError("the disk is full")


def tally(*kinds: Kind) -> Tally:
    found = Tally(listed=9, held=4, found=1, copied=2, bytes=1_500)
    for kind in kinds:
        found.add(Problem(kind, f"data/{kind}", "why"))
    return found


def report(found: Tally, ended: Ended | None = None) -> SyncReport:
    return SyncReport(BEGAN, BEGAN + timedelta(seconds=3), ended or Completed(), found)


@pytest.mark.parametrize(
    ("kinds", "ended", "status"),
    [
        ((), Completed(), 0),
        (("different",), Completed(), 3),
        (("name",), Completed(), 3),
        (("refused",), Completed(), 3),
        (("missing",), Completed(), 4),
        (("changed", "different"), Completed(), 4),
        (("unreadable",), Completed(), 4),
        (("contradictory",), Completed(), 4),
        (("changed",), Stopped(INTERRUPTED), 130),
        ((), Stopped(FULL), 74),
    ],
)
def test_the_exit_status_is_that_of_the_worst(
    kinds: tuple[Kind, ...], ended: Ended, status: int
) -> None:
    """An error that ended the run, then the fixity of the source, then what is kept."""
    found = report(tally(*kinds), ended)
    assert found.exit_status == found.run.exit_status == status
    assert found.noteworthy == bool(status)
    assert Plan(tally(*kinds), 2, 3).exit_status == (status if status < 10 else bool(kinds) * 4)


def test_the_report_counts_and_names() -> None:
    """A line of counts, why it ended early, and a line for each problem."""
    assert list(report(tally("changed"), Stopped(INTERRUPTED)).lines()) == [
        "2 files of 9 copied, 1.5 kB in 3 s: 4 already held, 1 found there and listed, 1 changed",
        "ended early: interrupted by SIGINT",
        "changed data/changed: why",
    ]


def test_a_run_that_did_not_begin_has_no_counts() -> None:
    """Only the reason is reported."""
    lines = [*SyncReport.failed_to_begin(BEGAN, FULL).lines()]
    assert lines == ["did not begin: the disk is full"]


def test_a_thousand_problems_are_counted() -> None:
    """The first twenty are shown, and the others counted; JSON has all of them."""
    found = Tally()
    for number in range(1_000):
        found.add(Problem("missing", f"data/{number}", "why"))
    lines = [*report(found).lines()]
    assert len(lines) == 22
    assert lines[-1] == "… and 980 more like these"
    said = json.loads(json.dumps(report(found).as_json()))
    assert (len(said["problems"]), said["problems_omitted"], said["missing"]) == (1_000, 0, 1_000)


def test_what_is_remembered_is_short() -> None:
    """The history has the counts, and one line."""
    run = report(tally("different")).run
    assert (run.command, run.bytes) == ("sync", 1_500)
    assert run.counts == {
        "listed": 9, "already_held": 4, "found": 1, "copied": 2, "different": 1,
    }  # fmt: skip
    assert "\n" not in run.summary
