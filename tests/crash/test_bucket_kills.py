"""Whenever a run into a bucket is killed, no line is false, and the next one finishes."""

import asyncio
import json
import os
import random
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from archiver.emulator.scripts import LinkScript, OutputScript, Script
from archiver.emulator.server import Emulator
from archiver.generation import generation_at
from tests.support.backups import KEY, generation
from tests.support.buckets import Machine, assert_lines_true, download, paths_of
from tests.support.marks import slow, some_steps
from tests.support.running import COMMAND, assert_valid_bag
from tests.support.seaweed import Place, SeaweedFS, new_place

ROOT = Path(__file__).parents[2]
LANES = 4
RANDOM_KILLS = int(os.environ.get("ARCHIVER_TEST_KILLS", "16"))
FEW = {
    generation("1"): Script(),
    generation("2"): Script(outputs=(OutputScript(size=5_000), OutputScript(size=200_000))),
    generation("3"): Script(response="failed"),
}
MANY = {
    generation(str(number)): Script(
        outputs=(OutputScript(size=size, primary=LinkScript(seconds=number % 5 / 10)),)
    )
    for number, size in enumerate([3_000, 40_000, 400_000] * 12)
}
_PROBED = (".archiver/probe/",)
"""What is left of a run that is killed while it probes the store is deleted an hour later."""
Held = dict[str, tuple[str, object]]
"""What the store says of the objects that are listed: when each was written."""


@dataclass
class Runs:
    """Runs of the real program into one place, some of which are killed."""

    machine: Machine
    forking: asyncio.subprocess.Process | None = None

    def arguments(self) -> list[str]:
        """Return the arguments of the command."""
        emulator = self.machine.emulator
        manifest = self.machine.manifest(*(each.id for each in emulator.scripts))
        return [
            *("backup", str(manifest), *self.machine.where(), "--wait", "0", "--lock-wait", "30"),
            *("--api-url", emulator.api_url, "--api-rate", "1000", "--retries", "0"),
            *("--min-free", "0", "--allow-private-links"),
        ]

    async def run(self, step: int = 0) -> int:
        """Run until this step, or to the end for step 0; return the exit status."""
        assert self.forking
        assert self.forking.stdin
        assert self.forking.stdout
        log = self.machine.home / "stderr"
        run = {"step": step, "arguments": self.arguments(), "stderr": str(log), "bucket": True}
        self.forking.stdin.write(json.dumps(run).encode() + b"\n")
        status = int(await asyncio.wait_for(self.forking.stdout.readline(), 60))
        assert "Traceback" not in log.read_text(), log.read_text()
        return status

    def held(self) -> Held:
        """Every line is true; return what is listed, and when it was written."""
        listed = assert_lines_true(self.machine.place)
        with self.machine.place.open() as objects:
            heads = {path: objects.head(path) for path in listed}
        return {path: (listed[path], head.modified) for path, head in heads.items() if head}

    async def assert_finished(self, held: Held, directory: Path) -> None:
        """The bag is whole and valid, what was listed was not sent again, nothing is left over."""
        now = self.held()
        assert held.items() <= now.items()
        for path in now:
            if path.endswith(".mp4"):
                one = generation_at(path)
                assert one
                number = int(path[-5]) if f"{one.id}-" in path else 1
                whole = self.machine.emulator.payload(one, number).whole()
                assert self.machine.place.read(path) == whole
        ready = [one for one, each in self.machine.emulator.scripts.items()
                 if each.response == "ready"]  # fmt: skip
        assert {generation_at(path) for path in now} == set(ready)
        kept = (".archiver/lease", ".archiver/segments/", ".archiver/superseded/", *_PROBED)
        left = [path for path in paths_of(self.machine.place) if path.startswith(".archiver/")]
        assert not [path for path in left if not path.startswith(kept)]
        await assert_valid_bag(await download(self.machine.place, directory))
        shutil.rmtree(directory)


