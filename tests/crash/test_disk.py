"""A disk that is full, read-only or failing ends a run cleanly, and the next run goes on."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from archiver.emulator.scripts import LinkScript, OutputScript, Script
from archiver.emulator.server import Emulator
from archiver.generation import generation_at
from tests.support.backups import KEY, assert_lines_true, assert_true_bag, generation
from tests.support.marks import slow, some_steps
from tests.support.running import Ended, Workspace, ended, mounted, started, until

ROOT = Path(__file__).parents[2]
LANES = 8
"""The steps are shared among this many tests, which may run in parallel."""
ERRORS = ("ENOSPC", "EIO", "EDQUOT", "EROFS")
PAGE = 4096
"""The size of a page of a tmpfs, in bytes."""
NO_LENGTH = LinkScript(length="none")
"""Its length is not known: that it does not fit shows when it is written."""
SAYING = ("1", "4", "90")
"""Of which the manifests say something."""
HELD = {"90": Script()}
"""What the archive holds before the disk is full."""
MIXED = {
    "1": Script(),
    "2": Script(outputs=(OutputScript(size=40_000, primary=NO_LENGTH), OutputScript(size=9_000))),
    "3": Script(outputs=(OutputScript(size=700_000, primary=NO_LENGTH),)),
    "4": Script(outputs=(OutputScript(size=600_000),)),
}
FREE_PAGES = [
    0, 1, 2, 4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 60, 80, 100, 150, 250, 400, 600,
]  # fmt: skip
FREE_INODES = [0, 1, 3, 5, 8, 11, 14, 24]


def remount(place: Path, options: str) -> None:
    """Mount it again with other options; its files stay."""
    subprocess.run(["mount", "-o", f"remount,{options}", str(place)], check=True)


@contextmanager
def only_free(place: Path, pages: int) -> Iterator[None]:
    """Leave only some pages of a file system free."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"\0" * PAGE):
            pass
    with filler.open("r+b") as file:
        file.truncate(max(0, filler.stat().st_size - pages * PAGE))
    yield
    filler.unlink()


@contextmanager
def only_free_inodes(place: Path, count: int) -> Iterator[None]:
    """Leave only some inodes of a file system free."""
    fillers: list[Path] = []
    with suppress(OSError):
        while True:
            fillers.append(place / f"filler-{len(fillers)}")
            fillers[-1].touch()
    fillers.pop()
    for _ in range(min(count, len(fillers))):
        fillers.pop().unlink()
    yield
    for filler in fillers:
        filler.unlink()


class Disk:
    """An archive on a disk that may fail, and what must hold all the while."""

    def __init__(self, home: Path, emulator: Emulator) -> None:
        self.workspace = Workspace(home, emulator)
        self.before: dict[str, str] = {}

    @property
    def archive(self) -> Path:
        """The archive."""
        return self.workspace.archive

    def manifest(self, scripts: dict[str, Script]) -> str:
        """Give the emulator these scripts; return a manifest, which is on another disk."""
        self.workspace.emulator.scripts |= {
            generation(name): each for name, each in scripts.items()
        }
        said = {name: {"id": name, "prompt": "a cat " * 1000} for name in SAYING}
        return self.workspace.manifest(*(json.dumps(said.get(name, name)) for name in scripts))

    async def run(self, scripts: dict[str, Script], *args: str) -> Ended:
        """Back up; return the result."""
        return await self.workspace.backup(self.manifest(scripts), *args)

    def assert_in_order(self, result: Ended) -> None:
        """The run succeeded, or ended with status 74 and the reason; nothing false is left."""
        assert result.status in (0, 74), result
        assert "Traceback" not in result.err
        assert "Error" not in result.err
        if result.status:
            assert re.search("storage|disk", result.err)
        self.assert_nothing_false()
        if result.status == 0 and self.archive.exists():
            assert_true_bag(self.archive)

    def assert_nothing_false(self) -> None:
        """What was committed stays so, every line is true, and no file in its place is partial."""
        if (self.archive / "manifest-sha256.txt").exists():
            named = assert_lines_true(self.archive)
            assert self.before.items() <= named.items()
            self.before = named
        for path in self.archive.glob("data/v6/deepfake/*.mp4"):
            held = generation_at(path.relative_to(self.archive).as_posix())
            assert held is not None
            number = int(path.stem.partition("-")[2] or 1)
            assert path.read_bytes() == self.workspace.emulator.payload(held, number).whole()

    async def assert_recovered(self, *scripts: dict[str, Script]) -> None:
        """When the disk works again, the next run finishes, and nothing is left over."""
        wanted = {name: each for some in scripts for name, each in some.items()}
        result = await self.run(wanted)
        assert result == Ended(0, "", "")
        assert_true_bag(self.archive)
        self.assert_nothing_false()
        assert len(self.workspace.held()) == sum(len(each.outputs) for each in wanted.values())
        assert not any((self.archive / ".archiver/incoming").iterdir())
        assert not (self.archive / ".archiver/quarantine").exists()


# --- A real file system that is full


async def fill(home: Path, emulator: Emulator, place: Path, left: list[int], filling: str) -> int:
    """Back up to disks with some space left, into new and old archives; count the failed runs."""
    failed = 0
    filled = {"pages": only_free, "inodes": only_free_inodes}[filling]
    for step, free in enumerate(left):
        home_of_step = home / f"{filling}-{free}"
        home_of_step.mkdir()
        disk = Disk(home_of_step, emulator)
        (place / f"archive-{free}").mkdir()
        disk.archive.symlink_to(place / f"archive-{free}")
        if old := step % 2:
            assert (await disk.run(HELD)).status == 0
            disk.assert_nothing_false()
        with filled(place, free):
            result = await disk.run(MIXED)
            disk.assert_in_order(result)
            if old:
                disk.assert_in_order(await disk.run(MIXED))
        failed += result.status == 74
        await disk.assert_recovered(MIXED, HELD if old else {})
        shutil.rmtree(place / f"archive-{free}")
    return failed


