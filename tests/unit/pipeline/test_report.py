"""What became of each generation, the night's report, and the exit status."""

import json
import re
from collections.abc import Iterator
from itertools import permutations

import pytest

from archiver import errors
from archiver.errors import (
    ApiUnreachable,
    ArchiveLocked,
    ArchiverError,
    ConfigurationError,
    Interrupted,
    KeyRejected,
    ManifestUnreadable,
    NotAnArchive,
    StorageError,
    storage_errors,
)
from archiver.generation import Generation
from archiver.manifest.entries import BadLine
from archiver.outcomes import (
    KEPT_LIMIT,
    TOLD_LIMIT,
    Archived,
    Enlisted,
    Failed,
    LinkFault,
    Lost,
    Outcome,
    Pending,
    Report,
)

DEAD = LinkFault("primary", "https://a.example/x.mp4", "404 Not Found", gone=True)
CUT = LinkFault("proxy", "https://b.example/x.mp4", "cut after 5 of 9 bytes")
BAD = BadLine("ids.txt", 7, "'a/b/c/d' is not understood: expected an ID")


def generation(id_: int = 263) -> Generation:
    return Generation("v6/deepfake", str(id_))


ARCHIVED = Archived(generation(), 1500, ("https://a.example/x.mp4",))
PENDING = Pending(generation())
LOST = Lost(generation(), "ModelsLab says: Request not found")
FAILED = Failed(generation(), "no link gave the video", (DEAD, CUT))


def report(
    *outcomes: Outcome, to_ask: int | None = None, ending: ArchiverError | None = None
) -> Report:
    night = Report(ending=ending)
    night.enlist(Enlisted(to_ask=len(outcomes) if to_ask is None else to_ask))
    for outcome in outcomes:
        night.add(outcome)
    return night


# --- The exit status

ENDINGS = [
    (ConfigurationError("x"), 2),
    (NotAnArchive("x"), 2),
    (ManifestUnreadable("x"), 2),
    (ApiUnreachable("x"), 69),
    (StorageError("x"), 74),
    (ArchiveLocked("x"), 75),
    (KeyRejected("x"), 77),
    (Interrupted(2), 130),
    (Interrupted(15), 143),
]


@pytest.mark.parametrize(("ending", "status"), ENDINGS)
def test_every_ending_has_its_published_status(ending: ArchiverError, status: int) -> None:
    """What ends a night early decides the exit status."""
    assert ending.exit_status == status
    assert report(ending=ending).exit_status == status


@pytest.mark.parametrize(("ending", "status"), ENDINGS)
def test_an_ending_is_worse_than_any_generation(ending: ArchiverError, status: int) -> None:
    """The worst that happened wins: 3 is never told instead of it."""
    assert report(FAILED, LOST, to_ask=9, ending=ending).exit_status == status


def test_the_table_of_errors_is_complete_and_true() -> None:
    """The tree that the module's docstring draws names each error, with its status."""

    def kinds(error: type[ArchiverError]) -> Iterator[type[ArchiverError]]:
        for kind in error.__subclasses__():
            if kind.__module__ == errors.__name__:
                yield kind
                yield from kinds(kind)

    drawn = re.findall(r"── (\w+) +(\d+(?:/\d+)?) ", errors.__doc__ or "")
    true = {kind.__name__: str(kind.exit_status) for kind in kinds(ArchiverError)}
    assert dict(drawn) == true | {"Interrupted": "130/143"}
    assert {type(ending).__name__ for ending, _ in ENDINGS} == set(true)


def test_interruptions_have_their_own_statuses() -> None:
    """One interruption's status is not the next one's."""
    term, interrupt = Interrupted(15), Interrupted(2)
    assert (term.exit_status, str(term)) == (143, "interrupted by SIGTERM")
    assert (interrupt.exit_status, str(interrupt)) == (130, "interrupted by SIGINT")


