"""Blocking work in threads, never abandoned half done."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def finished(work: Awaitable[T]) -> T:
    """Await `work` to its end, also when cancelled meanwhile: then the cancellation follows.

    A thread cannot be cancelled. Whoever goes on without it may close the file it writes to.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # it is told by nobody, and need not be
        raise
    return task.result()


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a blocking function in a thread and await its end, also when cancelled meanwhile."""
    return await finished(asyncio.to_thread(function, *args, **kwargs))
