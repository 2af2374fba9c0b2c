"""A night that is told to end, by a signal or by its time, ends in order and goes on later."""

import asyncio
import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from archiver.emulator.scripts import ApiScript, LinkScript, OutputScript, Script
from archiver.emulator.server import Emulator
from tests.support.backups import assert_lines_true, assert_true_bag, generation
from tests.support.running import Ended, Workspace, started, until

PIPES = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
LARGE = 20_000_000
SLOW = Script(outputs=(OutputScript(size=LARGE, primary=LinkScript(seconds=60)),))
"""A video that comes steadily, and is not there when a night is ended."""
FAST = Script(outputs=(OutputScript(size=LARGE),))
"""The same video, at once."""
SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


@pytest.fixture
def workspace(tmp_path: Path, emulator: Emulator) -> Workspace:
    return Workspace(tmp_path, emulator)


def script(workspace: Workspace, scripts: dict[str, Script]) -> str:
    """Tell the emulator how these generations behave; return a manifest of them."""
    workspace.emulator.scripts |= {generation(name): script for name, script in scripts.items()}
    return workspace.manifest(*scripts)


def many(count: int, of: Script | None = None) -> dict[str, Script]:
    """Return so many scripts, by ID."""
    return {str(number): of or Script() for number in range(1, count + 1)}


async def end(process: asyncio.subprocess.Process, within: float) -> Ended:
    """Wait for a process and return how it ended; 128 and the signal's number if of a signal."""
    async with asyncio.timeout(within):
        out, err = await process.communicate()
    status = process.returncode or 0
    return Ended(status if status >= 0 else 128 - status, out.decode(), err.decode())


async def stopped(
    workspace: Workspace, ready: str, number: int, *args: str, within: float
) -> tuple[Ended, float]:
    """Back up, send a signal once a generation has been asked about, and wait for the end.

    Return how it ended, and how many seconds after the signal.
    """
    async with started(*workspace.command(*args), env=workspace.env(), **PIPES) as run:
        await until(lambda: workspace.emulator.asked(generation(ready)))
        sent = time.monotonic()
        run.send_signal(number)
        return await end(run, within), time.monotonic() - sent


def others_in_group(group: int) -> list[str]:
    """Return the processes that belong to a process group or session, as the system lists them."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if str(group) in fields[2:4] and fields[0] != "Z":
            found.append(stat.parent.name)
    return found


# --- A large download


@pytest.mark.parametrize(("how", "status"), [("SIGINT", 130), ("SIGTERM", 143), ("--max-time", 0)])
async def test_a_large_download_goes_on_the_next_night(
    workspace: Workspace, how: str, status: int
) -> None:
    """What has come when the grace is over is kept, and the next run asks for the rest alone."""
    names = script(workspace, {"1": SLOW, "2": Script()})
    args = ("--max-time", "2s") if how == "--max-time" else ()
    async with started(
        *workspace.command("--json", *args, names), env=workspace.env(), **PIPES
    ) as run:
        await until(lambda: workspace.held() and workspace.emulator.downloads(generation("1")))
        if not args:
            run.send_signal(getattr(signal, how))
        told = await end(run, within=20)
    summary = json.loads(told.out)
    assert (told.status, summary["exit_status"]) == (status, status), told.err
    assert (summary["outcomes"]["archived"], summary["outcomes"]["skipped"]) == (1, 1)
    assert how in summary["ended_early"]
    assert_true_bag(workspace.archive)
    (part,) = (workspace.archive / ".archiver/incoming").rglob("*.part")
    kept = part.stat().st_size
    assert 256_000 < kept < LARGE
    workspace.emulator.scripts[generation("1")] = FAST
    workspace.emulator.forget()
    assert await workspace.backup(names) == Ended(0, "", "")
    (request,) = [seen for seen in workspace.emulator.requests if seen.host != "api"]
    assert request.headers["Range"] == f"bytes={kept}-"
    assert request.headers["If-Range"].startswith('"')
    assert_true_bag(workspace.archive)
    whole = workspace.emulator.payload(generation("1")).whole()
    assert (workspace.archive / "data/v6/deepfake/1.mp4").read_bytes() == whole
    assert not any((workspace.archive / ".archiver/incoming").iterdir())


@pytest.mark.parametrize(("first", "second"), [SIGNALS, SIGNALS[::-1]])
async def test_a_second_signal_of_another_kind_ends_it_at_once(
    workspace: Workspace, first: tuple[int, int], second: tuple[int, int]
) -> None:
    """In the middle of downloading and settling, the second signal's is the exit status."""
    names = script(workspace, {"99": SLOW} | many(40))
    command = workspace.command("--downloads", "4", "--api-rate", "40/s", names)
    async with started(*command, env=workspace.env(), **PIPES) as run:
        await until(
            lambda: len(workspace.held()) > 3 and workspace.emulator.downloads(generation("99"))
        )
        run.send_signal(first[0])
        assert b"ending" in await asyncio.wait_for(run.stderr.readline(), 5)
        sent = time.monotonic()
        run.send_signal(second[0])
        told = await end(run, within=5)
        assert time.monotonic() - sent < 2
    assert told.status == second[1]
    assert "stopped at once: what is finished is held" in told.err
    assert "Traceback" not in told.err
    assert_lines_true(workspace.archive)
    held = workspace.held()
    workspace.emulator.scripts[generation("99")] = FAST
    assert await workspace.backup(names) == Ended(0, "", "")
    assert len(workspace.held()) == 41
    assert all(workspace.emulator.downloads(generation(Path(name).stem)) == 1 for name in held)
    assert_true_bag(workspace.archive)


# --- Its time


