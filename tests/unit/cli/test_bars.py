"""The bars move while nothing arrives, and say nothing that is not known."""

import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import replace

import pytest

from archiver.cli import bars
from archiver.cli.bars import ProgressBars, line
from archiver.cli.terminal import shown_progress
from archiver.outcomes import Pending, Worklist
from archiver.progress import Activity, Progress
from tests.support.catalogues import generation

BUSY = Activity(3, 8, 1, 4, 2, 5)


class Terminal(io.StringIO):
    """A standard error that is a terminal."""

    def isatty(self) -> bool:
        """It is one."""
        return True

    def last(self, text: str) -> str:
        """Return what followed a text when it was last shown, up to a bracket."""
        return self.getvalue().rpartition(text)[2].partition("]")[0]

    def waits_for(self, text: str) -> bool:
        """Return whether a text is shown in time."""
        until = time.monotonic() + 20
        while text not in self.getvalue():
            if time.monotonic() > until:
                return False
            time.sleep(0.01)
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal on which bars are redrawn at once."""
    monkeypatch.setattr(bars, "_TICK", 0.02)
    return Terminal()


@contextmanager
def shown(
    terminal: Terminal, *, quiet: bool = False, generations: bool = True
) -> Iterator[Progress]:
    """Show progress on the terminal."""
    with (
        redirect_stderr(terminal),
        shown_progress(0, quiet=quiet, generations=generations) as progress,
    ):
        yield progress


def ticking() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "progress"]


def test_the_bars_tick_while_nothing_arrives(terminal: Terminal) -> None:
    """The time that has passed is the time that has passed."""
    with shown(terminal) as progress:
        progress.planned(Worklist(to_fetch=2))
        assert terminal.waits_for("0/2 [00:01]")


def test_they_end_with_the_run(terminal: Terminal) -> None:
    """No thread is left, and nothing is drawn afterwards."""
    with shown(terminal) as progress:
        progress.planned(Worklist(to_fetch=2))
        assert len(ticking()) == 1
    written = len(terminal.getvalue())
    assert ticking() == []
    progress.close()
    assert len(terminal.getvalue()) == written


@pytest.mark.parametrize("is_a_terminal", [True, False])
def test_nothing_is_drawn_that_nobody_wants(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, is_a_terminal: bool
) -> None:
    """With --quiet, or where standard error is no terminal, there is no thread either."""
    monkeypatch.setattr(terminal, "isatty", lambda: is_a_terminal)
    with shown(terminal, quiet=is_a_terminal) as progress:
        progress.planned(Worklist(to_fetch=2))
        progress.follow(lambda: BUSY)
        assert ticking() == []
    assert terminal.getvalue() == ""


def test_what_the_run_is_busy_with_is_shown(terminal: Terminal) -> None:
    """Below the bars, as it is at that moment."""
    busy = Activity(asked=1)
    with shown(terminal) as progress:
        progress.follow(lambda: busy)
        assert terminal.waits_for("1 asked")
        busy = Activity(processing=1)
        assert terminal.waits_for("waiting for 1 still being made")


def test_the_time_left_is_not_given_while_nothing_moves(terminal: Terminal) -> None:
    """With work under way it is; never is it 0, and while all is waited for there is none."""
    busy = Activity(downloading=1)
    with shown(terminal) as progress:
        assert isinstance(progress, ProgressBars)
        progress.planned(Worklist(to_fetch=1000))
        progress.follow(lambda: busy)
        progress.finished(Pending(generation(1)))
        assert terminal.waits_for("1/1000 [00:00<")
        for still in (Activity(processing=999), Activity(asked=999, pause="rate-limited")):
            busy = still
            progress._generations.refresh()
            assert "<" not in terminal.last("1/1000 [")
        busy = Activity(downloading=1)
        for _ in range(998):
            progress.finished(Pending(generation(1)))
        progress._generations.refresh()
        assert "<" not in terminal.last("999/1000 [")
    assert "<00:00" not in terminal.getvalue()


def test_a_stalled_download_has_no_rate(terminal: Terminal) -> None:
    """What came some seconds ago is no rate any more."""
    with shown(terminal, generations=False) as progress:
        progress.expected(10_000_000)
        progress.received(5_000_000)
        assert terminal.waits_for("B/s]")
        assert terminal.waits_for("5.00M/10.0M [00:00]")


@pytest.mark.parametrize(
    ("activity", "width", "expected"),
    [
        (Activity(), 80, ""),
        (
            BUSY,
            200,
            "3 asked, 8 downloading, waiting for 1 still being made, 4 not there yet,"
            " 2 deferred by a host, 5 deferred by ModelsLab",
        ),
        (
            BUSY,
            79,
            "3 asked, 8 downloading, 1 being made, 4 not there, 2 deferred, 5 throttled",
        ),
        (BUSY, 39, "3 asked, 8 downloading, 1 being made, …"),
        (replace(BUSY, pause="rate-limited, retry in 30 s"), 30, "rate-limited, retry in 30 s, …"),
        (Activity(processing=12_345), 20, "12,345 being made"),
        (Activity(processing=12_345), 10, "12,345 be…"),
    ],
)
def test_activity_is_one_line(activity: Activity, width: int, expected: str) -> None:
    """What there is none of is left out; a narrow terminal has fewer words, or the beginning."""
    assert line(activity, width) == expected
    assert len(expected) <= width
