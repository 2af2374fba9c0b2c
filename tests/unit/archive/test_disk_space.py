"""A reserve of the disk stays free: what does not fit is refused before it is written."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import aiofiles.os
import pytest

from archiver.archive.disk_space import DiskSpace
from archiver.errors import StorageError
from tests.support.disk import DiskLog, everything

Require = Callable[[DiskSpace, int], None]


def from_the_event_loop(space: DiskSpace, count: int) -> None:
    asyncio.run(space.require(count))


BOTH = pytest.mark.parametrize("require", [DiskSpace.require_now, from_the_event_loop])


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

    async def statvfs(_: object) -> type[Disk]:
        return Disk

    monkeypatch.setattr(os, "statvfs", lambda _: Disk)
    monkeypatch.setattr(aiofiles.os, "statvfs", statvfs)
    return DiskSpace(tmp_path, 10**9)


@BOTH
@pytest.mark.parametrize("count", [-5, 0, 1, FREE - 10**9])
def test_what_fits_is_accepted(space: DiskSpace, require: Require, count: int) -> None:
    """Up to the reserve."""
    require(space, count)


@BOTH
@pytest.mark.parametrize(
    ("count", "needed"), [(FREE - 10**9 + 1, "14.0 GB"), (3 * 10**12, "3.0 TB")]
)
def test_what_does_not_fit_is_a_storage_error(
    space: DiskSpace, require: Require, count: int, needed: str
) -> None:
    """The message names what is free, what is needed, the reserve, and the option that sets it."""
    with pytest.raises(StorageError) as error:
        require(space, count)
    assert str(error.value) == (
        f"the disk is full: 15.0 GB free, {needed} needed, 1.0 GB to be kept free (--min-free)"
    )


@BOTH
@pytest.mark.parametrize(("count", "reserve"), [(0, 10**18), (10**18, 0), (-5, 10**18)])
def test_space_that_is_not_there_is_a_storage_error(
    tmp_path: Path, require: Require, count: int, reserve: int
) -> None:
    """On a real disk, too: what is needed must fit and leave the reserve alone."""
    require(DiskSpace(tmp_path, 0), 1000)
    require(DiskSpace(tmp_path, 0), -1000)
    with pytest.raises(StorageError, match=r"the disk is full: .* \(--min-free\)"):
        require(DiskSpace(tmp_path, reserve), count)
    assert everything(tmp_path) == {}


def test_a_download_of_less_than_nothing_needs_nothing(space: DiskSpace) -> None:
    """The rest of a file that is longer than announced: the reserve counts all the same."""
    with pytest.raises(StorageError, match=r"15\.0 GB free, 0 bytes needed, 20\.0 GB to be kept"):
        DiskSpace(space.path, 20 * 10**9).require_now(-5)


@BOTH
def test_nothing_is_written_to_find_out(tmp_path: Path, require: Require) -> None:
    """A look at the file system is enough."""
    with pytest.MonkeyPatch.context() as patch:
        disk = DiskLog(patch)
        DiskSpace(tmp_path, 0).require_now(10)
    require(DiskSpace(tmp_path, 0), 10)
    assert disk.steps == []
    assert everything(tmp_path) == {}


@BOTH
def test_where_there_is_no_disk_is_a_storage_error(tmp_path: Path, require: Require) -> None:
    """An archive that has vanished is no fault of a generation."""
    with pytest.raises(StorageError, match=r"looking for free space in .*gone: No such file"):
        require(DiskSpace(tmp_path / "gone", 0), 1)
