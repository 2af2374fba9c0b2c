"""Whenever a run is killed, nothing is lost or recorded falsely, and the next run recovers."""

import asyncio
import io
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from archiver.archive.writable import WritableBag
from archiver.catalogue.store import Catalogue
from archiver.emulator.scripts import LinkScript, OutputScript, Script
from archiver.emulator.server import Emulator
from archiver.errors import StorageError
from archiver.generation import generation_at
from tests.support.archives import open_catalogue, recover_in
from tests.support.backups import KEY, Backups, assert_lines_true, assert_true_bag, generation
from tests.support.marks import slow, some_steps

ROOT = Path(__file__).parents[2]
LANES = 8
"""The steps are shared among this many tests, which may run in parallel."""
RANDOM_KILLS = int(os.environ.get("ARCHIVER_TEST_KILLS", "24"))
CUT = LinkScript(fault="cut", times=1, seconds=0.05)
SAYING = {
    generation("1"): {"id": 1, "prompt": "a cat"},
    generation("2"): {"id": 2, "prompt": "a dog", "note": "x" * 5_000},
    generation("4"): {"id": 4, "prompt": "it fails"},
}
"""What a list says of some generations."""
FEW = {
    generation("1"): Script(),
    generation("2"): Script(outputs=(OutputScript(size=5_000), OutputScript(size=20_000))),
    generation("3"): Script(outputs=(OutputScript(size=600_000, primary=CUT),)),
    generation("4"): Script(response="failed"),
}
MANY = {
    generation(str(number)): Script(
        outputs=(OutputScript(size=size, primary=LinkScript(seconds=number % 5 / 20)),)
    )
    for number, size in enumerate([3_000, 40_000, 400_000] * 20)
}
ENVIRONMENT = {"MODELSLAB_API_KEY": KEY, "PATH": os.environ["PATH"]}
Output = tuple[str, int]
"""A generation's ID and the number of one of its outputs."""


class Runs:
    """Runs of the real program in one archive, some of which are killed."""

    def __init__(
        self, archive: Path, emulator: Emulator, forking: asyncio.subprocess.Process
    ) -> None:
        self.archive = archive
        self.forking = forking
        self.emulator = emulator
        self.manifest = archive.with_name(f"{archive.name}.txt")
        self.manifest.write_text("".join(f"{each.id}\n" for each in emulator.scripts))

    def arguments(self) -> list[str]:
        """Return the arguments of the command."""
        return [
            *("backup", str(self.manifest), "-a", str(self.archive), "--wait", "0"),
            *("--api-url", self.emulator.api_url, "--api-rate", "1000", "--retries", "0"),
            *("--min-free", "0", "--allow-private-links"),
        ]

    async def run(self, step: int = 0) -> int:
        """Run until this step, or to the end for step 0; return the exit status."""
        log = self.archive.with_name("stderr")
        run = {"step": step, "arguments": self.arguments(), "stderr": str(log)}
        assert self.forking.stdin is not None
        assert self.forking.stdout is not None
        self.forking.stdin.write(json.dumps(run).encode() + b"\n")
        status = int(await asyncio.wait_for(self.forking.stdout.readline(), 60))
        assert "Traceback" not in log.read_text()
        return status

    async def finish(self) -> list[Output]:
        """Run to the end; return what was downloaded for that."""
        self.emulator.forget()
        assert await self.run() in (0, 3)
        seen = self.emulator.requests
        return [(s.generation.id, s.number) for s in seen if s.generation and s.number]

    def whole(self) -> set[Output]:
        """Return the outputs that are proven whole, in their place or staged."""
        placed = self.archive.glob("data/v6/deepfake/*.mp4")
        staged = self.archive.glob(".archiver/incoming/*/*.mp4")
        found = {(path.stem.partition("-")[0], _number(path.stem)) for path in placed}
        return found | {
            (path.parent.name[12:], int(path.name.partition("of")[0])) for path in staged
        }

    def assert_nothing_false(self) -> None:
        """Every line is true, nothing under `data/` is partial, the catalogue is not ahead."""
        if not (self.archive / "manifest-sha256.txt").exists():
            return
        assert_lines_true(self.archive)
        for path in self.archive.glob("data/v6/deepfake/*.mp4"):
            held = generation_at(path.relative_to(self.archive).as_posix())
            assert held is not None
            assert path.read_bytes() == self.emulator.payload(held, _number(path.stem)).whole()
        listed = (self.archive / "manifest-sha256.txt").read_text()
        assert all(f"  {path}\n" in listed for path in self._catalogued())

    def _catalogued(self) -> list[str]:
        """Return the files in the catalogue, and leave it as the killed run left it."""
        with TemporaryDirectory() as directory:
            for path in self.archive.glob(".archiver/catalogue.sqlite*"):
                shutil.copy(path, directory)
            with closing(sqlite3.connect(f"{directory}/catalogue.sqlite")) as db:
                query = "SELECT name FROM sqlite_master WHERE name = 'file'"
                known = db.execute("SELECT path FROM file") if db.execute(query).fetchone() else ()
                return [path for (path,) in known]

    def assert_finished(self) -> None:
        """The bag is whole, every generation that was ready is in it, and nothing is left over."""
        assert_true_bag(self.archive)
        for each, script in self.emulator.scripts.items():
            payloads = list(self.archive.glob(f"data/{each}.mp4"))
            payloads += self.archive.glob(f"data/{each}-*.mp4")
            assert len(payloads) == (len(script.outputs) if script.response == "ready" else 0)
        assert not any((self.archive / ".archiver/incoming").iterdir())
        assert not (self.archive / ".archiver/quarantine").exists()


