"""The benchmark suite runs to its end and computes its ratios; speed itself is not tested here."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.benchmarks.comparison import Spread, Target, at_least, at_most, compared, ratios
from tests.benchmarks.measure import Contender, Measurement, Unsuccessful, in_turn, measured
from tests.benchmarks.suite import SUITE
from tests.benchmarks.table import WIDTH, Row, line
from tests.benchmarks.tools import missing
from tests.support.marks import slow

ROOT = Path(__file__).parents[2]
RUN = Measurement(wall=2.0, cpu=1.5, peak=40.0)
DOWNLOADERS = missing(SUITE["big"].tools)


def benchmarks(*args: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run the suite from the command line."""
    command = (sys.executable, "-m", "tests.benchmarks", *args)
    env = {"PATH": os.environ["PATH"]} | env
    return subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False
    )


def python(code: str, name: str = "python") -> Contender:
    """Return a contender that runs some Python."""
    return Contender(name, (sys.executable, "-S", "-c", code))


def test_the_list_names_all_benchmarks() -> None:
    """Every benchmark has a line that describes it."""
    result = benchmarks("--list")
    lines = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert (result.returncode, result.stderr) == (0, "")
    assert list(lines) == [
        "big", "small", "quiet", "dry-run", "busy", "memory", "fixity", "repair", "start", "idle",
        "committing",
    ]  # fmt: skip


def test_a_missing_tool_is_named(tmp_path: Path) -> None:
    """A tool that is not installed is named with how to install it, and the exit status is 2."""
    result = benchmarks("start", "big", PATH=str(tmp_path))
    assert (result.returncode, result.stdout) == (2, "")
    (message,) = result.stderr.splitlines()
    assert message.startswith("missing: ")
    assert "aria2c (apt install aria2), curl (apt install curl)" in message


def test_an_unknown_name_is_refused() -> None:
    """The exit status is 2, as for every wrong command line."""
    result = benchmarks("huge")
    assert result.returncode == 2
    assert "'huge' is not one of" in result.stderr


@slow
@pytest.mark.skipif(bool(DOWNLOADERS), reason=DOWNLOADERS)
def test_benchmarks_run_to_the_end(tmp_path: Path) -> None:
    """Each contender gets a row, with a verdict where there is a target; no file is left over."""
    raw = tmp_path / "raw.json"
    scale = ("--pairs", "1", "--scale", "0.02")
    result = benchmarks("big", "quiet", *scale, "--json", str(raw), TMPDIR=str(tmp_path))
    assert (result.returncode, result.stderr) == (0, "")
    rows = [line for line in result.stdout.splitlines() if line.startswith(("big ", "quiet "))]
    named = ["archiver", "floor", "aria2c", "parfive", "curl --parallel"]
    assert [row[11:40].strip() for row in rows][:6] == [*named, "floor: CPU"]
    assert [row.endswith(("reached", "missed")) for row in rows[:6]] == [0, 1, 1, 1, 0, 1]
    assert max(map(len, result.stdout.splitlines())) <= WIDTH
    assert list(json.loads(raw.read_text())["measurements"]["big"]) == named
    assert list(tmp_path.iterdir()) == [raw]


def test_the_ratio_is_the_median_of_the_rounds() -> None:
    """Each round is compared on its own: a slow minute slows both."""
    ours, theirs = [1.0, 20.0, 3.0], [2.0, 10.0, 6.0]
    assert ratios(ours, theirs) == [0.5, 2.0, 0.5]
    assert compared(ours, theirs, at_most(1)) == Spread(0.5, 0.5, 2.0)
    assert compared(ours, theirs, at_least(1)) == Spread(2.0, 0.5, 2.0)
    assert compared(ours, theirs, None) == Spread(2.0, 0.5, 2.0)


def test_every_round_has_its_counterpart() -> None:
    """Runs that were not taken in turn are not compared."""
    with pytest.raises(ValueError, match="zip"):
        ratios([1.0], [1.0, 2.0])


@pytest.mark.parametrize(
    ("target", "shown", "reached", "missed"),
    [
        (at_most(1.25), "≤ 1.25", 1.25, 1.2501),
        (at_least(3), "≥ 3", 3.0, 2.999),
        (at_most(20, "MB"), "≤ 20 MB", -3.0, 20.1),
        (at_most(2 / 0.7), "≤ 2.86", 2.857, 2.858),
    ],
)
def test_a_verdict_is_about_the_measured_value(
    target: Target, shown: str, reached: float, missed: float
) -> None:
    """Not about the value shown, which is rounded."""
    assert str(target) == shown
    for value, verdict in ((reached, "reached"), (missed, "missed")):
        assert Row("what", "who", [RUN], Spread(value, 0, 9), target).verdict == verdict


def test_a_row_shows_medians_and_fits() -> None:
    """A row without a target has no verdict."""
    runs = [RUN, Measurement(4.0, 3.0, 50.0), Measurement(12.0, 1.0, 60.0)]
    row = Row("big", "aria2c", runs, Spread(1.234, 1.2, 12.3), at_most(1.25))
    assert line(row.cells()).split() == [
        "big", "aria2c", "4.000", "1.500", "50.0", "1.23", "1.20..12.30", "≤", "1.25", "reached",
    ]  # fmt: skip
    assert len(line(row.cells())) <= WIDTH
    assert Row("big", "curl", runs, Spread(1, 1, 1)).verdict == ""


def test_contenders_run_in_turn_after_a_warm_up() -> None:
    """The first round runs, but is not counted."""
    order: list[str] = []
    contenders = [
        Contender(name, python("print(7)").command, prepare=partial(order.append, name))
        for name in ("ours", "theirs")
    ]
    rounds = in_turn(contenders, 2)
    assert order == ["ours", "theirs"] * 3
    assert {name: len(runs) for name, runs in rounds.runs.items()} == {"ours": 2, "theirs": 2}
    assert all(run.out == "7\n" for runs in rounds.runs.values() for run in runs)


def test_cpu_time_and_memory_are_those_of_the_process() -> None:
    """CPU seconds are spent by what it computes, and the peak is what it has in memory."""
    assert measured(python("data = b'x' * 500_000_000")).peak > 500
    busy = measured(python("import time\nwhile time.process_time() < 0.3: pass"))
    assert busy.cpu >= 0.3


def test_a_failure_raises() -> None:
    """A run that fails is not measured: its output is shown."""
    failing = python("import sys; sys.exit('the disk is full')", "ours")
    with pytest.raises(Unsuccessful, match=r"ours ended with 1: (?s:.*)the disk is full"):
        measured(failing)