async def test_a_night_ends_when_its_time_is_up(workspace: Workspace) -> None:
    """What is finished is held; how many were skipped, and why, is reported; and that is no failure."""
    names = script(workspace, many(60))
    before = time.monotonic()
    told = await workspace.backup("-v", "--max-time", "2s", "--api-rate", "10/s", names)
    assert 2 <= time.monotonic() - before < 6
    assert (told.status, told.out) == (0, "")
    held = len(workspace.held())
    assert 5 < held < 40
    skipped = f"skipped {60 - held}, retried on the next run: the time limit was reached"
    assert skipped in told.err
    assert_true_bag(workspace.archive)
    assert await workspace.backup(names) == Ended(0, "", "")
    assert len(workspace.held()) == 60
    assert workspace.emulator.downloads() == 60
    assert_true_bag(workspace.archive)


async def test_cron_is_told_nothing_when_the_time_is_up(workspace: Workspace) -> None:
    """A night that ends as it was told to, with 0, is silent like any other."""
    names = script(workspace, many(60))
    told = await workspace.backup("--max-time", "1s", "--api-rate", "10/s", names)
    assert told == Ended(0, "", "")


async def test_what_failed_before_the_time_was_up_is_still_told(workspace: Workspace) -> None:
    """A failure makes the night end with 3, whatever ended it."""
    dead = Script(outputs=(OutputScript(primary=LinkScript(fault="dead")),))
    names = script(workspace, {"99": dead} | many(60))
    told = await workspace.backup("--max-time", "2s", "--api-rate", "10/s", names)
    assert (told.status, told.out) == (3, "")
    assert "failed v6/deepfake/99: " in told.err
    assert "--max-time" in told.err
    assert_true_bag(workspace.archive)


async def test_a_time_that_is_not_used_up_changes_nothing(workspace: Workspace) -> None:
    """A night that is done sooner ends when it is done."""
    before = time.monotonic()
    assert await workspace.backup("--max-time", "1h", script(workspace, many(3))) == Ended(
        0, "", ""
    )
    assert time.monotonic() - before < 10
    assert len(workspace.held()) == 3


# --- While nothing moves


@pytest.mark.parametrize(("number", "status"), SIGNALS)
async def test_throttled_it_ends_promptly(workspace: Workspace, number: int, status: int) -> None:
    """A pause that ModelsLab has asked for is not sat out when the run is to end."""
    workspace.emulator.api = ApiScript(always="throttled", retry_after=40)
    names = script(workspace, many(5))
    told, seconds = await stopped(workspace, "1", number, names, within=30)
    assert told.status == status, told.err
    assert seconds < 3
    assert "skipped 5, retried on the next run" in told.err
    assert "Traceback" not in told.err


@pytest.mark.parametrize(("number", "status"), SIGNALS)
async def test_waiting_for_the_making_it_ends_promptly(
    workspace: Workspace, number: int, status: int
) -> None:
    """What is still processing is left for the next run."""
    names = script(workspace, many(3, Script(response="processing")))
    told, seconds = await stopped(workspace, "3", number, "--wait", "15m", names, within=30)
    assert told.status == status, told.err
    assert seconds < 3
    assert "3 pending" in told.err
    assert_true_bag(workspace.archive)


@pytest.mark.parametrize(("number", "status"), SIGNALS)
async def test_waiting_for_the_lock_it_ends_promptly(
    workspace: Workspace, number: int, status: int
) -> None:
    """Who waits for another run can be stopped like any other."""
    names = script(workspace, {"1": SLOW})
    async with started(*workspace.command(names), env=workspace.env()) as holder:
        await until(workspace.emulator.downloads)
        waiting = workspace.command("--lock-wait", "20s", names)
        async with started(*waiting, env=workspace.env(), **PIPES) as waiter:
            await until(lambda: "_sqlite3" in Path(f"/proc/{waiter.pid}/maps").read_text())
            await asyncio.sleep(0.5)  # all is imported now, and nothing remains but to wait
            sent = time.monotonic()
            waiter.send_signal(number)
            told = await end(waiter, within=30)
            assert time.monotonic() - sent < 3
        assert told.status == status
        assert "Traceback" not in told.err
        assert holder.returncode is None


# --- All at once


async def test_a_killed_group_leaves_nothing_running(workspace: Workspace) -> None:
    """No process outlives the run, whichever way it dies, and the next one finishes its work."""
    names = script(workspace, {"1": SLOW} | {str(n): Script() for n in range(2, 30)})
    async with started(*workspace.command("--downloads", "4", names), env=workspace.env()) as run:
        await until(lambda: workspace.held() and workspace.emulator.downloads(generation("1")))
        assert others_in_group(run.pid) == [str(run.pid)]
        os.killpg(run.pid, signal.SIGKILL)
        assert await run.wait() == -signal.SIGKILL
        assert others_in_group(run.pid) == []
    assert_lines_true(workspace.archive)
    workspace.emulator.scripts[generation("1")] = FAST
    assert await workspace.backup(names) == Ended(0, "", "")
    assert len(workspace.held()) == 29
    assert_true_bag(workspace.archive)


async def test_the_last_words_of_an_interrupted_night(workspace: Workspace) -> None:
    """The report names the signal and counts what was done and what was skipped."""
    names = script(workspace, many(60))
    async with started(
        *workspace.command("--api-rate", "10/s", names), env=workspace.env(), **PIPES
    ) as run:
        await until(lambda: len(workspace.held()) > 2)
        run.send_signal(signal.SIGTERM)
        told = await end(run, within=8)
    held = len(workspace.held())
    assert told.status == 143
    assert re.search(rf"^{held} archived, {60 - held} skipped; ", told.err, re.MULTILINE)
    assert "ended early: interrupted by SIGTERM\n" in told.err
    assert f"skipped {60 - held}, retried on the next run\n" in told.err
    assert_true_bag(workspace.archive)
