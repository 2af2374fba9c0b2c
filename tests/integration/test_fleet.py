"""Many machines share a list, shard by shard: one that dies costs no more than it had in hand.

The schedulers of arrays start the shards and retry them: here a real Slurm, or the test itself.
"""

import asyncio
import hashlib
import os
import signal
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from archiver.emulator.scripts import Host
from archiver.emulator.server import Emulator, Seen
from archiver.generation import Generation
from tests.support.backups import KEY, generation
from tests.support.fleet import RATE, Fleet, Watch, videos
from tests.support.machines import Machine
from tests.support.markdown import topics
from tests.support.marks import slow
from tests.support.networks import network
from tests.support.running import COMMAND, started, until
from tests.support.slurm import Cluster, cluster

SHARDS = 8
VIDEOS = 400
HOSTS: tuple[Host, ...] = ("api", "primary")


async def assert_promises_kept(fleet: Fleet, watch: Watch) -> None:
    """Nothing was asked twice in vain, too fast, or recorded falsely, and everything is there."""
    assert watch.false == []
    assert len(watch.lines) > 10, "it was hardly watched"
    fleet.assert_requested_once()
    fleet.assert_rate_held()
    await fleet.assert_merged()


@slow
class TestSlurm:
    """The job file of the manual is submitted, and some of its tasks are killed."""

    async def test_killed_tasks_are_requeued(self, tmp_path: Path, emulator: Emulator) -> None:
        """One is killed, one requeued by hand, and one of two nodes fails with all of its tasks."""
        emulator.scripts |= videos(VIDEOS)
        fleet = Fleet(tmp_path, emulator, SHARDS, at_once=4)
        job = tmp_path / "job.sh"
        job.write_text(fleet.localized(job_file()))
        async with cluster(nodes=2) as slurm:
            with Watch(fleet.archives) as watch:
                array = await slurm.submit(job, **fleet.env())
                doomed = await kill_some(slurm, array, fleet)
                await slurm.emptied(within=60)
                tasks = await slurm.tasks(array)
        assert {task.state for task in tasks.values()} == {"COMPLETED"}
        restarts = {number: task.restarts for number, task in tasks.items()}
        assert restarts == {number: int(number in doomed) for number in range(SHARDS)}
        await assert_promises_kept(fleet, watch)


def job_file() -> str:
    """Return the job file for Slurm: eight shards, four at a time."""
    (job,) = (block.text for block in topics()["scale"].blocks("bash") if "#SBATCH" in block.text)
    assert "--array=0-7%4\n" in job
    return job


async def kill_some(slurm: Cluster, array: str, fleet: Fleet) -> set[int]:
    """Kill all tasks of node 1, and both of node 0; return which."""
    tasks = await slurm.running(array, fleet.at_once)
    (killed, requeued), lost = (
        [number for number, task in tasks.items() if task.node == node]
        for node in ("node0", "node1")
    )
    await until(lambda: all(map(fleet.is_busy, tasks)), within=40)
    async with slurm.closed():
        await slurm.fail(1)
        for process in processes(slurm, killed):
            os.kill(process, signal.SIGKILL)
        await slurm.run("scontrol", "requeue", f"{array}_{requeued}")
        for number in (*lost, killed, requeued):
            await note_kill(slurm, fleet, number)
    return {killed, requeued, *lost}


async def note_kill(slurm: Cluster, fleet: Fleet, number: int) -> None:
    """Wait for the end of a task, and note what it has left."""
    await until(lambda: not processes(slurm, number))
    await fleet.killed(number)


def processes(slurm: Cluster, number: int) -> list[int]:
    """Return the processes that back up the shard of a task."""
    words = ("backup", f"SLURM_ARRAY_TASK_ID={number}")
    return [process for node in slurm.nodes for process in node.processes(*words)]