@pytest.fixture
async def forking(seaweed: SeaweedFS) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that has imported the program, and forks its runs."""
    pipe = asyncio.subprocess.PIPE
    environment = {"MODELSLAB_API_KEY": KEY, "PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.killed"),
        stdin=pipe,
        stdout=pipe,
        env=environment | seaweed.environment | {"PYTHONPATH": str(ROOT)},
    )
    yield process
    process.kill()
    await process.communicate()


@slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("lost", [False, True], ids=["", "state-lost"])
@pytest.mark.parametrize("lane", range(LANES))
async def test_a_kill_around_every_request_is_recovered_from(
    tmp_path: Path, lane: int, lost: bool, place: Place, forking: asyncio.subprocess.Process
) -> None:
    """Killed before or after any request, a run has listed nothing false, and the next finishes.

    Whether or not the state directory is lost with it. What was listed is not sent again, and
    what was sent whole is not downloaded again.
    """
    async with Emulator(FEW, key=KEY) as emulator:
        for step in some_steps(lane, LANES, 13):
            emulator.forget()
            where = new_place(place.server)
            runs = Runs(Machine(where, emulator, tmp_path / f"step-{step}"), forking)
            killed = await runs.run(step) == -signal.SIGKILL
            held, sent = runs.held(), set(paths_of(where))
            if lost:
                shutil.rmtree(runs.machine.home / "state")
            emulator.forget()
            assert await runs.run() in (0, 3)
            again = {seen.generation for seen in emulator.requests if seen.number}
            assert not {one for one in again if one and one.sidecar_path in sent}
            await runs.assert_finished(held, tmp_path / "bag")
            if not killed:
                break
        assert step > 20


@slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(2))
async def test_random_kills_of_a_busy_run_are_recovered_from(
    tmp_path: Path, seed: int, place: Place
) -> None:
    """Killed again and again at random, a busy run still finishes, and lists nothing false."""
    chance = random.Random(seed)
    async with Emulator(MANY, key=KEY) as emulator:
        runs = Runs(Machine(place, emulator, tmp_path / "one"))
        runs.machine.home.mkdir()
        held: Held = {}
        for _ in range(RANDOM_KILLS // 2):
            process = await asyncio.create_subprocess_exec(
                *(COMMAND, *runs.arguments()),
                env=runs.machine.env(KEY),
                stderr=asyncio.subprocess.DEVNULL,
            )
            await asyncio.sleep(chance.uniform(0.6, 1.8))
            if process.returncode is None:
                process.kill()
            await process.wait()
            now = runs.held()
            assert held.items() <= now.items()
            held = now
        process = await asyncio.create_subprocess_exec(
            *(COMMAND, *runs.arguments()), env=runs.machine.env(KEY)
        )
        assert await process.wait() == 0
        await runs.assert_finished(held, tmp_path / "bag")


@pytest.fixture
def own_place(tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A place on a server of its own, which may be killed."""
    with SeaweedFS(tmp_path / "own") as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield new_place(server)


@slow
@pytest.mark.timeout(600)
async def test_a_server_that_is_killed_under_load_loses_nothing(
    tmp_path: Path, own_place: Place
) -> None:
    """Killed and started again while a run sends, it has no false line, and all is archived."""
    chance = random.Random(7)
    async with Emulator(MANY, key=KEY) as emulator:
        runs = Runs(Machine(own_place, emulator, tmp_path / "one"))
        runs.machine.home.mkdir()
        process = await asyncio.create_subprocess_exec(
            *(COMMAND, *runs.arguments()), env=runs.machine.env(KEY)
        )
        for _ in range(3):
            await asyncio.sleep(chance.uniform(0.5, 1.5))
            await asyncio.to_thread(own_place.server.kill)
            await asyncio.sleep(0.3)
            await asyncio.to_thread(own_place.server.start)
            held = await asyncio.to_thread(runs.held)
        assert await asyncio.wait_for(process.wait(), 120) in (0, 74)
        process = await asyncio.create_subprocess_exec(
            *(COMMAND, *runs.arguments()), env=runs.machine.env(KEY)
        )
        assert await process.wait() == 0
        await runs.assert_finished(held, tmp_path / "bag")
