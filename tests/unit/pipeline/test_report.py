"""The report counts outcomes, names failures, and owns the exit status."""

import json
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from archiver.errors import ArchiverError, Interrupted, KeyRejected
from archiver.generation import Generation
from archiver.manifest.entries import BadLine
from archiver.manifest.problems import Problems, Unreadable
from archiver.outcomes import Archived, Failed, LinkFault, Lost, Outcome, Pending, Worklist
from archiver.pipeline.report import KEPT_LIMIT, Report, Tally
from archiver.run import Completed, Ended, Skipped, Stopped, TimeUp
from archiver.units import SHOWN_LIMIT
from tests.unit.test_errors import STATUSES

BEGAN = datetime(2026, 11, 26, 2, 30, tzinfo=UTC)
DEAD = LinkFault("primary", "https://a.example/x.mp4", "404 Not Found", status=404)
CUT = LinkFault("proxy", "https://b.example/x.mp4", "cut after 5 of 9 bytes")
BAD = BadLine("ids.txt", 7, "'a/b/c/d': expected an ID")
MISSING = Unreadable("gone.txt", "cannot be read: No such file or directory")


def generation(id_: int = 263) -> Generation:
    return Generation("v6/deepfake", str(id_))


ARCHIVED = Archived(generation(), 1500, ("https://a.example/x.mp4",))
PENDING = Pending(generation())
LOST = Lost(generation(), "ModelsLab responded: Request not found")
FAILED = Failed(generation(), "all links failed", (DEAD, CUT))
LARGE = Failed(
    generation(),
    "it does not fit on the disk",
    (LinkFault("primary", "https://a.example/x.mp4", "needs 5.2 GB, 1.1 GB free", no_space=True),),
)


def problems(*found: BadLine | Unreadable) -> Problems:
    kept = Problems()
    for problem in found:
        kept.add(problem)
    return kept


def report(
    *outcomes: Outcome,
    worklist: Worklist | None = None,
    ended: Ended | None = None,
    found: Problems | None = None,
    seconds: float = 0,
) -> Report:
    tally = Tally()
    for outcome in outcomes:
        tally.add(outcome)
    return Report(
        BEGAN,
        BEGAN + timedelta(seconds=seconds),
        ended or Completed(),
        worklist or Worklist(to_fetch=len(outcomes)),
        tally,
        found or Problems(),
    )


# --- The exit status


@pytest.mark.parametrize(("error", "status"), STATUSES)
def test_an_error_is_worse_than_any_generation(error: ArchiverError, status: int) -> None:
    """The worst that happened wins: 3 is never the status instead of an error's."""
    ended, worklist = Stopped(error), Worklist(to_fetch=9)
    assert report(ended=ended).exit_status == status
    assert report(FAILED, LOST, worklist=worklist, ended=ended).exit_status == status
    assert Report.failed_to_begin(BEGAN, error).exit_status == status


@pytest.mark.parametrize(
    ("made", "status"),
    [
        (report(), 0),
        (report(worklist=Worklist(already_held=5)), 0),
        (report(worklist=Worklist(known_lost=5)), 0),
        (report(ARCHIVED), 0),
        (report(PENDING), 0),
        (report(ARCHIVED, PENDING), 0),
        (report(LOST), 3),
        (report(FAILED), 3),
        (report(ARCHIVED, worklist=Worklist(to_fetch=2)), 3),
        (report(ARCHIVED, worklist=Worklist(to_fetch=2), ended=Skipped("rate-limited")), 3),
        (report(ARCHIVED, worklist=Worklist(to_fetch=2), ended=TimeUp()), 0),
        (report(FAILED, worklist=Worklist(to_fetch=2), ended=TimeUp()), 3),
        (report(found=problems(BAD)), 3),
        (report(found=problems(BAD), ended=TimeUp()), 3),
        (report(found=problems(MISSING)), 3),
    ],
)
def test_what_is_not_held_ends_with_three(made: Report, status: int) -> None:
    """Held, pending, known lost or out of time is well; lost, failed, skipped or unread is not."""
    assert made.exit_status == status
    assert made.noteworthy == (status != 0)


