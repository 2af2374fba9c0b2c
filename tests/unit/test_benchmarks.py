"""The benchmark suite runs to its end and computes its ratios; speed itself is not tested here."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.benchmarks.comparison import Spread, Target, at_least, at_most, compared, ratios
from tests.benchmarks.measure import Contender, Measurement, Unsuccessful, in_turn, measured
from tests.benchmarks.servers import far_away
from tests.benchmarks.site import FIRST_ID
from tests.benchmarks.suite import SUITE
from tests.benchmarks.table import WIDTH, Row, line
from tests.benchmarks.tools import missing
from tests.benchmarks.wan import ideal, ideal_with_faults
from tests.support.marks import slow

ROOT = Path(__file__).parents[2]
RUN = Measurement(wall=2.0, cpu=1.5, peak=40.0)
DOWNLOADERS = missing(SUITE["big"].tools)
HASHERS = missing(SUITE["fixity"].tools)
STORES = missing(SUITE["bucket-big"].tools)
VIDEO = bytes(range(250)) * 400
API_DELAY, FIRST_BYTE, RATE = 0.05, 0.1, 1e6


def benchmarks(*args: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run the suite from the command line."""
    command = (sys.executable, "-m", "tests.benchmarks", *args)
    env = {"PATH": os.environ["PATH"]} | env
    return subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=240, check=False
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
        "committing", "wan", "bucket-big", "bucket-small", "bucket-memory",
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


@slow
@pytest.mark.skipif(bool(HASHERS), reason=HASHERS)
def test_fixity_and_far_networks_are_compared(tmp_path: Path) -> None:
    """Fixity is compared with openssl, and each run over a far network with a computed ideal."""
    scale = ("--pairs", "1", "--scale", "0.02")
    result = benchmarks("fixity", "wan", *scale, TMPDIR=str(tmp_path))
    assert (result.returncode, result.stderr) == (0, "")
    lines = [line for line in result.stdout.splitlines() if line.startswith(("fixity ", "wan "))]
    assert [line[11:40].strip().partition(" (")[0] for line in lines] == [
        "archiver verify", "openssl speed, all cores'", "without the start-up",
        f"{len(os.sched_getaffinity(0))} times one core's", "openssl dgst on all cores",
        "sha256sum -c", "archiver", "the ideal: 1.6 s, computed", "archiver, --api-rate 5/s",
        "the ideal: 2.0 s, computed", "archiver, with faults", "the ideal: 1.3 s, computed",
    ]  # fmt: skip
    assert [line.split()[-1] in ("reached", "missed") for line in lines[6:]] == [0, 1] * 3
    assert max(map(len, result.stdout.splitlines())) <= WIDTH
    assert list(tmp_path.iterdir()) == []


@slow
@pytest.mark.skipif(bool(STORES), reason=STORES)
def test_buckets_are_compared(tmp_path: Path) -> None:
    """A backup to a bucket is compared with sending the files alone, and with a directory."""
    names, scale = (
        ("bucket-big", "bucket-small", "bucket-memory"),
        ("--pairs", "1", "--scale", "0.01"),
    )
    result = benchmarks(*names, *scale, TMPDIR=str(tmp_path))
    assert (result.returncode, result.stderr) == (0, "")
    lines = [line for line in result.stdout.splitlines() if line.startswith("bucket ")]
    assert [line[11:40].strip() for line in lines] == [
        "archiver", "rclone copy", "archiver", "rclone copy", "to a directory", "to a bucket",
    ]  # fmt: skip
    assert max(map(len, result.stdout.splitlines())) <= WIDTH
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def failing_api(tmp_path: Path) -> Iterator[str]:
    """Serve videos from far away, some of whose links fail once; yield the API's URL."""
    for id_ in (1, 3, 7, 13):
        (tmp_path / f"{id_}.mp4").write_bytes(VIDEO)
    with far_away(tmp_path, str(API_DELAY), str(FIRST_BYTE), str(RATE), "faults") as port:
        yield f"http://127.0.0.1:{port}/api/v6/deepfake/fetch"


def links(api: str, id_: int) -> tuple[str, str]:
    """Ask the API for a generation; return its primary link and its proxy link."""
    with urlopen(f"{api}/{id_}", data=b"{}", timeout=10) as response:
        document = json.load(response)
    return document["output"][0], document["proxy_links"][0]


def body(url: str, timeout: float = 10, begin: int = 0) -> bytes:
    """Return what a link serves from this byte on."""
    headers = {"Range": f"bytes={begin}-"} if begin else {}
    with urlopen(Request(url, headers=headers), timeout=timeout) as response:
        read: bytes = response.read()
    return read


def test_a_far_site_is_never_quicker_than_its_network(failing_api: str) -> None:
    """Neither its API nor a link: what is compared with the ideal cannot beat it."""
    began = time.monotonic()
    primary, _ = links(failing_api, 1)
    assert time.monotonic() - began >= API_DELAY
    began = time.monotonic()
    assert body(primary) == VIDEO
    assert time.monotonic() - began >= FIRST_BYTE + len(VIDEO) / RATE


def test_a_link_of_a_far_site_fails_once(failing_api: str) -> None:
    """The next request for it gets the rest, and the proxy serves at once; a new run fails anew."""
    for _run in range(2):
        primary, proxy = links(failing_api, 7)
        assert body(proxy) == VIDEO
        with pytest.raises(HTTPError, match="503"):
            body(primary)
        assert body(primary, begin=1000) == VIDEO[1000:]


@pytest.mark.parametrize("id_", [3, 13])
def test_a_link_of_a_far_site_falls_silent_once(failing_api: str, id_: int) -> None:
    """In mid-body or before the head: until the client gives up."""
    primary, _ = links(failing_api, id_)
    with pytest.raises(TimeoutError):
        body(primary, timeout=0.5)
    assert body(primary) == VIDEO


def test_the_ideal_is_computed() -> None:
    """80 videos of 3 MB at 5 MB/s take 0.8 s each, and 8 are downloaded at once.

    With faults 8 of 80 links are silent for 2 s, after half of which a body goes on with a first
    byte more, and 8 answer 503 after 0.2 s.
    """
    assert ideal(80) == pytest.approx(8.0)
    lost = 8 * 2.0 + 4 * 0.2 + 8 * 0.2
    assert ideal_with_faults(range(FIRST_ID, FIRST_ID + 80)) == pytest.approx(8 + lost / 8)


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
