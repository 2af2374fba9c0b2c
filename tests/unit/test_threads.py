"""Blocking work in threads is never abandoned half done."""

import asyncio
import gc
import threading
from collections.abc import AsyncIterator

import pytest

from archiver.threads import finished, in_thread


class Work:
    """Blocking work that signals its beginning, and waits to be released."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.released = threading.Event()
        self.done = False
        self.error: Exception | None = None

    def __call__(self) -> str:
        """Do it."""
        self.begun.set()
        assert self.released.wait(20)
        self.done = True
        if self.error:
            raise self.error
        return "worked"


@pytest.fixture
async def work() -> AsyncIterator[Work]:
    work = Work()
    yield work
    work.released.set()


async def turns(count: int = 20) -> None:
    """Let the event loop run until all that can happen has happened."""
    for _ in range(count):
        await asyncio.sleep(0)


async def begun(work: Work) -> "asyncio.Task[str]":
    task = asyncio.create_task(in_thread(work))
    assert await asyncio.to_thread(work.begun.wait, 20)
    return task


async def test_the_work_runs_in_another_thread() -> None:
    """Arguments go in, the result comes out, and the loop's thread is free meanwhile."""
    assert await in_thread(divmod, 7, 2) == (3, 1)
    assert await in_thread(int, "ff", base=16) == 255
    assert await in_thread(threading.get_ident) != threading.get_ident()


async def test_an_error_reaches_the_caller() -> None:
    """The caller gets what the function raises."""
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
    work.released.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.done
    assert task.cancelled()


async def test_an_error_after_the_cancellation_is_not_reported(work: Work) -> None:
    """The caller gets the cancellation, and the loop's exception handler nothing."""
    complaints: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    work.error = OSError("No space left on device")
    task = await begun(work)
    task.cancel()
    work.released.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    del task
    gc.collect()
    await turns()
    assert work.done
    assert complaints == []


async def test_a_timeout_waits_for_the_work_too(work: Work) -> None:
    """A timeout is a cancellation: it takes effect when the thread has ended."""
    task = await begun(work)

    async def limited() -> str:
        async with asyncio.timeout(0):
            return await finished(task)

    waiting = asyncio.create_task(limited())
    await turns()
    assert not waiting.done()
    work.released.set()
    with pytest.raises(TimeoutError):
        await waiting
    assert work.done


async def test_the_result_of_finished_work_is_returned() -> None:
    """There is no wait for work that is done."""
    task = asyncio.create_task(asyncio.sleep(0, "worked"))
    await task
    assert await finished(task) == "worked"


async def test_other_tasks_run_meanwhile(work: Work) -> None:
    """While a thread works, the event loop is free."""
    task = await begun(work)
    assert await asyncio.gather(*(asyncio.sleep(0, n) for n in range(3))) == [0, 1, 2]
    assert not task.done()
    work.released.set()
    assert await task == "worked"
