"""A video that does not fit on the disk costs itself alone: whatever fits is archived."""

import asyncio
import re
import shutil
import struct
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from archiver.archive import disk_space
from archiver.emulator.scripts import LinkScript, OutputScript, Script
from archiver.emulator.server import Emulator
from archiver.pipeline.backup import backup
from archiver.settings import Timings
from tests.crash.test_disk import Disk, remount
from tests.support.backups import Backups, assert_true_bag, generation, quick_downloads
from tests.support.marks import slow
from tests.support.raw_server import Endless, RawServer
from tests.support.running import Ended, ended, mounted

MIB = 1 << 20
SMALL = {
    str(number): Script(outputs=(OutputScript(size=20_000 + 50_000 * number),))
    for number in range(10)
}
"""Some stay in memory until they are committed, and some do not."""
BEGINNING = struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0) + struct.pack(
    ">I4sQ", 1, b"mdat", 1 << 50
)
"""How a film of a petabyte begins."""
ENDLESS = (
    b'HTTP/1.1 200 OK\r\nETag: "endless"\r\nAccept-Ranges: bytes\r\nConnection: close\r\n\r\n',
    BEGINNING,
    Endless(b"\0" * 65536),
)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    with mounted(tmp_path / "disk", "size=8m") as place:
        yield place


@pytest.fixture
def disk(tmp_path: Path, emulator: Emulator, place: Path) -> Disk:
    """An archive on it."""
    disk = Disk(tmp_path, emulator)
    (place / "archive").mkdir()
    disk.archive.symlink_to(place / "archive")
    return disk


def video(size: int, **link: object) -> Script:
    """Return the script of a video of this size."""
    return Script(outputs=(OutputScript(size=size, primary=LinkScript(**link)),))  # type: ignore[arg-type]


def partial_files(disk: Disk) -> list[Path]:
    """Return what is kept to be resumed."""
    return [*(disk.archive / ".archiver/incoming").glob("*/*.part")]


def assert_only_failed(disk: Disk, result: Ended, name: str) -> None:
    """All the small ones are held, this one is named, and nothing is false."""
    assert result.status == 74, result
    assert f"failed v6/deepfake/{name}: it does not fit on the disk" in result.err
    assert "1 of the failed did not fit on the disk" in result.err
    assert disk.workspace.held() == [f"v6/deepfake/{small}.mp4" for small in SMALL]
    disk.assert_nothing_false()
    assert_true_bag(disk.archive)


@asynccontextmanager
async def endless_link() -> AsyncIterator[str]:
    """Serve a body that never ends, and could be resumed."""
    async with RawServer({"*": ENDLESS}) as server:
        yield f"http://{server.host}/endless.mp4"


@pytest.mark.parametrize("length", ["given", "none", "chunked"])
async def test_a_video_that_does_not_fit_fails_alone(disk: Disk, place: Path, length: str) -> None:
    """On every run, first on the list or alone at a time; with more space it is archived."""
    scripts = {"large": video(20_000_000, length=length)} | SMALL
    for number in range(2):
        one_by_one = ("--downloads", "1") if number else ()
        result = await disk.run(scripts, *one_by_one)
        assert_only_failed(disk, result, "large")
        assert partial_files(disk) == []
    if length == "given":
        assert "needs 20.0 MB" in result.err
        assert "0 bytes kept free (--min-free)" in result.err
    status = await disk.workspace.run("status", "-a", str(disk.archive))
    assert "it does not fit on the disk" in status.out
    remount(place, "size=64m")
    await disk.assert_recovered(scripts)


@pytest.mark.parametrize("length", ["given", "chunked"])
async def test_a_file_size_limit_costs_what_is_larger_alone(
    tmp_path: Path, emulator: Emulator, length: str
) -> None:
    """Whether the limit shows in the length (`ulimit -f`), or when it is met (EFBIG)."""
    disk = Disk(tmp_path, emulator)
    scripts = {"large": video(3_000_000, length=length)} | SMALL
    command = disk.workspace.command(disk.manifest(scripts))
    for _ in range(2):
        limited = ("sh", "-c", 'ulimit -f 4000; exec "$@"', "sh", *command)  # of 512 bytes
        result = await ended(*limited, env=disk.workspace.env())
        assert_only_failed(disk, result, "large")
        assert "ulimit -f" in result.err
        assert partial_files(disk) == []
    await disk.assert_recovered(scripts)


