"""The sink writes one block in a thread while the next is gathered, and loses nothing."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

import pytest

from archiver.archive.disk_space import DiskSpace
from archiver.archive.fitting import DoesNotFit
from archiver.archive.partial_file import Origin, PartialFile
from archiver.download.sink import Sink
from archiver.emulator.clip import grown_clip
from archiver.errors import StorageError
from archiver.media.reader import NotWhole
from tests.support.disk import everything
from tests.support.videos import HTML, MP4

MIB = 1 << 20
VIDEO = grown_clip(3_500_000, "sink").whole()
Step: TypeAlias = Callable[[Sink], Awaitable[object]]
ORIGIN = Origin('"x"', "", None, "this boot")


@pytest.fixture
def partial(tmp_path: Path) -> Iterator[PartialFile]:
    with closing(PartialFile(str(tmp_path / "1of1.part"))) as partial:
        yield partial


def space(partial: PartialFile) -> DiskSpace:
    """Return a guard that keeps nothing free."""
    return DiskSpace(partial.path.parent, 0)


def chunks(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.mark.parametrize("size", [1000, 100_000, MIB, 3_000_000])
async def test_what_is_taken_is_written_in_its_order(partial: PartialFile, size: int) -> None:
    """All but the last block, which is returned: a small payload never needs a thread."""
    async with Sink(partial, space(partial)) as sink:
        for chunk in chunks(VIDEO, size):
            if sink.take(chunk):
                await sink.write()
        rest = await sink.rest()
    assert partial.path.read_bytes() + rest == VIDEO
    assert partial.bytes + len(rest) == len(VIDEO)
    assert partial.bytes >= MIB


async def test_a_block_is_a_mebibyte_at_least(tmp_path: Path, partial: PartialFile) -> None:
    """Until one is gathered, nothing is written."""
    async with Sink(partial, space(partial)) as sink:
        assert not sink.take(VIDEO[: MIB - 1])
        assert sink.take(VIDEO[MIB - 1 : MIB])
        assert everything(tmp_path) == {}
        await sink.write()
        assert not sink.take(VIDEO[MIB : MIB + 100])
        assert await sink.rest() == VIDEO[MIB : MIB + 100]
    assert partial.path.read_bytes() == VIDEO[:MIB]


async def test_the_next_block_is_gathered_while_one_is_written(
    partial: PartialFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But not written: one thread at a time works on the file."""
    go_on, plain, writing = threading.Event(), partial.write, 0

    def slow(data: bytes) -> None:
        nonlocal writing
        writing += 1
        assert writing == 1
        assert go_on.wait(20)
        plain(data)
        writing -= 1

    monkeypatch.setattr(partial, "write", slow)
    async with Sink(partial, space(partial)) as sink:
        assert sink.take(VIDEO[:MIB])
        await sink.write()
        assert sink.take(VIDEO[MIB : 2 * MIB])
        second = asyncio.create_task(sink.write())
        await asyncio.sleep(0.05)
        assert not second.done()
        go_on.set()
        await second
        assert await sink.rest() == b""
    assert partial.path.read_bytes() == VIDEO[: 2 * MIB]


@pytest.mark.parametrize("error", [ConnectionError, asyncio.CancelledError, TimeoutError])
@pytest.mark.parametrize("size", [100, MIB + 100])
async def test_what_came_before_a_break_is_written_if_it_can_be_resumed(
    partial: PartialFile, error: type[BaseException], size: int
) -> None:
    """Blocks that were being written, and what was gathered after them."""
    partial.reset(ORIGIN)
    with pytest.raises(error):
        await broken(partial, VIDEO[:size], error())
    partial.suspend()
    assert partial.path.read_bytes() == VIDEO[:size]


async def test_what_came_before_a_break_and_cannot_be_resumed_is_dropped(
    tmp_path: Path, partial: PartialFile
) -> None:
    """It is not worth a visit to the disk."""
    with pytest.raises(ConnectionError):
        await broken(partial, VIDEO[:100], ConnectionError())
    assert partial.bytes == 0
    assert everything(tmp_path) == {}