@slow
@pytest.mark.parametrize("lane", range(4))
async def test_a_full_disk_is_recovered_from(tmp_path: Path, emulator: Emulator, lane: int) -> None:
    """However much is free, a run succeeds or ends with status 74; with free space it finishes."""
    left = FREE_PAGES[lane::4]
    with mounted(tmp_path / "disk", "size=6m") as place:
        failed = await fill(tmp_path, emulator, place, left, "pages")
    assert failed >= len(left) - 2


@slow
@pytest.mark.parametrize("lane", range(2))
async def test_a_disk_without_inodes(tmp_path: Path, emulator: Emulator, lane: int) -> None:
    """A disk without a free inode is a full disk too."""
    left = FREE_INODES[lane::2]
    with mounted(tmp_path / "disk", "size=6m,nr_inodes=64") as place:
        failed = await fill(tmp_path, emulator, place, left, "inodes")
    assert failed >= len(left) // 2


@slow
async def test_the_videos_of_a_group_that_fit_stay(tmp_path: Path, emulator: Emulator) -> None:
    """Small videos that were downloaded are not all lost because the last one does not fit."""
    small = Script(outputs=(OutputScript(size=20_000),))
    with mounted(tmp_path / "disk", "size=6m,nr_inodes=80") as place:
        disk = Disk(tmp_path, emulator)
        (place / "archive").mkdir()
        disk.archive.symlink_to(place / "archive")
        result = await disk.run(
            {str(number): small for number in range(60)}, "--api-rate", "1000/s"
        )
        disk.assert_in_order(result)
        assert result.status == 74
        staged = [*(disk.archive / ".archiver/incoming").glob("*/*.mp4")]
        assert len(disk.workspace.held()) + len(staged) >= 15


@slow
async def test_a_read_only_disk_is_recovered_from(tmp_path: Path, emulator: Emulator) -> None:
    """What a killed run left stays unharmed until a run that can recover it."""
    large = Script(outputs=(OutputScript(size=9_000_000, primary=LinkScript(seconds=60)),))
    with mounted(tmp_path / "disk", "size=32m") as place:
        disk = Disk(tmp_path, emulator)
        (place / "archive").mkdir()
        disk.archive.symlink_to(place / "archive")
        command = disk.workspace.command(disk.manifest(MIXED | {"5": large}))
        async with started(*command, env=disk.workspace.env()) as run:
            await until(lambda: len(disk.workspace.held()) == 5)
            run.kill()
            await run.wait()
        disk.assert_nothing_false()
        remount(place, "ro")
        emulator.forget()
        result = await disk.run(MIXED)
        disk.assert_in_order(result)
        assert result.status == 74
        assert "Read-only file system" in result.err
        assert emulator.requests == []
        remount(place, "rw")
        emulator.scripts[generation("5")] = Script()
        await disk.assert_recovered(MIXED, {"5": Script()})


async def test_the_reserved_space_stays_free(tmp_path: Path, emulator: Emulator) -> None:
    """`--min-free` ends a run before it starts a download that is known not to fit."""
    with mounted(tmp_path / "disk", "size=6m") as place:
        disk = Disk(tmp_path, emulator)
        (place / "archive").mkdir()
        disk.archive.symlink_to(place / "archive")
        assert (await disk.run(HELD, "--min-free", "2M")).status == 0
        large = {"1": Script(outputs=(OutputScript(size=4_500_000),))}
        result = await disk.run(large, "--min-free", "2M")
        disk.assert_in_order(result)
        assert result.status == 74
        assert "--min-free" in result.err
        assert not list(disk.archive.glob(".archiver/incoming/*/*.mp4"))
        assert all(not path.stat().st_size for path in disk.archive.rglob("*.part"))
        await disk.assert_recovered(large, HELD)


# --- Each step fails once, or all steps from there on


FEW = {"1": Script(outputs=(OutputScript(size=300_000), OutputScript(size=9_000)))}
"""Few steps, but of every kind: one partial file that could be resumed, and one that could not."""
FEW_OF = {generation(name): each for name, each in FEW.items()}


async def failing(disk: Disk, step: int, error: str, how: str) -> tuple[Ended, int]:
    """Back up with a disk that fails at a step; return the result and the number of steps."""
    command = disk.workspace.command(disk.manifest(FEW))[1:]
    script = (sys.executable, "-m", "tests.support.failing", str(step), error, how)
    result = await ended(*script, *command, env=disk.workspace.env(PYTHONPATH=str(ROOT)))
    return result, int(result.out.split()[-1])


@slow
@pytest.mark.parametrize("lane", range(LANES))
async def test_every_failing_step_is_recovered_from(tmp_path: Path, lane: int) -> None:
    """Whichever step fails, with whatever error, nothing is false and the next run finishes.

    A run can do without the step that failed, or it ends with status 74.
    """
    async with Emulator(FEW_OF, key=KEY) as emulator:
        for turn, step in enumerate(some_steps(lane, LANES, 3)):
            emulator.forget()
            home = tmp_path / f"step-{step}"
            home.mkdir()
            disk = Disk(home, emulator)
            error = ERRORS[(turn + lane) % 4]
            result, steps = await failing(disk, step, error, ("once", "onward")[turn // 4 % 2])
            try:
                disk.assert_in_order(result)
                await disk.assert_recovered(FEW)
            except AssertionError as wrong:
                wrong.add_note(f"after {error} at step {step} of {steps}: {result.err}")
                raise
            if step > steps:
                break
        assert step > 50
