"""Whenever a repair is killed, every line is as true as before, and the next repair finishes."""

import asyncio
import hashlib
import json
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from archiver.emulator.scripts import OutputScript, Script
from archiver.emulator.server import Emulator
from archiver.fixity.verify import verify
from tests.crash.test_kills import ENVIRONMENT, ROOT
from tests.support.backups import KEY, Backups, assert_true_bag, generation
from tests.support.marks import slow, some_steps

ONE, TWO, OTHER = (f"data/v6/deepfake/{name}.mp4" for name in ("1", "2", "3"))
LANES = 4
NO_LINKS = ("EPERM", "EOPNOTSUPP", "ENOTSUP", "ENOSYS", "EMLINK", "EXDEV")
"""What a file system says that has no hard links, or none more, or none to there."""


class Repairs:
    """Repairs by the real program in copies of a damaged archive, some of which are killed."""

    def __init__(self, emulator: Emulator, process: asyncio.subprocess.Process) -> None:
        self._emulator = emulator
        self._process = process

    async def run(self, archive: Path, step: int = 0) -> int:
        """Repair until this step, or to the end for step 0; return the exit status."""
        arguments = [
            *("verify", "-a", str(archive), "--repair", "--accept-changed", "--threads", "1"),
            *("--api-url", self._emulator.api_url, "--api-rate", "1000", "--retries", "0"),
            *("--min-free", "0", "--allow-private-links"),
        ]
        log = archive.with_name("stderr")
        run = {"step": step, "arguments": arguments, "stderr": str(log)}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(run).encode() + b"\n")
        status = int(await asyncio.wait_for(self._process.stdout.readline(), 60))
        assert "Traceback" not in log.read_text(), log.read_text()
        return status


@asynccontextmanager
async def forking(error: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that has imported the program, and forks its runs; its hard links fail so."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.linkless", error),
        stdin=pipe,
        stdout=pipe,
        env=ENVIRONMENT | {"PYTHONPATH": str(ROOT)},
    )
    try:
        yield process
    finally:
        process.kill()
        await process.communicate()


@pytest.fixture
async def damaged(tmp_path: Path) -> AsyncIterator[tuple[Emulator, Path]]:
    """An archive: one video is damaged, and another one now; one is damaged, and still the same."""
    scripts = {generation(name): Script() for name in ("1", "2", "3")}
    async with Emulator(scripts, key=KEY) as emulator:
        archive = tmp_path / "archive"
        assert (await Backups(archive, emulator).run("1", "2", "3")).archived == 3
        emulator.scripts[generation("1")] = Script(outputs=(OutputScript(size=7_000),))
        for path in (ONE, TWO):
            data = bytearray((archive / path).read_bytes())
            data[100:110] = bytes(10)
            (archive / path).write_bytes(data)
        yield emulator, archive


def lines(archive: Path) -> dict[str, str]:
    """Return the checksum lines by path, each path once."""
    text = (archive / "manifest-sha256.txt").read_text()
    listed = [line.split("  ", 1) for line in text.splitlines()]
    assert len({path for _, path in listed}) == len(listed), "a file is listed twice"
    return {path: sha256 for sha256, path in listed}


def assert_no_worse(archive: Path, before: Path, good: Callable[[str], set[bytes]]) -> None:
    """Each file is what it was or what it is to be, each line is true, or as it was."""
    listed, old = lines(archive), lines(before)
    for path in old:
        data = (archive / path).read_bytes()  # in place at every instant
        assert data in {(before / path).read_bytes(), *good(path)}, f"{path} is partial"
        if listed.get(path) not in (None, old[path]):
            assert listed[path] == hashlib.sha256(data).hexdigest(), f"a false line of {path}"
    assert listed.keys() <= old.keys()


@slow
@pytest.mark.parametrize("lane", range(LANES))
@pytest.mark.parametrize("error", ["none", "EPERM"])
async def test_a_kill_at_every_step_of_a_repair_is_recovered_from(
    damaged: tuple[Emulator, Path], tmp_path: Path, lane: int, error: str
) -> None:
    """With hard links and without; what was damaged is in the quarantine in the end."""
    emulator, before = damaged

    def good(path: str) -> set[bytes]:
        known = {ONE: "1", TWO: "2"}
        return {emulator.payload(generation(known[path])).whole()} if path in known else set()

    async with forking(error) as process:
        repairs = Repairs(emulator, process)
        for step in some_steps(lane, LANES, 3):
            archive = tmp_path / f"step-{step}"
            shutil.copytree(before, archive)
            killed = await repairs.run(archive, step) == -signal.SIGKILL
            assert_no_worse(archive, before, good)
            assert await repairs.run(archive) == 0
            for path in (ONE, TWO):
                assert {(archive / path).read_bytes()} == good(path)
                kept = (archive / ".archiver/quarantine").rglob(Path(path).name)
                assert (before / path).read_bytes() in [each.read_bytes() for each in kept]
            assert verify(archive).findings == []
            assert_true_bag(archive)
            shutil.rmtree(archive)
            if not killed:
                break
        assert step > 50


@pytest.mark.parametrize("error", NO_LINKS)
async def test_without_hard_links_a_repair_copies(
    damaged: tuple[Emulator, Path], error: str
) -> None:
    """Whatever the file system says of them; the quarantine has the damaged bytes, whole."""
    emulator, archive = damaged
    before = {path: (archive / path).read_bytes() for path in (ONE, TWO)}
    async with forking(error) as process:
        assert await Repairs(emulator, process).run(archive) == 0
    for path, data in before.items():
        (kept,) = (archive / ".archiver/quarantine").rglob(Path(path).name)
        assert kept.read_bytes() == data
    assert not list((archive / ".archiver/quarantine").rglob("*.part"))
    assert verify(archive).findings == []
    assert_true_bag(archive)


async def test_an_error_that_is_not_about_links_is_an_error(
    damaged: tuple[Emulator, Path],
) -> None:
    """A full disk takes no copy either; nothing has changed in `data/`."""
    emulator, archive = damaged
    before = {path: (archive / path).read_bytes() for path in (ONE, TWO)}
    async with forking("ENOSPC") as process:
        assert await Repairs(emulator, process).run(archive) == 74
    assert {path: (archive / path).read_bytes() for path in (ONE, TWO)} == before
