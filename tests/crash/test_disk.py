"""A disk that is full, read-only or failing ends the night in order, and the next goes on."""

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
from tests.support.running import Ended, Workspace, ended, mounted, started, until

ROOT = Path(__file__).parents[2]
LANES = 8
"""The steps are dealt out to so many tests, which may run side by side."""
ERRORS = ("ENOSPC", "EIO", "EDQUOT", "EROFS")
PAGE = 4096
"""What a tmpfs counts in, in bytes."""
UNSAID = LinkScript(length="none")
"""Nobody says how long it is: that there is no room for it shows when it is written."""
HELD = {"90": Script()}
"""What is in the archive before the disk is full."""
MIXED = {
    "1": Script(),
    "2": Script(outputs=(OutputScript(size=40_000, primary=UNSAID), OutputScript(size=9_000))),
    "3": Script(outputs=(OutputScript(size=700_000, primary=UNSAID),)),
    "4": Script(outputs=(OutputScript(size=600_000),)),
}
FREE_PAGES = [
    0, 1, 2, 4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 60, 80, 100, 150, 250, 400, 600,
]  # fmt: skip
FREE_INODES = [0, 1, 3, 5, 8, 11, 14, 24]


def remount(place: Path, options: str) -> None:
    """Mount it anew with other options; what is in it stays."""
    subprocess.run(["mount", "-o", f"remount,{options}", str(place)], check=True)


@contextmanager
def only_free(place: Path, pages: int) -> Iterator[None]:
    """Leave just so many pages of a file system free."""
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
    """Leave room for just so many files and directories."""
    fillers = []
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
    """An archive on a disk that fails now and then, and what must hold all the while."""

    def __init__(self, home: Path, emulator: Emulator) -> None:
        self.workspace = Workspace(home, emulator)
        self.before: dict[str, str] = {}

    @property
    def archive(self) -> Path:
        """Where the videos go."""
        return self.workspace.archive

    def manifest(self, scripts: dict[str, Script]) -> str:
        """Tell the emulator how generations behave; return a manifest, which is elsewhere."""
        self.workspace.emulator.scripts |= {
            generation(name): each for name, each in scripts.items()
        }
        return self.workspace.manifest(*scripts)

    async def night(self, scripts: dict[str, Script], *args: str) -> Ended:
        """Back up; return how it ended."""
        return await self.workspace.backup(self.manifest(scripts), *args)

    def assert_in_order(self, told: Ended) -> None:
        """The night succeeded, or it ended with 74 and the reason; nothing false is left."""
        assert told.status in (0, 74), told
        assert "Traceback" not in told.err
        assert "Error" not in told.err
        if told.status:
            assert re.search("storage|disk", told.err)
        self.assert_nothing_false()
        if told.status == 0 and self.archive.exists():
            assert_true_bag(self.archive)

    def assert_nothing_false(self) -> None:
        """What was settled stays settled, every line is true, and nothing in place is partial."""
        if (self.archive / "manifest-sha256.txt").exists():
            named = assert_lines_true(self.archive)
            assert self.before.items() <= named.items()
            self.before = named
        for path in self.archive.glob("data/v6/deepfake/*.mp4"):
            held = generation_at(path.relative_to(self.archive).as_posix())
            assert held is not None
            number = int(path.stem.partition("-")[2] or 1)
            assert path.read_bytes() == self.workspace.emulator.payload(held, number).whole()

    async def assert_mended(self, *scripts: dict[str, Script]) -> None:
        """With a disk that works again, the next night finishes, and nothing is left over."""
        wanted = {name: each for some in scripts for name, each in some.items()}
        told = await self.night(wanted)
        assert told == Ended(0, "", "")
        assert_true_bag(self.archive)
        self.assert_nothing_false()
        assert len(self.workspace.held()) == sum(len(each.outputs) for each in wanted.values())
        assert not any((self.archive / ".archiver/incoming").iterdir())
        assert not (self.archive / ".archiver/quarantine").exists()


# --- A real file system, filled to the brim


async def fill(home: Path, emulator: Emulator, place: Path, left: list[int], filling: str) -> int:
    """Let archives, new and old, meet a disk with just so much left; return how often it failed."""
    failed = 0
    filled = {"pages": only_free, "inodes": only_free_inodes}[filling]
    for step, free in enumerate(left):
        home_of_step = home / f"{filling}-{free}"
        home_of_step.mkdir()
        disk = Disk(home_of_step, emulator)
        (place / f"archive-{free}").mkdir()
        disk.archive.symlink_to(place / f"archive-{free}")
        if old := step % 2:
            assert (await disk.night(HELD)).status == 0
            disk.assert_nothing_false()
        with filled(place, free):
            told = await disk.night(MIXED)
            disk.assert_in_order(told)
            if old:
                disk.assert_in_order(await disk.night(MIXED))
        failed += told.status == 74
        await disk.assert_mended(MIXED, HELD if old else {})
        shutil.rmtree(place / f"archive-{free}")
    return failed


