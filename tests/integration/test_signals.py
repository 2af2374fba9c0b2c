"""A signal or `--max-time` ends a run cleanly, and the next run goes on."""

import asyncio
import json
import os
import re
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from archiver.emulator.scripts import ApiScript, LinkScript, OutputScript, Script
from tests.support.backups import assert_lines_true, assert_true_bag, generation
from tests.support.hostile import sized
from tests.support.marks import slow
from tests.support.raw_server import RawServer
from tests.support.running import Ended, Workspace, started, until
from tests.support.videos import VIDEOS

PIPES = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
LARGE = 20_000_000
GRACE = 10
"""Seconds that downloads have to finish after a signal."""
SLOW = Script(outputs=(OutputScript(size=LARGE, primary=LinkScript(seconds=60)),))
"""A video that arrives steadily, and is not complete when the run ends."""
FAST = Script(outputs=(OutputScript(size=LARGE),))
"""The same video, without delay."""
SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


def script(workspace: Workspace, scripts: dict[str, Script]) -> str:
    """Give the emulator these scripts; return a manifest of their generations."""
    workspace.emulator.scripts |= {generation(name): script for name, script in scripts.items()}
    return workspace.manifest(*scripts)


def many(count: int, of: Script | None = None) -> dict[str, Script]:
    """Return `count` scripts, by ID."""
    return {str(number): of or Script() for number in range(1, count + 1)}


async def end(process: asyncio.subprocess.Process, within: float) -> Ended:
    """Wait for a process to end; the status after a signal is 128 and its number."""
    async with asyncio.timeout(within):
        out, err = await process.communicate()
    status = process.returncode or 0
    return Ended(status if status >= 0 else 128 - status, out.decode(), err.decode())


async def stopped(
    workspace: Workspace, ready: str, number: int, *args: str, within: float
) -> tuple[Ended, float]:
    """Back up, send a signal after the request for a generation, and wait for the end.

    Return the result, and how many seconds it took after the signal.
    """
    async with started(*workspace.command(*args), env=workspace.env(), **PIPES) as run:
        await until(lambda: workspace.emulator.asked(generation(ready)))
        sent = time.monotonic()
        run.send_signal(number)
        return await end(run, within), time.monotonic() - sent


def has_open(pid: int, directory: Path) -> bool:
    """Return whether a process has a directory open, as one that waits for its lock."""
    with suppress(FileNotFoundError):  # as soon as it is closed
        return any(each.readlink() == directory for each in Path(f"/proc/{pid}/fd").iterdir())
    return False


def processes_in_group(group: int) -> list[str]:
    """Return the processes of a process group or session."""
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


@slow
@pytest.mark.parametrize(("how", "status"), [("SIGINT", 130), ("SIGTERM", 143), ("--max-time", 0)])
async def test_an_interrupted_download_is_resumed_by_the_next_run(
    workspace: Workspace, how: str, status: int
) -> None:
    """What arrived in the grace period is kept, and the next run requests only the rest."""
    names = script(workspace, {"1": SLOW, "2": Script()})
    args = ("--max-time", "4s") if how == "--max-time" else ()
    async with started(
        *workspace.command("--json", *args, names), env=workspace.env(), **PIPES
    ) as run:
        await until(lambda: workspace.held() and workspace.emulator.downloads(generation("1")))
        if not args:
            run.send_signal(getattr(signal, how))
        result = await end(run, within=60)
    summary = json.loads(result.out)
    assert (result.status, summary["exit_status"]) == (status, status), result.err
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