# --- Counting


@pytest.mark.parametrize(
    "outcomes",
    [*permutations([ARCHIVED, PENDING, LOST, FAILED]), (FAILED, LOST, PENDING, ARCHIVED) * 3],
)
def test_each_outcome_is_counted_once(outcomes: tuple[Outcome, ...]) -> None:
    """In whatever order they come."""
    made, each = report(*outcomes), len(outcomes) // 4
    assert (made.archived, made.pending, made.lost, made.failed) == (each,) * 4
    assert (made.bytes, made.skipped) == (1500 * each, 0)


def test_what_was_not_tried_is_skipped() -> None:
    """The worklist, with the losses that nobody has reported, less every outcome."""
    worklist = Worklist(already_held=100, known_lost=50, to_fetch=10)
    assert report(ARCHIVED, PENDING, LOST, FAILED, worklist=worklist).skipped == 6
    assert report(ARCHIVED, PENDING, LOST, FAILED, ARCHIVED, worklist=worklist).skipped == 5
    assert report(LOST, worklist=Worklist(to_fetch=0, unreported=(LOST,))).skipped == 0


# --- For people


def test_a_good_run_is_one_line() -> None:
    """Counts of what there was, bytes and time, and nothing about what there was not."""
    worklist = Worklist(already_held=1234, known_lost=2, to_fetch=2)
    assert list(report(ARCHIVED, PENDING, worklist=worklist, seconds=61).lines()) == [
        "1 archived, 1,234 already held, 1 pending, 2 known lost; 1.5 kB in 1 min 1 s"
    ]


@pytest.mark.parametrize("ended", [Completed(), TimeUp(), Skipped("rate-limited")])
def test_what_does_not_fit_ends_with_the_status_of_a_full_disk(ended: Ended) -> None:
    """That is worse than any other failure, and the report and the history say why."""
    made = report(LARGE, FAILED, ARCHIVED, ended=ended)
    why = "1 of the failed did not fit on the disk: free some space"
    assert made.exit_status == 74
    assert list(made.lines())[1:3] == [
        why,
        "failed v6/deepfake/263: it does not fit on the disk: "
        "primary https://a.example/x.mp4: needs 5.2 GB, 1.1 GB free",
    ]
    assert why in made.run.summary
    assert made.as_json()["exit_status"] == 74


def test_an_empty_run_is_named_so() -> None:
    """A manifest of nothing is nothing to do."""
    assert list(report().lines()) == ["nothing to do; 0 bytes in 0 s"]


def test_what_went_wrong_has_a_line_each() -> None:
    """The error, what was skipped, the manifests, then failed and lost with every link."""
    made = report(
        LOST,
        FAILED,
        worklist=Worklist(to_fetch=1002),
        ended=Stopped(KeyRejected("ModelsLab rejects the API key")),
        found=problems(MISSING, BAD),
    )
    assert list(made.lines()) == [
        "1 failed, 1 lost, 1,000 skipped; 0 bytes in 0 s",
        "ended early: ModelsLab rejects the API key",
        "skipped 1,000, retried on the next run",
        "gone.txt: cannot be read: No such file or directory",
        "ids.txt:7: 'a/b/c/d': expected an ID",
        "failed v6/deepfake/263: all links failed: "
        "primary https://a.example/x.mp4: 404 Not Found; "
        "proxy https://b.example/x.mp4: cut after 5 of 9 bytes",
        "lost v6/deepfake/263: ModelsLab responded: Request not found",
    ]


def test_what_was_skipped_has_its_reason() -> None:
    """Where no error ended the run, the reason stands beside the count."""
    made = report(worklist=Worklist(to_fetch=3), ended=Skipped("rate-limited, retry in 2 h"))
    assert list(made.lines())[1] == "skipped 3, retried on the next run: rate-limited, retry in 2 h"


