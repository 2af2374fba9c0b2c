"""The status on a terminal is a glance: rows that fit, and colours that say nothing alone."""

import io
import re
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from archiver.catalogue.queries import Known, Tally
from archiver.cli.status_report import Running, Status, Unfinished, follow, look
from archiver.cli.status_view import drawn, rows, rows_of_run
from archiver.cli.status_watch import Lines, Screen
from archiver.cli.terminal import coloured
from archiver.emulator.scripts import LinkScript, OutputScript, Script
from archiver.outcomes import Outcome, Worklist
from archiver.pipeline.backup import backup
from archiver.progress import Silent
from archiver.run import Holdings, Run
from tests.support.archives import open_catalogue
from tests.support.backups import Backups, generation

BEGAN = datetime(2026, 11, 23, 2, tzinfo=UTC)
RUNS = (
    Run("backup", BEGAN),
    Run("backup", BEGAN, BEGAN, 0, summary="12 archived; 14.2 MB in 6 s"),
    Run("verify", BEGAN, BEGAN, 4, {"checked": 9}, summary="1 of 9 files is wrong"),
)
WRONG = Known(generation("301"), "failed", "ModelsLab responded: " + "no " * 40, "2026-11-23T02:00")
STATUS = Status(
    Path("/srv/videos"),
    Holdings(12, 26, 14_200_000),
    Tally(12, "2026-11-22T02:00:00+00:00", "2026-11-23T02:00:00+00:00"),
    {
        "pending": Unfinished(Tally(), ()),
        "failed": Unfinished(Tally(7, "2026-11-22", "2026-11-23"), (WRONG,) * 7),
        "lost": Unfinished(Tally(), ()),
    },
    RUNS,
    RUNS[2],
    None,
    10**11,
    5 * 10**11,
)
RUNNING = Running(
    "process 881, since 2026-11-23 02:00",
    RUNS[0],
    Holdings(12, 26, 14_200_000),
    {"held": 5, "pending": 1, "failed": 0, "lost": 0},
    3,
    1_500_000,
)


def plain(lines: list[str]) -> str:
    return re.sub("\x1b\\[[0-9]*m", "", "\n".join(lines))


@pytest.mark.parametrize("width", [40, 80, 200])
def test_rows_fit_the_terminal(width: int) -> None:
    """At any width there are the same words, and labels in a column of their own."""
    lines = drawn(rows(STATUS), width, colours=False)
    assert all(len(line) <= width for line in lines)
    assert plain(lines).split() == plain(drawn(rows(STATUS), 500, colours=False)).split()
    labels = [label for line in lines if (label := line[:10].strip())]
    assert labels == ["archive", "held", "failed", "disk", "fixity", "runs", "failed"]


def test_colours_say_nothing_alone() -> None:
    """Without them the same is there, word for word."""
    with_colours = drawn(rows(STATUS), 80, colours=True)
    assert "\x1b[" in "\n".join(with_colours)
    assert plain(with_colours) == "\n".join(drawn(rows(STATUS), 80, colours=False))


def test_how_runs_ended_is_marked() -> None:
    """In words: ok, the exit status, or that there was no end; and a run in progress."""
    text = plain(drawn(rows(STATUS), 80, colours=False))
    assert re.search(r"^runs      no end  .*backup: it was killed", text, re.MULTILINE)
    assert re.search(r"^          ok      .*backup: 12 archived", text, re.MULTILINE)
    assert re.search(r"^fixity    exit 4  .*verify: 1 of 9 files is wrong", text, re.MULTILINE)
    running = replace(STATUS, running="process 881")
    assert "backup, in progress" in plain(drawn(rows(running), 80, colours=False))


def test_only_some_generations_are_named() -> None:
    """The rest is counted: it is a glance."""
    text = plain(drawn(rows(STATUS), 80, colours=False))
    assert text.count("v6/deepfake/301") == 5
    assert "… and 2 more" in text