@pytest.mark.parametrize(
    ("night", "status"),
    [
        (Report(), 0),
        (Report(already_held=5), 0),
        (Report(known_lost=5), 0),
        (report(ARCHIVED), 0),
        (report(PENDING), 0),
        (report(ARCHIVED, PENDING), 0),
        (report(LOST), 3),
        (report(FAILED), 3),
        (report(ARCHIVED, to_ask=2), 3),
        (Report(bad_lines=1), 3),
        (Report(unreadable=["ids.txt: cannot be read: Permission denied"]), 3),
    ],
)
def test_what_is_not_held_ends_with_three(night: Report, status: int) -> None:
    """Held, in the making or known to be lost is well; lost, failed, left or unread is not."""
    assert night.exit_status == status


def test_the_disks_refusal_is_translated() -> None:
    """An `OSError` becomes trouble with what was being done; any other error stays itself."""
    with (
        pytest.raises(StorageError, match=r"^the disk failed while writing x: No space left"),
        storage_errors("writing x"),
    ):
        raise OSError(28, "No space left on device")
    with pytest.raises(KeyError), storage_errors("writing x"):
        raise KeyError


# --- Counting


@pytest.mark.parametrize(
    "outcomes",
    [*permutations([ARCHIVED, PENDING, LOST, FAILED]), (FAILED, LOST, PENDING, ARCHIVED) * 3],
)
def test_each_outcome_is_counted_once(outcomes: tuple[Outcome, ...]) -> None:
    """In whatever order they come."""
    night, each = report(*outcomes), len(outcomes) // 4
    assert (night.archived, night.pending, night.lost, night.failed) == (each,) * 4
    assert (night.bytes, night.left) == (1500 * each, 0)


def test_what_was_not_tried_is_left() -> None:
    """What the list had to ask for, less every outcome, is left for the next night."""
    night = report(ARCHIVED, PENDING, LOST, FAILED, to_ask=10)
    night.enlist(Enlisted(already_held=100, known_lost=50, to_ask=10))
    assert night.left == 6
    night.add(ARCHIVED)
    assert night.left == 5


@pytest.mark.parametrize(
    ("faults", "gone"), [((), False), ((DEAD,), True), ((DEAD, DEAD), True), ((DEAD, CUT), False)]
)
def test_links_are_gone_when_every_host_says_so(faults: tuple[LinkFault, ...], gone: bool) -> None:
    """One link that merely failed may work tomorrow, and no link at all says nothing."""
    assert Failed(generation(), "x", faults).gone is gone


# --- Telling people


def test_a_good_night_is_one_line() -> None:
    """Counts of what there was, bytes and time, and nothing about what there was not."""
    night = report(ARCHIVED, PENDING)
    night.already_held, night.known_lost, night.seconds = 1234, 2, 61
    assert list(night.lines()) == [
        "1 archived, 1,234 already held, 1 still being made, 2 known to be lost; "
        "1.5 kB in 1 min 1 s"
    ]


def test_an_empty_night_says_so() -> None:
    """A list of nothing is nothing to do."""
    assert list(Report().lines()) == ["nothing to do; 0 bytes in 0 s"]


def test_what_went_wrong_has_a_line_each() -> None:
    """The ending, what is left and why, the manifests, then failed and lost with every link."""
    night = report(LOST, FAILED, to_ask=1002, ending=KeyRejected("ModelsLab refuses the API key"))
    night.left_because = "throttled: ModelsLab asks to wait 30 min"
    night.unreadable.append("gone.txt: cannot be read: No such file or directory")
    night.add_bad_line(BAD)
    assert list(night.lines()) == [
        "1 failed, 1 lost, 1,000 left; 0 bytes in 0 s",
        "ended early: ModelsLab refuses the API key",
        "left for the next night: 1,000 not tried: throttled: ModelsLab asks to wait 30 min",
        "gone.txt: cannot be read: No such file or directory",
        "ids.txt:7: 'a/b/c/d' is not understood: expected an ID",
        "failed v6/deepfake/263: no link gave the video; "
        "primary https://a.example/x.mp4: 404 Not Found; "
        "proxy https://b.example/x.mp4: cut after 5 of 9 bytes",
        "lost v6/deepfake/263: ModelsLab says: Request not found",
    ]


