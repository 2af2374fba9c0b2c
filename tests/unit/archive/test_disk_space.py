"""A reserve of the disk stays free, what does not fit is refused, and partial files give way."""

import asyncio
import errno
import os
import resource
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from archiver.archive.disk_space import DiskSpace
from archiver.archive.fitting import DoesNotFit, payload_errors
from archiver.archive.partial_file import Origin, PartialFile
from archiver.errors import StorageError
from tests.support.disk import IO_ERROR, DiskLog, everything, failing, names

MIB = 1 << 20
GB = 10**9


class Disk:
    """A file system with 20 GB free, of which 5 GB are for nobody but root."""

    f_frsize = 4096
    f_bsize = 65536
    f_bavail = 3_662_110
    f_bfree = 4_882_813


FREE = Disk.f_bavail * Disk.f_frsize


@pytest.fixture
def space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DiskSpace:
    """15 GB are free, and 1 GB of them is to stay free."""
    monkeypatch.setattr(os, "statvfs", lambda _: Disk)
    (tmp_path / ".archiver").mkdir()
    return DiskSpace(tmp_path, GB)


@pytest.fixture
def partial(tmp_path: Path) -> Iterator[PartialFile]:
    with closing(PartialFile(str(tmp_path / "1of1.part"))) as partial:
        yield partial


@pytest.fixture
def little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DiskSpace:
    """A disk of 100 MiB, with nothing but three partial files of 20 MiB on it, the oldest last."""
    incoming = tmp_path / ".archiver/incoming"
    for age, name in enumerate(("new", "old", "oldest")):
        (incoming / name).mkdir(parents=True)
        for suffix, size in ((".part", 20 * MIB), (".part.json", 0)):
            (path := incoming / name / f"1of1-x-{suffix}").write_bytes(bytes(size))
            os.utime(path, (10**9 - age, 10**9 - age))

    class Left:
        f_frsize = 1

        @property
        def f_bavail(self) -> int:
            files = [path for path in incoming.rglob("*") if path.is_file()]
            return 100 * MIB - sum(path.stat().st_size for path in files)

    monkeypatch.setattr(os, "statvfs", lambda _: Left())
    return DiskSpace(tmp_path, 10 * MIB)


async def claimed(space: DiskSpace, length: int | None, partial: PartialFile) -> None:
    async with space.claim(partial, length):
        pass


@pytest.mark.parametrize("length", [None, 0, 1, FREE - GB])
async def test_what_fits_is_accepted(
    space: DiskSpace, partial: PartialFile, length: int | None
) -> None:
    """Up to the reserve."""
    await claimed(space, length, partial)
    await space.require()


@pytest.mark.parametrize(("length", "needed"), [(FREE - GB + 1, "14.0 GB"), (3 * 10**12, "3.0 TB")])
async def test_a_payload_that_does_not_fit_is_refused_by_itself(
    space: DiskSpace, partial: PartialFile, length: int, needed: str
) -> None:
    """The message names what it needs, what is free, the reserve, and the option that sets it."""
    with pytest.raises(DoesNotFit) as error:
        await claimed(space, length, partial)
    assert str(error.value) == f"needs {needed}, 15.0 GB free, 1.0 GB kept free (--min-free)"
    assert error.value.pause is None
    await space.require()


async def test_what_is_there_of_a_payload_is_not_needed_again(
    space: DiskSpace, partial: PartialFile
) -> None:
    """Of a partial file that is resumed the rest counts."""
    partial.bytes = 10
    await claimed(space, FREE - GB + 10, partial)


async def test_a_disk_without_space_for_anything_is_a_storage_error(tmp_path: Path) -> None:
    """No generation can be archived then: it ends the run."""
    with pytest.raises(
        StorageError, match=r"the disk is full: .* free, 1000000\.0 TB kept free \(--min-free\)"
    ):
        await DiskSpace(tmp_path, 10**18).require()
    assert everything(tmp_path) == {}


async def test_space_that_is_kept_for_one_is_not_there_for_another(
    space: DiskSpace, partial: PartialFile, tmp_path: Path
) -> None:
    """Until the first ends; the second may be tried again then."""
    other = PartialFile(str(tmp_path / "other.part"))
    async with space.claim(partial, 8 * GB):
        with pytest.raises(DoesNotFit, match=r"8\.0 GB for other downloads") as error:
            await claimed(space, 8 * GB, other)
        assert error.value.pause
        await claimed(space, 5 * GB, other)
        async with space.claim(other, None):
            space.require_next(partial, MIB)
            with pytest.raises(DoesNotFit, match="came and more follow"):
                space.require_next(other, 7 * GB)
    await claimed(space, 8 * GB, other)


