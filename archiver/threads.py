"""Threads: blocking work off the event loop, never abandoned half done."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def finished(work: Awaitable[T]) -> T:
    """Await `work` to its end, even when cancelled meanwhile: the cancellation follows then.

    A thread cannot be cancelled. Going on without it could close the file that it writes to.
    """
    future, cancellation = asyncio.ensure_future(work), None
    while not future.done():
        try:
            await asyncio.wait({future})
        except asyncio.CancelledError as error:
            cancellation = error
    if not cancellation:
        return future.result()
    if not future.cancelled():
        future.exception()  # retrieved, or asyncio would log it
    raise cancellation


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a blocking function in a thread and await its end, even when cancelled meanwhile."""
    call = partial(function, *args, **kwargs)
    return await finished(asyncio.get_running_loop().run_in_executor(None, call))
