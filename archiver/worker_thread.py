"""Blocking work in threads, never abandoned half done."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def finished(work: Awaitable[T]) -> T:
    """Await `work` to its end, also when cancelled meanwhile: then the cancellation follows.

    A thread cannot be cancelled. Whoever goes on without it may close the file it writes to.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a blocking function in a thread and await its end, also when cancelled meanwhile."""
    return await finished(asyncio.to_thread(function, *args, **kwargs))
