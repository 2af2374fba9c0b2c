"""Whatever is killed at whatever moment: nothing is lost, and nothing false is said."""

import asyncio
import os
import random
import re
import signal
import sqlite3
import sys
from pathlib import Path

import pytest
from conftest import KEY, assert_lines_true, assert_true_bag, generation

from archiver.emulation.script import LinkScript, OutputScript, Script
from archiver.emulator import Emulator
from archiver.generation import generation_at

HERE = Path(__file__).parent
LANES = 8
"""The steps are dealt out to so many tests, which may run side by side."""
RANDOM_KILLS = int(os.environ.get("ARCHIVER_TEST_KILLS", "24"))
CUT = LinkScript(fault="cut", times=1, seconds=0.05)
FEW = {
    generation("1"): Script(),
    generation("2"): Script(outputs=(OutputScript(size=5_000), OutputScript(size=20_000))),
    generation("3"): Script(outputs=(OutputScript(size=600_000, primary=CUT),)),
    generation("4"): Script(answer="failed"),
}
MANY = {
    generation(str(number)): Script(
        outputs=(OutputScript(size=size, primary=LinkScript(seconds=number % 5 / 20)),)
    )
    for number, size in enumerate([3_000, 40_000, 400_000] * 20)
}
Output = tuple[str, int]
"""A generation's ID and the number of one of its outputs."""


class Runs:
    """Runs of the real program in one archive, some of which are killed."""

    def __init__(self, archive: Path, emulator: Emulator) -> None:
        self.archive = archive
        self.emulator = emulator
        self.manifest = archive.with_name(f"{archive.name}.txt")
        self.manifest.write_text("".join(f"{each.id}\n" for each in emulator.scripts))

    async def start(self, step: int = 0) -> asyncio.subprocess.Process:
        """Start a run that kills itself before this step; 0 lets it end."""
        return await asyncio.create_subprocess_exec(
            *(sys.executable, str(HERE / "killed.py"), str(step), "backup", str(self.manifest)),
            *("-a", str(self.archive), "--api-url", self.emulator.api_url, "--wait", "0"),
            *("--api-rate", "1000", "--retries", "0", "--min-free", "0", "--allow-private-links"),
            env={"MODELSLAB_API_KEY": KEY, "PATH": os.environ["PATH"]},
            stderr=asyncio.subprocess.PIPE,
        )

    async def end(self, process: asyncio.subprocess.Process) -> int:
        """Wait for a run; return its exit status."""
        _, said = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode is not None
        assert b"Traceback" not in said, said.decode()
        return process.returncode

    async def finish(self) -> list[Output]:
        """Run to the end; return what had to be downloaded for that."""
        self.emulator.forget()
        assert await self.end(await self.start()) in (0, 3)
        seen = self.emulator.requests
        return [(s.generation.id, s.number) for s in seen if s.generation and s.number]

    def whole(self) -> set[Output]:
        """Return the outputs of which the archive has all the bytes, proven."""
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
        catalogue = self.archive / ".archiver/catalogue.sqlite"
        if not catalogue.exists() or not catalogue.stat().st_size:
            return []
        with sqlite3.connect(f"file:{catalogue}?mode=ro", uri=True) as db:
            query = "SELECT name FROM sqlite_master WHERE name = 'file'"
            known = (
                db.execute("SELECT path FROM file").fetchall() if list(db.execute(query)) else []
            )
        db.close()
        return [path for (path,) in known]

    def assert_finished(self) -> None:
        """The bag is whole, everything that could be had is in it, and nothing is left over."""
        assert_true_bag(self.archive)
        for each, script in self.emulator.scripts.items():
            payloads = list(self.archive.glob(f"data/{each}.mp4"))
            payloads += self.archive.glob(f"data/{each}-*.mp4")
            assert len(payloads) == (len(script.outputs) if script.answer == "ready" else 0)
        assert not any((self.archive / ".archiver/incoming").iterdir())
        assert not (self.archive / ".archiver/quarantine").exists()


def _number(stem: str) -> int:
    return int(match[1]) if (match := re.search(r"-([0-9]+)$", stem)) else 1


@pytest.mark.parametrize("lane", range(LANES))
async def test_a_kill_at_every_step_is_mended(tmp_path: Path, lane: int) -> None:
    """Killed before any step at all, a run has said nothing false, and the next one finishes.

    What was finished before the kill is not downloaded again.
    """
    async with Emulator(FEW, key=KEY) as emulator:
        for step in range(lane + 1, 1000, LANES):
            emulator.forget()
            runs = Runs(tmp_path / f"step-{step}", emulator)
            killed = await runs.end(await runs.start(step)) == -signal.SIGKILL
            runs.assert_nothing_false()
            whole = runs.whole()
            assert not whole & set(await runs.finish()), f"downloaded twice after step {step}"
            runs.assert_finished()
            if not killed:
                break
        assert step > 50


@pytest.mark.parametrize("seed", range(2))
async def test_random_kills_of_a_busy_run_are_mended(tmp_path: Path, seed: int) -> None:
    """Killed again and again at any moment, a busy run still gets there, and never lies."""
    chance = random.Random(seed)
    async with Emulator(MANY, key=KEY) as emulator:
        runs = Runs(tmp_path / "archive", emulator)
        for _ in range(RANDOM_KILLS // 2):
            process = await runs.start()
            await asyncio.sleep(chance.uniform(0.2, 0.8))
            if process.returncode is None:
                process.send_signal(signal.SIGKILL)
            await runs.end(process)
            runs.assert_nothing_false()
        whole = runs.whole()
        assert not whole & set(await runs.finish())
        runs.assert_finished()
