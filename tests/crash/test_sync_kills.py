"""Whenever a sync is killed, the target lists nothing false, and the next one finishes."""

import asyncio
import json
import os
import random
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import buckets
from tests.support.backups import assert_lines_true, assert_true_bag
from tests.support.copies import generation_files, lines_in, make_archive, snapshot
from tests.support.marks import slow, some_steps
from tests.support.running import COMMAND, assert_valid_bag
from tests.support.seaweed import Place, SeaweedFS, new_place

ROOT = Path(__file__).parents[2]
LANES = 4
"""The steps are shared among this many tests, which may run in parallel."""
RANDOM_KILLS = int(os.environ.get("ARCHIVER_TEST_KILLS", "12"))
PIPE = asyncio.subprocess.PIPE


@dataclass
class Runs:
    """Runs of the real program, some of which are killed."""

    forking: asyncio.subprocess.Process
    log: Path

    async def run(self, *args: object, step: int = 0, bucket: bool = False) -> int:
        """Run until this step, or to the end for step 0; return the exit status."""
        assert self.forking.stdin
        assert self.forking.stdout
        arguments = ["sync", *map(str, args)]
        run = {"step": step, "arguments": arguments, "stderr": str(self.log), "bucket": bucket}
        self.forking.stdin.write(json.dumps(run).encode() + b"\n")
        status = int(await asyncio.wait_for(self.forking.stdout.readline(), 60))
        assert "Traceback" not in self.log.read_text(), self.log.read_text()
        return status


async def _forking(environment: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.killed"),
        stdin=PIPE,
        stdout=PIPE,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONPATH": str(ROOT)}
        | environment,
    )
    yield process
    process.kill()
    await process.communicate()


@pytest.fixture
async def runs(tmp_path: Path) -> AsyncIterator[Runs]:
    async for process in _forking({}):
        yield Runs(process, tmp_path / "stderr")


@pytest.fixture
async def bucket_runs(tmp_path: Path, seaweed: SeaweedFS) -> AsyncIterator[Runs]:
    async for process in _forking(seaweed.environment):
        yield Runs(process, tmp_path / "stderr")


def few(root: Path) -> Path:
    """Make an archive with files that stay in memory, that do not, and that are nobody's."""
    files = generation_files("1", 5_000) | generation_files("2", 300_000)
    files["data/v6/deepfake/2.entry.json"] = b'{"prompt": "a dog"}\n'
    return make_archive(root, files | {"data/notes.txt": b"of another program"})


@slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("lane", range(LANES))
async def test_a_kill_at_every_step_is_recovered_from(
    tmp_path: Path, lane: int, runs: Runs
) -> None:
    """Killed at any step on the disk, a sync has listed nothing false, and the next finishes.

    What was listed is not copied again, and the bag is valid.
    """
    source = few(tmp_path / "source")
    for step in some_steps(lane, LANES, 13):
        target = tmp_path / f"step-{step}"
        killed = await runs.run(source, target, step=step) == -signal.SIGKILL
        before = _listed(target)
        assert await runs.run(source, target) == 0
        assert before.items() <= _listed(target).items()
        assert lines_in(target).items() == lines_in(source).items()
        assert_true_bag(target)
        if step % 5 == 0:
            await assert_valid_bag(target)
        assert list((target / ".archiver/incoming").iterdir()) == []
        assert not (target / ".archiver/quarantine").exists()
        shutil.rmtree(target)
        if not killed:
            break
    assert step > 40


def _listed(target: Path) -> dict[str, tuple[bytes, int]]:
    """Every line is true; return the files that are listed, and when they were written."""
    if not (target / "manifest-sha256.txt").exists():
        return {}
    listed = assert_lines_true(target)
    return {path: found for path, found in snapshot(target).items() if path in listed}


@slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("lost", [False, True], ids=["", "state-lost"])
@pytest.mark.parametrize("lane", range(LANES))
async def test_a_kill_around_every_request_is_recovered_from(
    tmp_path: Path, lane: int, lost: bool, place: Place, bucket_runs: Runs
) -> None:
    """Killed before or after any request to a bucket, it has listed nothing false there either.

    Whether or not the state directory is lost with it. What was listed is not sent again.
    """
    source = few(tmp_path / "source")
    for step in some_steps(lane, LANES, 13):
        where, state = new_place(place.server), tmp_path / f"state-{step}"
        args = (source, where.url, "--state-dir", state, "--lock-wait", "30")
        killed = await bucket_runs.run(*args, step=step, bucket=True) == -signal.SIGKILL
        held = _held(where)
        if lost:
            shutil.rmtree(state)
        assert await bucket_runs.run(*args, bucket=True) == 0
        now = _held(where)
        assert held.items() <= now.items()
        assert buckets.lines_of(where) == lines_in(source)
        if step % 4 == 0:
            await assert_valid_bag(await buckets.download(where, tmp_path / "bag"))
            shutil.rmtree(tmp_path / "bag")
        if not killed:
            break
    assert step > 20


def _held(place: Place) -> dict[str, object]:
    """Every line is true; return what is listed, and when it was written."""
    listed = buckets.assert_lines_true(place)
    with place.open() as objects:
        heads = {path: objects.head(path) for path in listed}
    return {path: (listed[path], head.modified) for path, head in heads.items() if head}


@slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("from_bucket", [False, True], ids=["to", "from"])
async def test_random_kills_of_a_busy_sync_are_recovered_from(
    tmp_path: Path, from_bucket: bool, place: Place
) -> None:
    """Killed again and again at random, it still finishes, in either direction."""
    chance, sizes = random.Random(5), [3_000, 40_000, 400_000]
    files = {
        path: data
        for number in range(150)
        for path, data in generation_files(str(number), sizes[number % 3]).items()
    }
    source, back = make_archive(tmp_path / "source", files), tmp_path / "back"
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **place.server.environment}
    at = ("--state-dir", str(tmp_path / "state"), "--lock-wait", "90")
    to = ("sync", *at, str(source), str(place.url))
    command = ("sync", *at, str(place.url), str(back)) if from_bucket else to
    if from_bucket:
        assert await _status(to, env) == 0
    held: dict[str, object] = {}
    for _ in range(RANDOM_KILLS // 2):
        await _kill_after(chance.uniform(0.6, 2.0), command, env)
        now = _listed(back) if from_bucket else _held(place)
        assert held.items() <= now.items()
        held = {**now}
    assert await _status(command, env) == 0
    if from_bucket:
        assert_true_bag(back)
        assert lines_in(back).items() == lines_in(source).items()
    else:
        assert buckets.assert_lines_true(place) == lines_in(source)
        await assert_valid_bag(await buckets.download(place, tmp_path / "bag"))


async def _status(command: tuple[str, ...], env: dict[str, str]) -> int:
    process = await asyncio.create_subprocess_exec(COMMAND, *command, env=env)
    return await asyncio.wait_for(process.wait(), 200)


async def _kill_after(seconds: float, command: tuple[str, ...], env: dict[str, str]) -> None:
    process = await asyncio.create_subprocess_exec(COMMAND, *command, env=env)
    await asyncio.sleep(seconds)
    if process.returncode is None:
        process.kill()
    await process.wait()