def _number(stem: str) -> int:
    return int(match[1]) if (match := re.search(r"-([0-9]+)$", stem)) else 1


@pytest.fixture
async def forking() -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that has imported the program, and forks its runs."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.killed"),
        stdin=pipe,
        stdout=pipe,
        env=ENVIRONMENT | {"PYTHONPATH": str(ROOT)},
    )
    yield process
    process.kill()
    await process.communicate()


@slow
@pytest.mark.parametrize("lane", range(LANES))
async def test_a_kill_at_every_step_is_recovered_from(
    tmp_path: Path, lane: int, forking: asyncio.subprocess.Process
) -> None:
    """Killed before any step, a run has recorded nothing false, and the next one finishes.

    What was whole before the kill is not downloaded again.
    """
    async with Emulator(FEW, key=KEY) as emulator:
        for step in range(lane + 1, 1000, LANES):
            emulator.forget()
            runs = Runs(tmp_path / f"step-{step}", emulator, forking)
            killed = await runs.run(step) == -signal.SIGKILL
            runs.assert_nothing_false()
            whole = runs.whole()
            assert not whole & set(await runs.finish()), f"downloaded twice after step {step}"
            runs.assert_finished()
            if not killed:
                break
        assert step > 50


def _listed(emulator: Emulator, *, saying: bool) -> str:
    said = SAYING if saying else {}
    return "".join(f"{json.dumps(said.get(each, each.id))}\n" for each in emulator.scripts)


def _said(archive: Path) -> dict[str, object]:
    """Return what the sidecars have that lists have said."""
    paths = archive.glob("data/v6/deepfake/*.entry*.json")
    return {path.name: json.loads(path.read_text())["prompt"] for path in paths}


@slow
@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("lane", range(LANES))
async def test_what_lists_say_survives_a_kill_at_every_step(
    tmp_path: Path, lane: int, held: bool, forking: asyncio.subprocess.Process
) -> None:
    """Whether it comes with the video or later: it is kept whole, once, and known."""
    async with Emulator(FEW, key=KEY) as emulator:
        for step in some_steps(lane, LANES, 7):
            runs = Runs(tmp_path / f"step-{step}", emulator, forking)
            if held:
                await runs.run()
            runs.manifest.write_text(_listed(emulator, saying=True))
            killed = await runs.run(step) == -signal.SIGKILL
            runs.assert_nothing_false()
            downloaded = await runs.finish()
            assert not downloaded or not held
            runs.assert_finished()
            assert _said(runs.archive) == {"1.entry.json": "a cat", "2.entry.json": "a dog"}
            with closing(open_catalogue(runs.archive)) as catalogue:
                assert catalogue.undescribed(10) == []
                known = [catalogue.queries.of(generation(id_)).metadata.prompt for id_ in "12"]
            assert known == ["a cat", "a dog"]
            if not killed:
                break
        assert step > 50


@slow
@pytest.mark.parametrize("seed", range(2))
async def test_random_kills_of_a_busy_run_are_recovered_from(
    tmp_path: Path, seed: int, forking: asyncio.subprocess.Process
) -> None:
    """Killed again and again at random, a busy run still finishes, and records nothing false."""
    chance = random.Random(seed)
    async with Emulator(MANY, key=KEY) as emulator:
        runs = Runs(tmp_path / "archive", emulator, forking)
        for _ in range(RANDOM_KILLS // 2):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "archiver", *runs.arguments()),
                env=ENVIRONMENT,
                stderr=asyncio.subprocess.DEVNULL,
            )
            await asyncio.sleep(chance.uniform(0.3, 0.8))
            if process.returncode is None:
                process.kill()
            await process.wait()
            runs.assert_nothing_false()
            if chance.random() < 0.2:
                shutil.rmtree(runs.archive, ignore_errors=True)
        whole = runs.whole()
        assert not whole & set(await runs.finish())
        runs.assert_finished()


async def test_recovery_reads_only_what_was_open(
    backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is held already is not read again, however much that is."""
    names = [str(number) for number in range(60)]
    backups.emulator.scripts |= {generation(name): Script() for name in [*names, "open"]}
    await backups.run(*names)

    def unplugged(*_: object) -> None:
        raise StorageError("unplugged")

    with monkeypatch.context() as patched:
        patched.setattr(Catalogue, "record", unplugged)
        assert (await backups.run("open")).exit_status == 74
    opened: list[str] = []
    plain = io.open

    def opening(file: object, *args: object, **kwargs: object) -> object:
        opened.append(str(file))
        return plain(file, *args, **kwargs)  # type: ignore[call-overload]

    monkeypatch.setattr(io, "open", opening)
    with (
        WritableBag.open(backups.archive) as bag,
        closing(open_catalogue(backups.archive)) as catalogue,
    ):
        recover_in(bag, catalogue)
    assert {path.rpartition("/")[2] for path in opened if "/data/" in path} == {
        "open.mp4",
        "open.json",
    }