@pytest.mark.parametrize(
    ("env", "wanted", "expected"),
    [
        ({}, None, True),
        ({"NO_COLOR": "1"}, None, False),
        ({"NO_COLOR": ""}, None, True),
        ({"NO_COLOR": "1", "CLICOLOR_FORCE": "1"}, None, False),
        ({"NO_COLOR": "1"}, True, True),
        ({}, False, False),
        ({"CLICOLOR_FORCE": "1"}, False, False),
        ({"TERM": "dumb"}, None, False),
    ],
)
def test_colours_follow_the_conventions(
    monkeypatch: pytest.MonkeyPatch, env: dict[str, str], wanted: bool | None, expected: bool
) -> None:
    """The option is first, then NO_COLOR, then CLICOLOR_FORCE, then what the terminal can."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for name in ("NO_COLOR", "CLICOLOR_FORCE", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert coloured(Terminal(), wanted) == expected
    assert coloured(io.StringIO(), wanted) == bool(wanted)


@pytest.mark.parametrize(("force", "expected"), [("1", True), ("0", False), ("", False)])
def test_colours_can_be_forced(monkeypatch: pytest.MonkeyPatch, force: str, expected: bool) -> None:
    """By CLICOLOR_FORCE, where there is no terminal."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("CLICOLOR_FORCE", force)
    assert coloured(io.StringIO()) == expected


# --- Watching


@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_run_in_progress_fits_the_terminal(width: int) -> None:
    """No line is longer: what is drawn in place must not wrap, whatever its words."""
    now = BEGAN + timedelta(minutes=5)
    lines = drawn(rows_of_run(RUNNING, now), width, colours=False, clip=True)
    assert all(len(line) <= width for line in lines)
    text = " ".join(" ".join(lines).split())
    assert "running backup for" in text
    assert "archived 5 pending 1 failed 0 lost 0 held" in text


def test_a_screen_is_drawn_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was shown is overwritten, and in the end it is gone."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "5")
    out = io.StringIO()
    screen = Screen(out, colours=False)
    screen.show(RUNNING)
    assert out.getvalue().count("\n") == 4
    screen.show(RUNNING)
    assert out.getvalue().count("\x1b[4A\r\x1b[J") == 1
    screen.clear()
    screen.clear()
    assert out.getvalue().endswith("\x1b[4A\r\x1b[J")


def test_a_log_gets_a_line_for_each_change() -> None:
    """And none for a download that goes on."""
    out = io.StringIO()
    lines = Lines(out)
    for size in (1, 2):
        lines.show(replace(RUNNING, unfinished_bytes=size))
    lines.show(replace(RUNNING, found={**RUNNING.found, "held": 6}))
    lines.clear()
    first, second = (line.split("  ", 1)[1] for line in out.getvalue().splitlines())
    assert first == "backup: 5 archived, 1 pending; 12 held, 14.2 MB"
    assert second.startswith("backup: 6 archived, 1 pending;")


async def test_a_run_is_followed_from_outside(backups: Backups) -> None:
    """What it has found since it began, by the catalogue and without the lock."""
    dead = Script(outputs=(OutputScript(primary=LinkScript(fault="dead")),))
    backups.emulator.scripts |= {
        generation("1"): Script(), generation("2"): dead, generation("3"): Script(),
    }  # fmt: skip
    await backups.run("1")
    assert follow(backups.archive) is None
    with closing(open_catalogue(backups.archive)) as catalogue, catalogue.connection as db:
        db.execute("UPDATE generation SET since = '2026-01-01T00:00:00+00:00'")
    found: list[Running | None] = []

    class Curious(Silent):
        def planned(self, worklist: Worklist) -> None:
            found.append(follow(backups.archive))

        def finished(self, outcome: Outcome) -> None:
            found.append(follow(backups.archive))

    manifest = backups.archive.with_name("ids.txt")
    manifest.write_text("1\n2\n3\n")
    report = await backup(backups.archive, [manifest], backups.settings(), Curious())
    assert (report.archived, report.failed) == (1, 1)
    first, last = found[0], found[-1]
    assert first
    assert last
    assert (first.name, first.counts) == ("backup", "nothing yet")
    assert last.counts == "1 archived, 1 failed"
    assert last.holdings.generations == 2
    assert follow(backups.archive) is None
    assert look(backups.archive).runs[0].exit_status == 3
