"""Two runs never work in one archive at once, and a lock never outlives its holder."""

import asyncio
import json
import os
import re
import signal
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest

from archiver.emulator.scripts import LinkScript, OutputScript, Script
from tests.support.backups import assert_true_bag, generation
from tests.support.marks import slow
from tests.support.running import Ended, Workspace, started, until

RACERS = 6
STALLED = Script(outputs=(OutputScript(primary=LinkScript(fault="stall")),))
"""A video that never becomes complete: the run that fetches it holds the lock meanwhile."""
THREE_SECONDS = Script(outputs=(OutputScript(primary=LinkScript(seconds=3)),))
PIPES = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}


def script(workspace: Workspace, **scripts: Script) -> str:
    """Give the emulator these scripts (`g1=…` is generation 1); return a manifest."""
    named = {name[1:]: script for name, script in scripts.items()}
    workspace.emulator.scripts |= {generation(name): script for name, script in named.items()}
    return workspace.manifest(*named, name=f"{'-'.join(named)}.txt")


async def end(process: asyncio.subprocess.Process, within: float = 30) -> Ended:
    """Wait for a process to end."""
    async with asyncio.timeout(within):
        out, err = await process.communicate()
    return Ended(process.returncode or 0, out.decode(), err.decode())


async def test_a_second_run_ends_at_once(workspace: Workspace) -> None:
    """It changes nothing, and reports which process holds the lock and since when."""
    names = script(workspace, g1=STALLED)
    async with started(*workspace.command(names, "--timeout", "1m"), env=workspace.env()) as holder:
        await until(workspace.emulator.downloads)
        asked, before = workspace.emulator.asked(), time.monotonic()
        result = await workspace.backup(script(workspace, g2=Script()))
        assert time.monotonic() - before < 40
        assert (result.status, result.out) == (75, "")
        (line,) = result.err.splitlines()
        held = re.search(rf"process {holder.pid}, since ([^)]+)\)", line)
        assert held, line
        age = datetime.now(UTC) - datetime.strptime(held[1], "%Y-%m-%d %H:%M").astimezone()
        assert timedelta(0) <= age < timedelta(minutes=2)
        assert workspace.emulator.asked() == asked
        assert holder.returncode is None


@slow
async def test_a_second_run_waits_for_the_lock(workspace: Workspace) -> None:
    """With `--lock-wait` the second run begins when the first one has ended."""
    first, second = script(workspace, g1=THREE_SECONDS), script(workspace, g2=Script())
    async with AsyncExitStack() as running:
        holder = await running.enter_async_context(
            started(*workspace.command(first), env=workspace.env(), **PIPES)
        )
        await until(workspace.emulator.downloads)
        waiter = await running.enter_async_context(
            started(*workspace.command(second, "--lock-wait", "20s"), env=workspace.env(), **PIPES)
        )
        assert await end(holder) == Ended(0, "", "")
        assert waiter.returncode is None
        assert not workspace.emulator.asked(generation("2"))
        assert await end(waiter) == Ended(0, "", "")
    assert workspace.held() == ["v6/deepfake/1.mp4", "v6/deepfake/2.mp4"]
    assert workspace.emulator.downloads() == 2
    assert_true_bag(workspace.archive)


@slow
async def test_the_wait_for_the_lock_has_a_timeout(workspace: Workspace) -> None:
    """After `--lock-wait` the run ends with status 75, as it does without."""
    names = script(workspace, g1=STALLED)
    async with started(*workspace.command(names, "--timeout", "1m"), env=workspace.env()) as holder:
        await until(workspace.emulator.downloads)
        before = time.monotonic()
        result = await workspace.backup(names, "--lock-wait", "1s")
        assert 1 <= time.monotonic() - before < 40
    assert (result.status, result.out) == (75, "")
    assert f"process {holder.pid}" in result.err