@slow
class TestMachines:
    """Machines on a network of their own, one of which fails."""

    async def test_the_shards_of_a_dead_machine_are_retried_elsewhere(self, tmp_path: Path) -> None:
        """It goes off the network, and all its processes with it; two others take its shards."""
        async with AsyncExitStack() as stack:
            net = stack.enter_context(network(places=4))
            machines = [await stack.enter_async_context(place.machine()) for place in net.places]
            with net.hub.entered():
                emulator = Emulator(videos(VIDEOS), key=KEY, address=net.hub.address)
                await stack.enter_async_context(emulator)
            fleet = Fleet(tmp_path, emulator, SHARDS, at_once=SHARDS)
            watch = stack.enter_context(Watch(fleet.archives))
            runs = {n: await begin(fleet, n, machines[n // 2], stack) for n in range(SHARDS)}
            await until(lambda: fleet.is_busy(2) and fleet.is_busy(3), within=40)
            net.places[1].disconnect()
            refused = await begin(fleet, 2, machines[0], stack)
            assert await refused.wait() == 75, "what is only cut off still holds its archive"
            await machines[1].kill()
            for shard in (2, 3):
                assert await runs[shard].wait() == -signal.SIGKILL
                await fleet.killed(shard)
            dead, seen = net.places[1].address, len(emulator.requests)
            runs[2] = await begin(fleet, 2, machines[0], stack)
            runs[3] = await begin(fleet, 3, machines[2], stack)
            async with asyncio.timeout(50):
                assert {await run.wait() for run in runs.values()} == {0}
        assert dead not in {request.client for request in emulator.requests[seen:]}
        ran = [{0, 1, 2}, {2, 3}, {3, 4, 5}, {6, 7}]
        for place, shards in zip(net.places, ran, strict=True):
            asked = {r.generation for r in emulator.requests if r.client == place.address}
            assert {n for n in range(SHARDS) if fleet.shard(n) & asked} == shards
        await assert_promises_kept(fleet, watch)


async def begin(
    fleet: Fleet, shard: int, machine: Machine, stack: AsyncExitStack
) -> asyncio.subprocess.Process:
    """Begin to back up a shard on a machine, as a task of an array."""
    share = ("--shards", str(fleet.shards), "--api-share", str(fleet.at_once))
    place = ("--archive", f"{fleet.home}/srv/shards/{{shard}}", str(fleet.manifests))
    command = machine.command(COMMAND, "backup", *share, *place)
    env = fleet.env() | {"JOB_COMPLETION_INDEX": str(shard), "MODELSLAB_API_KEY": KEY}
    return await stack.enter_async_context(started(*command, env=env))


class TestJudges:
    """What the tests above rely on: whatever breaks a promise is noticed."""

    async def test_a_false_line(self, tmp_path: Path) -> None:
        """A line is false without its file, and true with it."""
        sha256, true = hashlib.sha256(b"video").hexdigest(), tmp_path / "data/1.mp4"
        true.parent.mkdir()
        true.write_bytes(b"video")
        lines = (f"{sha256}  data/1.mp4\n", f"{sha256}  data/2.mp4\n", "unfinished")
        (tmp_path / "manifest-sha256.txt").write_text("".join(lines))
        with Watch([tmp_path]) as watch:
            await until(lambda: watch.lines)
        assert watch.lines == {2}
        assert {*watch.false} == {lines[1].strip()}

    @pytest.mark.parametrize("host", HOSTS)
    async def test_a_second_request(self, tmp_path: Path, host: Host) -> None:
        """It needs a kill between them, before which the first one came to nothing."""
        fleet, one = Fleet(tmp_path, Emulator(videos(1)), 1, at_once=1), generation("1")
        for each in HOSTS:
            requested(fleet, each, one)
        fleet.assert_requested_once()
        await fleet.killed(0)
        with pytest.raises(AssertionError):
            fleet.assert_requested_once()
        for each in HOSTS:
            requested(fleet, each, one)
        fleet.assert_requested_once()
        requested(fleet, host, one)
        with pytest.raises(AssertionError):
            fleet.assert_requested_once()

    def test_too_high_a_rate(self, tmp_path: Path) -> None:
        """Twice the rate is noticed, in any second of a run."""
        fleet = Fleet(tmp_path, Emulator(videos(400)), SHARDS, at_once=SHARDS)
        for number, each in enumerate(fleet.emulator.scripts):
            requested(fleet, "api", each, number / RATE)
        fleet.assert_rate_held()
        for number, each in enumerate(fleet.emulator.scripts):
            if number < RATE:
                requested(fleet, "api", each, 2 + number / RATE)
        with pytest.raises(AssertionError):
            fleet.assert_rate_held()


def requested(fleet: Fleet, host: Host, one: Generation, at: float | None = None) -> None:
    """Note a request in the emulator's log, as of now or of another time."""
    at = time.monotonic() if at is None else at
    fleet.emulator.requests.append(Seen(host, "GET", "/", {}, b"", at, one, 1, None))
