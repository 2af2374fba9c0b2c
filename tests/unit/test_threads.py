"""Blocking work in threads is never abandoned half done."""

import asyncio
import gc
import threading
from collections.abc import AsyncIterator

import pytest

from archiver.threads import finished, in_thread


class Work:
    """Blocking work that says when it begins, and ends when it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.let_go = threading.Event()
        self.done = False
        self.error: Exception | None = None

    def __call__(self) -> str:
        """Do it."""
        self.begun.set()
        assert self.let_go.wait(20)
        self.done = True
        if self.error:
            raise self.error
        return "worked"


@pytest.fixture
async def work() -> AsyncIterator[Work]:
    work = Work()
    yield work
    work.let_go.set()


async def turns(count: int = 20) -> None:
    """Let the event loop go round so often that whatever can happen has happened."""
    for _ in range(count):
        await asyncio.sleep(0)


async def begun(work: Work) -> "asyncio.Task[str]":
    task = asyncio.create_task(in_thread(work))
    assert await asyncio.to_thread(work.begun.wait, 20)
    return task


async def test_the_work_is_done_in_another_thread() -> None:
    """Arguments go in, the result comes out, and the loop's thread is free meanwhile."""
    assert await in_thread(divmod, 7, 2) == (3, 1)
    assert await in_thread(int, "ff", base=16) == 255
    assert await in_thread(threading.get_ident) != threading.get_ident()


async def test_its_error_is_ours() -> None:
    """What the function raises, the caller gets."""
    with pytest.raises(ZeroDivisionError):
        await in_thread(divmod, 1, 0)


@pytest.mark.parametrize("cancellations", [1, 2, 3])
async def test_the_work_is_finished_before_the_cancellation(work: Work, cancellations: int) -> None:
    """However often it is cancelled, the caller goes on only when the thread has ended."""
    task = await begun(work)
    for _ in range(cancellations):
        task.cancel()
        await turns()
        waiting = not task.done()
        assert waiting or work.done
    work.let_go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.done
    assert task.cancelled()


async def test_an_error_after_the_cancellation_is_not_told(work: Work) -> None:
    """The cancellation is what the caller gets, and the loop has no complaint."""
    complaints: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, said: complaints.append(said))
    work.error = OSError("No space left on device")
    task = await begun(work)
    task.cancel()
    work.let_go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    del task
    gc.collect()
    await turns()
    assert work.done
    assert complaints == []


async def test_a_time_limit_waits_for_the_work_too(work: Work) -> None:
    """A timeout is a cancellation: it fires, and is felt when the thread has ended."""
    task = await begun(work)

    async def limited() -> str:
        async with asyncio.timeout(0):
            return await finished(task)

    waiting = asyncio.create_task(limited())
    await turns()
    assert not waiting.done()
    work.let_go.set()
    with pytest.raises(TimeoutError):
        await waiting
    assert work.done


async def test_what_is_finished_already_is_returned() -> None:
    """Work that is done costs no wait."""
    task = asyncio.create_task(asyncio.sleep(0, "worked"))
    await task
    assert await finished(task) == "worked"


async def test_others_go_on_meanwhile(work: Work) -> None:
    """While a thread works, other tasks have their turns."""
    task = await begun(work)
    assert await asyncio.gather(*(asyncio.sleep(0, n) for n in range(3))) == [0, 1, 2]
    assert not task.done()
    work.let_go.set()
    assert await task == "worked"