@pytest.mark.parametrize("kind", [Lost, Failed, BadLine])
@pytest.mark.parametrize(
    ("count", "more"),
    [
        (SHOWN_LIMIT, None),
        (SHOWN_LIMIT + 1, "… and 1 more"),
        (KEPT_LIMIT + 1020, f"… and {KEPT_LIMIT + 1020 - SHOWN_LIMIT:,} more"),
    ],
)
def test_many_lines_of_a_kind_are_capped(kind: type, count: int, more: str | None) -> None:
    """The first twenty of each kind are shown, and the rest is counted."""
    if kind is BadLine:
        made = report(found=problems(*(BadLine("ids.txt", n + 1, "x") for n in range(count))))
    else:
        made = report(*(kind(generation(number), "x") for number in range(count)))
    lines = list(made.lines())[1:]
    assert len(lines) == SHOWN_LIMIT + (more is not None)
    assert lines[0].startswith(("lost v6/deepfake/0", "failed v6/deepfake/0", "ids.txt:1:"))
    assert lines[-1].startswith(more or lines[0].partition(" ")[0].partition(":")[0])


# --- For programs


def test_the_json_has_every_count_and_reason() -> None:
    """One object: counts per outcome, bytes, seconds, and why for each failure."""
    made = report(
        ARCHIVED,
        PENDING,
        FAILED,
        LOST,
        worklist=Worklist(already_held=7, known_lost=8, to_fetch=6),
        ended=Skipped("rate-limited"),
        found=problems(MISSING, BAD),
        seconds=1.23456,
    )
    assert json.loads(json.dumps(made.as_json())) == {
        "outcomes": {
            "archived": 1, "already_held": 7, "pending": 1, "failed": 1, "lost": 1,
            "known_lost": 8, "skipped": 2,
        },
        "bytes": 1500,
        "seconds": 1.235,
        "exit_status": 3,
        "ended_early": "rate-limited",
        "failures": [
            {"generation": "v6/deepfake/263", "outcome": "failed", "reason": "all links failed",
             "links": [
                {"role": "primary", "link": "https://a.example/x.mp4", "reason": "404 Not Found"},
                {"role": "proxy", "link": "https://b.example/x.mp4",
                 "reason": "cut after 5 of 9 bytes"},
             ]},
            {"generation": "v6/deepfake/263", "outcome": "lost",
             "reason": "ModelsLab responded: Request not found", "links": []},
        ],
        "failures_omitted": 0,
        "bad_lines": ["ids.txt:7: 'a/b/c/d': expected an ID"],
        "bad_lines_omitted": 0,
        "unreadable_manifests": ["gone.txt: cannot be read: No such file or directory"],
    }  # fmt: skip


def test_the_json_has_what_ended_the_run() -> None:
    """The error's message and status, or null where the run was completed."""
    ended = report(ended=Stopped(Interrupted(15))).as_json()
    assert (ended["ended_early"], ended["exit_status"]) == ("interrupted by SIGTERM", 143)
    assert report().as_json()["ended_early"] is None


def test_the_json_is_capped() -> None:
    """A bad run of a million is still a small object: the rest is counted."""
    numbers = range(KEPT_LIMIT + 5)
    outcomes = [kind(generation(n), "x") for n in numbers for kind in (Failed, Lost)]
    summary = report(*outcomes, found=problems(*[BAD for _ in numbers])).as_json()
    assert isinstance(summary["failures"], list)
    assert isinstance(summary["bad_lines"], list)
    assert (len(summary["failures"]), summary["failures_omitted"]) == (2 * KEPT_LIMIT, 10)
    assert (len(summary["bad_lines"]), summary["bad_lines_omitted"]) == (KEPT_LIMIT, 5)


def test_one_run_is_remembered() -> None:
    """Its times, counts and status are the report's, and its summary is one line."""
    made = report(ARCHIVED, FAILED, ended=Stopped(Interrupted(2)), seconds=5)
    assert made.run == made.run
    assert (made.run.began, made.run.ended) == (BEGAN, made.finished)
    assert (made.run.exit_status, made.run.bytes) == (130, 1500)
    assert made.run.counts["archived"] == 1
    assert made.run.summary.startswith("ended early: interrupted by SIGINT; 1 archived")