@contextmanager
def small_files_only(home: Path) -> Iterator[Path]:
    """Mount an ext4 without extents: 30 GB are free, and a file has 17 GB at most."""
    image, place = home / "image", home / "disk"
    with image.open("wb") as file:
        file.truncate(30 * 10**9)
    features = ("-b", "1024", "-O", "^extent,^64bit,^has_journal,^huge_file")
    place.mkdir()
    for command in (
        ("mkfs.ext4", "-q", *features, "-E", "lazy_itable_init=1", "-N", "1024", str(image)),
        ("mount", "-o", "loop", str(image), str(place)),
    ):
        if not shutil.which(command[0]) or subprocess.run(command, check=False).returncode:
            pytest.skip("no file system can be made and mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


async def test_what_the_file_system_takes_no_file_of_is_not_downloaded(
    tmp_path: Path, emulator: Emulator
) -> None:
    """Here that is a file of 17 GB, and on FAT32 one of 4 GB, however much is free."""
    disk = Disk(tmp_path, emulator)
    promising = b"HTTP/1.1 200 OK\r\nContent-Length: 20000000000\r\n\r\n"
    with small_files_only(tmp_path) as place:
        (place / "archive").mkdir()
        disk.archive.symlink_to(place / "archive")
        async with RawServer({"*": (promising, Endless(b"\0" * 65536))}) as server:
            scripts = {"large": video(20_000, url=f"http://{server.host}/large.mp4")} | SMALL
            result = await disk.run(scripts)
        assert_only_failed(disk, result, "large")
        assert "needs 20.0 GB: the file system or a limit allows no file" in result.err


async def test_a_limit_for_small_files_costs_no_group(tmp_path: Path, emulator: Emulator) -> None:
    """A video that would wait in memory to be committed with others is refused before."""
    disk = Disk(tmp_path, emulator)
    scripts = {"larger": video(125_000), "small": video(30_000)}
    command = disk.workspace.command(disk.manifest(scripts))
    result = await ended(
        *("sh", "-c", 'ulimit -f 240; exec "$@"', "sh", *command), env=disk.workspace.env()
    )
    assert result.status == 74
    assert "failed v6/deepfake/larger: it does not fit on the disk" in result.err
    assert disk.workspace.held() == ["v6/deepfake/small.mp4"]
    await disk.assert_recovered(scripts)


async def test_an_endless_body_leaves_the_reserve_and_gives_its_space_back(disk: Disk) -> None:
    """Others are archived beside it; nothing of it stays, though it could be resumed."""
    async with endless_link() as url:
        scripts = {"endless": video(20_000, url=url)} | SMALL
        for _ in range(2):
            result = await disk.run(scripts, "--min-free", "3M")
            assert_only_failed(disk, result, "endless")
            assert partial_files(disk) == []


async def test_a_proxy_is_tried_where_the_primary_does_not_end(disk: Disk) -> None:
    """Its payload may be the one that fits: then nothing has failed."""
    async with endless_link() as url:
        output = OutputScript(primary=LinkScript(url=url), proxy=LinkScript())
        result = await disk.run(SMALL | {"1": Script(outputs=(output,))})
    assert result == Ended(0, "", "")
    assert len(disk.workspace.held()) == len(SMALL)
    assert_true_bag(disk.archive)


async def test_an_endless_body_beyond_the_largest_size_is_deleted(disk: Disk) -> None:
    """It is a fault of its link, not of the disk."""
    async with endless_link() as url:
        scripts = {"endless": video(20_000, url=url)} | SMALL
        result = await disk.run(scripts, "--max-size", "3M")
    assert result.status == 3
    assert "it goes on beyond what --max-size allows" in result.err
    assert len(disk.workspace.held()) == len(SMALL)
    assert partial_files(disk) == []


@slow
async def test_an_endless_body_that_the_time_limit_ends_is_deleted(
    tmp_path: Path, emulator: Emulator
) -> None:
    """So much of it has come that it is not kept, though it could be resumed."""
    disk = Disk(tmp_path, emulator)
    async with endless_link() as url:
        scripts = {"endless": video(20_000, url=url)} | SMALL
        options = ("--max-time", "1s", "--limit-rate", "30M")
        result = await disk.run(scripts, *options)
    assert result.status == 0
    assert len(disk.workspace.held()) == len(SMALL)
    assert partial_files(disk) == []


async def test_a_partial_file_gives_way(disk: Disk) -> None:
    """What an earlier run has left is deleted before anything is refused for lack of space."""
    await disk.run({"cut": video(5_000_000, fault="cut")})
    (left,) = partial_files(disk)
    assert left.stat().st_size >= 2_000_000
    result = await disk.run({"large": video(6_500_000)})
    assert result == Ended(0, "", "")
    assert not left.exists()
    assert disk.workspace.held() == ["v6/deepfake/large.mp4"]


async def test_a_partial_file_stays_where_it_would_not_help(disk: Disk) -> None:
    """What cannot fit in any case takes nothing from others."""
    await disk.run({"cut": video(5_000_000, fault="cut")})
    (left,) = partial_files(disk)
    assert (await disk.run({"large": video(20_000_000)})).status == 74
    assert left.exists()


async def test_two_videos_that_do_not_fit_together_do_not_both_begin(disk: Disk) -> None:
    """What the other download still needs is kept for it."""
    scripts = {"1": video(5_000_000, seconds=1.5), "2": video(5_000_000, seconds=1.5)}
    result = await disk.run(scripts)
    assert result.status == 74
    assert re.search(r"needs 5\.0 MB, .* MB for other downloads", result.err)
    assert len(disk.workspace.held()) == 1
    assert_true_bag(disk.archive)


async def test_what_fits_once_another_has_failed_is_archived(
    place: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is put off, without a download slot, and tried again in the same run."""
    monkeypatch.setattr(disk_space, "_LET_OTHERS_END", 0.2)
    backups = Backups(place / "archive", emulator)
    no_video = OutputScript(body=BEGINNING.ljust(6_000_000, b"\0"), primary=LinkScript(seconds=1))
    emulator.scripts |= {
        generation("1"): Script(outputs=(no_video,)),
        generation("2"): video(5_000_000),
    }
    manifest = place / "ids.txt"
    manifest.write_text("1\n2\n")
    settings = backups.settings(
        download=quick_downloads(retries=1, timeout=5), timings=Timings(poll_min=0.1)
    )
    async with asyncio.timeout(20):
        report = await backup(backups.archive, [manifest], settings)
    assert (report.archived, report.failed) == (1, 1)
    assert "data/v6/deepfake/2.mp4" in backups.held()
    assert sum(seen.generation == generation("2") for seen in emulator.requests) > 2
    assert_true_bag(backups.archive)