@pytest.mark.parametrize("error", [NotWhole, StorageError, DoesNotFit])
async def test_what_is_no_video_or_does_not_fit_is_not_written(
    tmp_path: Path, partial: PartialFile, error: type[Exception]
) -> None:
    """There is no use in trying again."""
    partial.reset(ORIGIN)
    with pytest.raises(error):
        await broken(partial, VIDEO[:100], error("x"))
    assert partial.bytes == 0
    assert everything(tmp_path) == {}


async def broken(partial: PartialFile, data: bytes, error: BaseException) -> None:
    async with Sink(partial, space(partial)) as sink:
        for chunk in chunks(data, MIB):
            if sink.take(chunk):
                await sink.write()
        raise error


async def written(
    partial: PartialFile, data: bytes, step: Step | None = None, disk: DiskSpace | None = None
) -> None:
    """Write a block, and take a step after it."""
    async with Sink(partial, disk or space(partial)) as sink:
        sink.take(data)
        await sink.write()
        if step:
            await step(sink)


@pytest.mark.parametrize("step", [Sink.write, Sink.rest, None])
async def test_a_block_that_is_no_video_is_an_error_at_the_next_step(
    partial: PartialFile, step: Step | None
) -> None:
    """Whatever that is: writing again, asking for the rest, or leaving."""
    with pytest.raises(NotWhole, match="HTML"):
        await written(partial, HTML + b" " * MIB, step)


async def test_a_block_that_does_not_fit_is_an_error(partial: PartialFile) -> None:
    """Nothing of it is taken for written, and nothing of it stays."""
    partial.path.symlink_to("/dev/full")
    with pytest.raises(DoesNotFit, match="No space left"):
        await written(partial, VIDEO[:MIB])
    assert (partial.bytes, everything(partial.path.parent)) == (0, {})


async def test_a_block_that_would_use_the_reserve_is_an_error(partial: PartialFile) -> None:
    """What was written before is given back."""
    disk = space(partial)

    async def until_there_is_no_space(sink: Sink) -> None:
        await sink.rest()
        disk.reserve = 10**18
        sink.take(VIDEO[MIB : 2 * MIB])
        await sink.write()

    async with disk.claim(partial, None):
        with pytest.raises(DoesNotFit, match=r"1\.0 MB came and more follow"):
            await written(partial, VIDEO[:MIB], until_there_is_no_space, disk)
    assert (partial.bytes, everything(partial.path.parent)) == (0, {})


async def test_a_cancellation_counts_for_more_than_what_does_not_fit(
    partial: PartialFile,
) -> None:
    """A run that is ended does not go on with other links."""
    partial.reset(ORIGIN)
    partial.path.symlink_to("/dev/full")
    with pytest.raises(asyncio.CancelledError):
        await broken(partial, VIDEO[: MIB + 100], asyncio.CancelledError())
    assert everything(partial.path.parent) == {}


async def test_nothing_taken_is_nothing_written(tmp_path: Path, partial: PartialFile) -> None:
    """A body without a byte leaves no trace, also where it breaks and could be resumed."""
    partial.reset(ORIGIN)
    async with Sink(partial, space(partial)) as sink:
        assert await sink.rest() == b""
    with pytest.raises(ConnectionError):
        await broken(partial, b"", ConnectionError())
    partial.suspend()
    assert everything(tmp_path) == {}


async def test_a_cancelled_write_is_not_abandoned(
    partial: PartialFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread is waited for: whoever comes next may write to the same file."""
    loop, begun, plain = asyncio.get_running_loop(), asyncio.Event(), partial.write
    go_on = threading.Event()

    def slow(data: bytes) -> None:
        loop.call_soon_threadsafe(begun.set)
        assert go_on.wait(20)
        plain(data)

    async def download() -> None:
        async with Sink(partial, space(partial)) as sink:
            sink.take(VIDEO[:MIB])
            await sink.write()
            sink.take(MP4)
            await asyncio.Event().wait()

    partial.reset(ORIGIN)
    monkeypatch.setattr(partial, "write", slow)
    task = asyncio.create_task(download())
    await asyncio.wait_for(begun.wait(), 20)
    task.cancel()
    await asyncio.sleep(0.05)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert partial.path.read_bytes() == VIDEO[:MIB] + MP4
