"""Whatever is killed at whatever step: nothing is lost, and nothing false is said."""

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from conftest import KEY, assert_lines_true, assert_true_bag, generation

from archiver.emulation.script import LinkScript, OutputScript, Script
from archiver.emulator import Emulator
from archiver.generation import Generation

HERE = Path(__file__).parent
NAMES = ["1", "2", "3", "4"]
SCRIPTS = {
    generation("1"): Script(),
    generation("2"): Script(outputs=(OutputScript(size=5_000), OutputScript(size=700_000))),
    generation("3"): Script(
        outputs=(
            OutputScript(size=600_000, primary=LinkScript(fault="cut", times=1, seconds=0.02)),
        )
    ),
    generation("4"): Script(answer="failed"),
}
RANDOM_KILLS = int(os.environ.get("ARCHIVER_TEST_KILLS", "40"))


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(dict(SCRIPTS), key=KEY) as running:
        yield running


class Runs:
    """Runs of the real program in one archive, some of which are killed."""

    def __init__(self, archive: Path, emulator: Emulator) -> None:
        self.archive = archive
        self.emulator = emulator
        self.manifest = archive.with_name("ids.txt")
        self.manifest.write_text("\n".join(NAMES) + "\n")

    async def start(self, step: int = 0) -> asyncio.subprocess.Process:
        """Start a run that is killed before this step; 0 lets it end."""
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

    def assert_nothing_false(self) -> None:
        """After a kill: every line is true, nothing is partial, nothing is held without bytes."""
        if (self.archive / "data").exists():
            assert_lines_true(self.archive)
            self._assert_nothing_partial()
            self._assert_catalogue_is_not_ahead()

    def _assert_nothing_partial(self) -> None:
        for path in (self.archive / "data").rglob("*.mp4"):
            held, number = path.stem.partition("-")[::2]
            payload = self.emulator.payload(Generation("v6/deepfake", held), int(number or 1))
            assert path.read_bytes() == payload.whole()

    def _assert_catalogue_is_not_ahead(self) -> None:
        catalogue = self.archive / ".archiver/catalogue.sqlite"
        if not catalogue.exists() or not catalogue.stat().st_size:
            return
        with sqlite3.connect(f"file:{catalogue}?mode=ro", uri=True) as db:
            tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master")]
            held = db.execute("SELECT path FROM file").fetchall() if "file" in tables else []
        db.close()
        listed = (self.archive / "manifest-sha256.txt").read_text()
        assert all(f"  {path}\n" in listed for (path,) in held)

    def assert_finished(self) -> None:
        """After the next run: the bag is whole, and no finished video was downloaded twice."""
        assert_true_bag(self.archive)
        held = {path.name for path in (self.archive / "data/v6/deepfake").iterdir()}
        assert held == {"1.mp4", "1.json", "2-1.mp4", "2-2.mp4", "2.json", "3.mp4", "3.json"}
        assert not any((self.archive / ".archiver/incoming").iterdir())


async def count_steps(runs: Runs) -> int:
    """Return how many steps a run takes that nobody kills."""
    low, high = 1, 4096
    while low < high:
        middle = (low + high) // 2
        trial = Runs(runs.archive.with_name(f"trial-{middle}"), runs.emulator)
        runs.emulator.forget()
        killed = await trial.end(await trial.start(middle)) == -signal.SIGKILL
        low, high = (middle + 1, high) if killed else (low, middle)
    return low


async def test_a_kill_at_every_step_is_mended(tmp_path: Path, emulator: Emulator) -> None:
    """A run killed before any of its steps leaves nothing false, and the next one finishes it."""
    steps = await count_steps(Runs(tmp_path / "count", emulator))
    assert steps > 60
    for step in range(1, steps):
        emulator.forget()
        runs = Runs(tmp_path / f"at-{step}", emulator)
        await runs.end(await runs.start(step))
        runs.assert_nothing_false()
        whole = finished_downloads(runs)
        assert await runs.end(await runs.start()) in (0, 3)
        runs.assert_finished()
        assert whole <= kept_downloads(runs), "a finished video was downloaded twice"