@slow
@pytest.mark.parametrize(("first", "second"), [SIGNALS, SIGNALS[::-1]])
async def test_a_second_signal_ends_a_run_at_once(
    workspace: Workspace, first: tuple[int, int], second: tuple[int, int]
) -> None:
    """In the middle of downloads and commits, the exit status is that of the second signal."""
    names = script(workspace, {"99": SLOW} | many(40))
    command = workspace.command("--downloads", "4", "--api-rate", "40/s", names)
    async with started(*command, env=workspace.env(), **PIPES) as run:
        await until(
            lambda: len(workspace.held()) > 3 and workspace.emulator.downloads(generation("99"))
        )
        run.send_signal(first[0])
        assert run.stderr
        assert b"ending" in await asyncio.wait_for(run.stderr.readline(), 9)
        sent = time.monotonic()
        run.send_signal(second[0])
        result = await end(run, within=9)
        assert time.monotonic() - sent < 9
    assert result.status == second[1]
    assert "stopped at once: what is finished is held" in result.err
    assert "Traceback" not in result.err
    assert_lines_true(workspace.archive)
    held = workspace.held()
    workspace.emulator.scripts[generation("99")] = FAST
    assert await workspace.backup(names) == Ended(0, "", "")
    assert len(workspace.held()) == 41
    assert all(workspace.emulator.downloads(generation(Path(name).stem)) == 1 for name in held)
    assert_true_bag(workspace.archive)


# --- The time limit


@slow
async def test_a_run_ends_at_its_time_limit(workspace: Workspace) -> None:
    """What is finished is held; how many were skipped and why is reported, but is no failure."""
    names = script(workspace, many(90))
    before = time.monotonic()
    result = await workspace.backup("-v", "--max-time", "6s", "--api-rate", "10/s", names)
    assert 6 <= time.monotonic() - before < 60
    assert (result.status, result.out) == (0, "")
    held = len(workspace.held())
    assert 5 < held < 80
    skipped = f"skipped {90 - held}, retried on the next run: the time limit was reached"
    assert skipped in result.err
    assert_true_bag(workspace.archive)
    assert await workspace.backup(names) == Ended(0, "", "")
    assert len(workspace.held()) == 90
    assert workspace.emulator.downloads() == 90
    assert_true_bag(workspace.archive)


@slow
async def test_cron_sees_nothing_of_a_time_limit(workspace: Workspace) -> None:
    """A run that ends at its time limit, with status 0, is as silent as any other."""
    names = script(workspace, many(60))
    result = await workspace.backup("--max-time", "5s", "--api-rate", "10/s", names)
    assert result == Ended(0, "", "")


@slow
async def test_a_failure_before_the_time_limit_is_reported(workspace: Workspace) -> None:
    """A failure makes the exit status 3, whatever ended the run."""
    dead = Script(outputs=(OutputScript(primary=LinkScript(fault="dead")),))
    names = script(workspace, {"99": dead} | many(90))
    result = await workspace.backup("--max-time", "7s", "--api-rate", "10/s", names)
    assert (result.status, result.out) == (3, "")
    assert "failed v6/deepfake/99: " in result.err
    assert "--max-time" in result.err
    assert_true_bag(workspace.archive)


@slow
async def test_a_time_limit_that_is_not_reached_changes_nothing(workspace: Workspace) -> None:
    """A run that is done sooner ends when it is done."""
    before = time.monotonic()
    assert await workspace.backup("--max-time", "1h", script(workspace, many(3))) == Ended(
        0, "", ""
    )
    assert time.monotonic() - before < 60
    assert len(workspace.held()) == 3


# --- During a pause


@slow
@pytest.mark.parametrize(("number", "status"), SIGNALS)
async def test_a_signal_ends_a_rate_limit_pause(
    workspace: Workspace, number: int, status: int
) -> None:
    """A rate limit's pause is not waited out after a signal."""
    workspace.emulator.api = ApiScript(always="throttled", retry_after=40)
    names = script(workspace, many(5))
    result, seconds = await stopped(workspace, "1", number, names, within=60)
    assert result.status == status, result.err
    assert seconds < 30
    assert "skipped 5, retried on the next run" in result.err
    assert "Traceback" not in result.err