@pytest.mark.parametrize("lane", range(4))
async def test_a_disk_filled_to_the_brim(tmp_path: Path, emulator: Emulator, lane: int) -> None:
    """Whatever is left of it, the night ends with 74 or succeeds; with room again it finishes."""
    left = FREE_PAGES[lane::4]
    with mounted(tmp_path / "disk", "size=6m") as place:
        failed = await fill(tmp_path, emulator, place, left, "pages")
    assert failed >= len(left) - 2


@pytest.mark.parametrize("lane", range(2))
async def test_a_disk_without_inodes(tmp_path: Path, emulator: Emulator, lane: int) -> None:
    """No room for another file is a full disk too."""
    left = FREE_INODES[lane::2]
    with mounted(tmp_path / "disk", "size=6m,nr_inodes=64") as place:
        failed = await fill(tmp_path, emulator, place, left, "inodes")
    assert failed >= len(left) // 2


async def test_what_fits_of_a_group_stays(tmp_path: Path, emulator: Emulator) -> None:
    """Small videos that were downloaded are not all lost because the last of them does not fit."""
    small = Script(outputs=(OutputScript(size=20_000),))
    with mounted(tmp_path / "disk", "size=6m,nr_inodes=80") as place:
        disk = Disk(tmp_path, emulator)
        (place / "archive").mkdir()
        disk.archive.symlink_to(place / "archive")
        told = await disk.night(
            {str(number): small for number in range(60)}, "--api-rate", "1000/s"
        )
        disk.assert_in_order(told)
        assert told.status == 74
        staged = [*(disk.archive / ".archiver/incoming").glob("*/*.mp4")]
        assert len(disk.workspace.held()) + len(staged) >= 15


async def test_a_disk_that_is_read_only_for_a_night(tmp_path: Path, emulator: Emulator) -> None:
    """What a killed run has left waits, unharmed, for a night on which it can be mended."""
    slow = Script(outputs=(OutputScript(size=9_000_000, primary=LinkScript(seconds=60)),))
    with mounted(tmp_path / "disk", "size=32m") as place:
        disk = Disk(tmp_path, emulator)
        (place / "archive").mkdir()
        disk.archive.symlink_to(place / "archive")
        command = disk.workspace.command(disk.manifest(MIXED | {"5": slow}))
        async with started(*command, env=disk.workspace.env()) as run:
            await until(lambda: len(disk.workspace.held()) == 5)
            run.kill()
            await run.wait()
        disk.assert_nothing_false()
        remount(place, "ro")
        emulator.forget()
        told = await disk.night(MIXED)
        disk.assert_in_order(told)
        assert told.status == 74
        assert "Read-only file system" in told.err
        assert emulator.requests == []
        remount(place, "rw")
        emulator.scripts[generation("5")] = Script()
        await disk.assert_mended(MIXED, {"5": Script()})


async def test_the_reserve_is_left_alone(tmp_path: Path, emulator: Emulator) -> None:
    """`--min-free` stops the night before a download of a known length would touch it."""
    with mounted(tmp_path / "disk", "size=6m") as place:
        disk = Disk(tmp_path, emulator)
        (place / "archive").mkdir()
        disk.archive.symlink_to(place / "archive")
        assert (await disk.night(HELD, "--min-free", "2M")).status == 0
        large = {"1": Script(outputs=(OutputScript(size=4_500_000),))}
        told = await disk.night(large, "--min-free", "2M")
        disk.assert_in_order(told)
        assert told.status == 74
        assert "--min-free" in told.err
        assert not list(disk.archive.glob(".archiver/incoming/*/*.mp4"))
        assert all(not path.stat().st_size for path in disk.archive.rglob("*.part"))
        await disk.assert_mended(large, HELD)


# --- Each step fails once, or from then on


FEW = {"1": Script(outputs=(OutputScript(size=300_000), OutputScript(size=9_000)))}
"""Few steps in all, but of every kind: a part that could be resumed, and one that could not."""
FEW_OF = {generation(name): each for name, each in FEW.items()}


async def failing(disk: Disk, step: int, error: str, how: str) -> tuple[Ended, int]:
    """Back up with a disk that fails at a step; return how it ended, and how many there were."""
    command = disk.workspace.command(disk.manifest(FEW))[1:]
    script = (sys.executable, "-m", "tests.support.failing", str(step), error, how)
    told = await ended(*script, *command, env=disk.workspace.env(PYTHONPATH=str(ROOT)))
    return told, int(told.out.split()[-1])


@pytest.mark.parametrize("lane", range(LANES))
async def test_every_step_fails_once(tmp_path: Path, lane: int) -> None:
    """Whichever step the disk refuses, in whatever words, nothing is false and the next finishes.

    A step that fails is either one that the night can do without, or the night ends with 74.
    """
    async with Emulator(FEW_OF, key=KEY) as emulator:
        for turn, step in enumerate(range(lane + 1, 1000, LANES)):
            emulator.forget()
            home = tmp_path / f"step-{step}"
            home.mkdir()
            disk = Disk(home, emulator)
            error = ERRORS[(turn + lane) % 4]
            told, steps = await failing(disk, step, error, ("once", "onward")[turn // 4 % 2])
            try:
                disk.assert_in_order(told)
                await disk.assert_mended(FEW)
            except AssertionError as wrong:
                wrong.add_note(f"after {error} at step {step} of {steps}: {told.err}")
                raise
            if step > steps:
                break
        assert step > 50