@pytest.mark.parametrize("kind", [Lost, Failed, BadLine])
@pytest.mark.parametrize(
    ("count", "said"),
    [
        (TOLD_LIMIT, None),
        (TOLD_LIMIT + 1, "… and 1 more like these"),
        (KEPT_LIMIT + 1020, f"… and {KEPT_LIMIT + 1020 - TOLD_LIMIT:,} more like these"),
    ],
)
def test_many_lines_of_a_kind_are_capped(kind: type, count: int, said: str | None) -> None:
    """The first twenty of each kind are told, and the rest is counted."""
    night = Report()
    for number in range(count):
        if kind is BadLine:
            night.add_bad_line(BadLine("ids.txt", number + 1, "x"))
        else:
            night.add(kind(generation(number), "x"))
    told = list(night.lines())[1:]
    told = [line for line in told if not line.startswith("left for")]
    assert len(told) == TOLD_LIMIT + (said is not None)
    assert told[0].startswith(("lost v6/deepfake/0", "failed v6/deepfake/0", "ids.txt:1:"))
    assert (told[-1] == said) is (said is not None)


# --- Telling programs


def test_the_summary_has_every_count_and_reason() -> None:
    """One JSON object: counts per outcome, bytes, seconds, and why for each trouble."""
    night = report(ARCHIVED, PENDING, FAILED, LOST, to_ask=6)
    night.already_held, night.known_lost, night.seconds = 7, 8, 1.23456
    night.left_because = "throttled"
    night.unreadable.append("gone.txt: cannot be read")
    night.add_bad_line(BAD)
    assert json.loads(json.dumps(night.as_json())) == {
        "outcomes": {
            "archived": 1, "already_held": 7, "pending": 1, "failed": 1, "lost": 1,
            "known_lost": 8, "left": 2,
        },
        "bytes": 1500,
        "seconds": 1.235,
        "exit_status": 3,
        "ended_early": "throttled",
        "troubles": [
            {"generation": "v6/deepfake/263", "outcome": "failed",
             "reason": "no link gave the video",
             "links": [
                {"role": "primary", "link": "https://a.example/x.mp4", "reason": "404 Not Found"},
                {"role": "proxy", "link": "https://b.example/x.mp4",
                 "reason": "cut after 5 of 9 bytes"},
             ]},
            {"generation": "v6/deepfake/263", "outcome": "lost",
             "reason": "ModelsLab says: Request not found", "links": []},
        ],
        "troubles_omitted": 0,
        "bad_lines": ["ids.txt:7: 'a/b/c/d' is not understood: expected an ID"],
        "bad_lines_omitted": 0,
        "unreadable_manifests": ["gone.txt: cannot be read"],
    }  # fmt: skip


def test_the_summary_tells_what_ended_the_night() -> None:
    """The ending's words and status, or null where the night went to its end."""
    ended = report(ending=Interrupted(15)).as_json()
    assert (ended["ended_early"], ended["exit_status"]) == ("interrupted by SIGTERM", 143)
    assert Report().as_json()["ended_early"] is None


def test_the_summary_is_capped() -> None:
    """A bad night of a million is still a small object: the rest is counted."""
    night = Report()
    for number in range(KEPT_LIMIT + 5):
        night.add(Failed(generation(number), "x"))
        night.add(Lost(generation(number), "x"))
        night.add_bad_line(BAD)
    summary = night.as_json()
    assert isinstance(summary["troubles"], list)
    assert isinstance(summary["bad_lines"], list)
    assert (len(summary["troubles"]), summary["troubles_omitted"]) == (2 * KEPT_LIMIT, 10)
    assert (len(summary["bad_lines"]), summary["bad_lines_omitted"]) == (KEPT_LIMIT, 5)