async def test_downloads_under_way_are_waited_for_where_nothing_fits(
    space: DiskSpace, partial: PartialFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may give their space back: only without them the disk is full for everything."""
    async with space.claim(partial, None):
        space.reserve = 16 * GB
        waiting = asyncio.create_task(space.require())
        await asyncio.sleep(0.05)
        assert not waiting.done()
    async with asyncio.timeout(30):
        with pytest.raises(StorageError, match="the disk is full"):
            await waiting


async def test_the_oldest_partial_files_give_way(
    little: DiskSpace, partial: PartialFile, tmp_path: Path
) -> None:
    """As many as it takes, with all that belongs to them, and none that is in use."""
    incoming = tmp_path / ".archiver/incoming"
    await claimed(little, 30 * MIB, partial)
    assert names(incoming) == ["new", "old", "oldest"]
    await claimed(little, 31 * MIB, partial)
    assert names(incoming) == ["new", "old"]
    with little.in_use("old"):
        with pytest.raises(DoesNotFit, match=r"needs 94\.4 MB"):
            await claimed(little, 90 * MIB, partial)
        assert names(incoming) == ["new", "old"]
        await claimed(little, 60 * MIB, partial)
        assert names(incoming) == ["old"]
    little.reserve = 80 * MIB
    await little.require()
    assert names(incoming) == []


async def test_a_payload_that_is_being_staged_gives_no_way(
    little: DiskSpace, partial: PartialFile, tmp_path: Path
) -> None:
    """It has no origin: it is written just before it is committed."""
    for origin in (tmp_path / ".archiver/incoming").rglob("*.json"):
        origin.unlink()
    with pytest.raises(DoesNotFit):
        await claimed(little, 31 * MIB, partial)
    assert names(tmp_path / ".archiver/incoming") == ["new", "old", "oldest"]


async def test_a_limit_to_the_size_of_files_is_known_before(
    space: DiskSpace, partial: PartialFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is downloaded that no file may hold (`ulimit -f`)."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (2 * GB, 2 * GB))
    await claimed(space, 2 * GB, partial)
    with pytest.raises(DoesNotFit, match=r"needs 2\.0 GB, no file may be larger than 2\.0 GB"):
        await claimed(space, 2 * GB + 1, partial)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_payload_that_the_disk_does_not_take_does_not_fit(number: int) -> None:
    """A disk or a quota that is full may be full for others, too; a limit is not."""
    with pytest.raises(DoesNotFit) as error, payload_errors("writing x"):
        failing(number)()
    assert error.value.disk_full == (number != errno.EFBIG)


def test_a_disk_that_fails_is_no_fault_of_a_payload() -> None:
    """It ends the run."""
    with (
        pytest.raises(StorageError, match="while writing x: Input/output"),
        payload_errors("writing x"),
    ):
        IO_ERROR()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
async def test_a_disk_that_takes_no_small_file_either_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Quotas and missing inodes do not show in the free space: a small file is written."""
    (tmp_path / ".archiver/incoming").mkdir(parents=True)
    full = DoesNotFit("the disk has refused it", disk_full=True)
    await DiskSpace(tmp_path, 0).require_after(full)
    assert names(tmp_path / ".archiver") == ["incoming"]
    monkeypatch.setattr(Path, "write_bytes", failing(number))
    await DiskSpace(tmp_path, 0).require_after(DoesNotFit("too large"))
    with pytest.raises(StorageError, match="writing to"):
        await DiskSpace(tmp_path, 0).require_after(full)


async def test_nothing_is_written_to_find_out(tmp_path: Path, partial: PartialFile) -> None:
    """A look at the file system is enough."""
    with pytest.MonkeyPatch.context() as patch:
        disk = DiskLog(patch)
        await DiskSpace(tmp_path, 0).require()
        await claimed(DiskSpace(tmp_path, 0), 10, partial)
    assert disk.steps == []
    assert everything(tmp_path) == {}


async def test_where_there_is_no_disk_is_a_storage_error(
    tmp_path: Path, partial: PartialFile
) -> None:
    """An archive that has vanished is no fault of a generation."""
    gone = DiskSpace(tmp_path / "gone", 0)
    with pytest.raises(StorageError, match=r"looking for free space in .*gone: No such file"):
        await gone.require()
    with pytest.raises(StorageError, match=r"looking for free space in .*gone: No such file"):
        await claimed(gone, 1, partial)


@pytest.mark.parametrize("length", [None, 100 * MIB])
def test_a_body_of_unknown_length_is_kept_up_to_a_bound(
    partial: PartialFile, monkeypatch: pytest.MonkeyPatch, length: int | None
) -> None:
    """It may be endless; what announces its length is kept whatever it has."""
    monkeypatch.setattr("archiver.archive.partial_file._UNANNOUNCED", 1000)
    for size in (1000, 1001):
        partial.reset(Origin('"x"', "", length, "this boot"))
        partial.write(bytes((0, 0, 0, 16)) + b"ftypisom" + bytes(4) + bytes((0, 1, 0, 0)) + b"mdat")
        partial.write(bytes(size - partial.bytes))
        partial.suspend()
        assert partial.path.exists() == (size == 1000 or length is not None)