@slow
@pytest.mark.parametrize(("number", "status"), SIGNALS)
async def test_a_signal_ends_the_polling(workspace: Workspace, number: int, status: int) -> None:
    """What is still processing after a signal is left for the next run."""
    names = script(workspace, many(3, Script(response="processing")))
    result, seconds = await stopped(workspace, "3", number, "--wait", "15m", names, within=60)
    assert result.status == status, result.err
    assert seconds < 30
    assert "3 pending" in result.err
    assert_true_bag(workspace.archive)


@slow
@pytest.mark.parametrize(("number", "status"), SIGNALS)
async def test_a_signal_ends_the_wait_for_the_lock(
    workspace: Workspace, number: int, status: int
) -> None:
    """A run that waits for another one can be stopped like any other."""
    names = script(workspace, {"1": SLOW})
    async with started(*workspace.command(names), env=workspace.env()) as holder:
        await until(workspace.emulator.downloads)
        waiting = workspace.command("--lock-wait", "1m", names)
        async with started(*waiting, env=workspace.env(), **PIPES) as waiter:
            await until(lambda: has_open(waiter.pid, workspace.archive / ".archiver"))
            sent = time.monotonic()
            waiter.send_signal(number)
            result = await end(waiter, within=60)
            assert time.monotonic() - sent < 30
        assert result.status == status
        assert "Traceback" not in result.err
        assert holder.returncode is None


# --- A hostile file


@slow
async def test_a_signal_is_heeded_while_a_hostile_file_is_validated(workspace: Workspace) -> None:
    """However many tiny parts a file has, a run ends within its grace period."""
    live = (VIDEOS / "live.webm").read_bytes()
    hostile = sized(live + b"\xec\x80" * 6_000_000)
    async with RawServer({"*": (hostile,)}) as server:
        link = LinkScript(url=f"http://{server.host}/a.webm")
        names = script(workspace, {"1": Script(outputs=(OutputScript(primary=link),)), "2": SLOW})
        async with started(*workspace.command(names), env=workspace.env(), **PIPES) as run:
            await until(lambda: server.connections and workspace.emulator.downloads())
            run.send_signal(signal.SIGTERM)
            sent = time.monotonic()
            result = await end(run, within=30)
    assert result.status == 143, result.err
    assert time.monotonic() - sent < GRACE + 15


# --- Kills and reports


@slow
async def test_a_kill_leaves_no_process_behind(workspace: Workspace) -> None:
    """No process outlives a killed run, and the next run finishes its work."""
    names = script(workspace, {"1": SLOW} | {str(n): Script() for n in range(2, 30)})
    async with started(*workspace.command("--downloads", "4", names), env=workspace.env()) as run:
        await until(lambda: workspace.held() and workspace.emulator.downloads(generation("1")))
        assert processes_in_group(run.pid) == [str(run.pid)]
        os.killpg(run.pid, signal.SIGKILL)
        assert await run.wait() == -signal.SIGKILL
        assert processes_in_group(run.pid) == []
    assert_lines_true(workspace.archive)
    workspace.emulator.scripts[generation("1")] = FAST
    assert await workspace.backup(names) == Ended(0, "", "")
    assert len(workspace.held()) == 29
    assert_true_bag(workspace.archive)


async def test_the_report_of_an_interrupted_run(workspace: Workspace) -> None:
    """The report names the signal, and counts what was archived and what was skipped."""
    names = script(workspace, many(60))
    async with started(
        *workspace.command("--api-rate", "10/s", names), env=workspace.env(), **PIPES
    ) as run:
        await until(lambda: len(workspace.held()) > 2)
        run.send_signal(signal.SIGTERM)
        result = await end(run, within=60)
    held = len(workspace.held())
    assert result.status == 143
    assert re.search(rf"^{held} archived, {60 - held} skipped; ", result.err, re.MULTILINE)
    assert "ended early: interrupted by SIGTERM\n" in result.err
    assert f"skipped {60 - held}, retried on the next run\n" in result.err
    assert_true_bag(workspace.archive)