@slow
@pytest.mark.parametrize("made_before", [True, False])
async def test_of_many_runs_one_gets_the_lock(workspace: Workspace, made_before: bool) -> None:
    """Of many runs at once one works, the others end with 75; nothing is downloaded twice."""
    if made_before:
        assert (await workspace.backup(script(workspace, g9=Script()))).status == 0
        workspace.emulator.forget()
    names = script(workspace, g1=THREE_SECONDS, g2=Script(), g3=Script())
    async with AsyncExitStack() as running:
        racers = [
            await running.enter_async_context(
                started(*workspace.command("--json", names), env=workspace.env(), **PIPES)
            )
            for _ in range(RACERS)
        ]
        ends = await asyncio.gather(*(end(racer) for racer in racers))
    assert {result.status for result in ends} == {0, 75}, ends
    summaries = [json.loads(result.out) for result in ends if result.status == 0]
    worked = [each["outcomes"]["archived"] for each in summaries]
    assert sorted(worked) == [0] * (len(worked) - 1) + [3]  # a late one finds nothing to do
    assert all("another run holds the archive" in result.err for result in ends if result.status)
    assert workspace.emulator.downloads() == workspace.emulator.asked() == 3
    assert_true_bag(workspace.archive)
    assert len(workspace.held()) == 3 + made_before


@slow
async def test_runs_that_wait_get_the_lock_one_after_the_other(workspace: Workspace) -> None:
    """All that wait long enough end with status 0, and the work is done once."""
    names = script(workspace, g1=Script(), g2=Script())
    command = workspace.command("--json", "--lock-wait", "30s", names)
    async with AsyncExitStack() as running:
        racers = [
            await running.enter_async_context(started(*command, env=workspace.env(), **PIPES))
            for _ in range(RACERS)
        ]
        ends = await asyncio.gather(*(end(racer) for racer in racers))
    assert [result.status for result in ends] == [0] * RACERS, ends
    done = sorted(json.loads(result.out)["outcomes"]["archived"] for result in ends)
    assert done == [0] * (RACERS - 1) + [2]
    assert workspace.emulator.downloads() == 2
    assert_true_bag(workspace.archive)


@slow
async def test_a_killed_holder_leaves_no_lock(workspace: Workspace) -> None:
    """A run that waits for one that is killed goes on at once, and so does any later run."""
    first, second = script(workspace, g1=STALLED), script(workspace, g2=Script())
    async with started(*workspace.command(first, "--timeout", "1m"), env=workspace.env()) as holder:
        await until(workspace.emulator.downloads)
        waiting = workspace.command(second, "--lock-wait", "1m")
        async with started(*waiting, env=workspace.env(), **PIPES) as waiter:
            holder.send_signal(signal.SIGKILL)
            assert await holder.wait() == -signal.SIGKILL
            assert await end(waiter, within=40) == Ended(0, "", "")
    workspace.emulator.scripts[generation("1")] = Script()
    assert await workspace.backup(first) == Ended(0, "", "")
    assert_true_bag(workspace.archive)


@slow
@pytest.mark.parametrize("left", [b"", b"torn {", b'{"pid": "x"}', b"[]", b"\xff\xfe"])
async def test_the_content_of_a_lock_file_locks_nothing(workspace: Workspace, left: bytes) -> None:
    """The kernel's lock counts, not the process in the file, whatever that is."""
    assert (await workspace.backup(script(workspace, g1=Script()))).status == 0
    alive = json.dumps({"pid": os.getpid(), "since": "2026-01-01T00:00:00+00:00"}).encode()
    for content in (left, alive):
        (workspace.archive / ".archiver/lock").write_bytes(content)
        assert await workspace.backup(workspace.manifest("1")) == Ended(0, "", "")


@slow
async def test_a_holder_that_is_not_known(workspace: Workspace) -> None:
    """Where the lock file is damaged, a second run still ends with status 75."""
    names = script(workspace, g1=STALLED)
    async with started(*workspace.command(names, "--timeout", "1m"), env=workspace.env()):
        await until(workspace.emulator.downloads)
        (workspace.archive / ".archiver/lock").write_bytes(b"\xff\xfe")
        result = await workspace.backup(names)
    assert result.status == 75
    assert "its process is not known" in result.err
    assert "Traceback" not in result.err
