"""Blocking work in threads, never abandoned half done."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def finished(work: Awaitable[T]) -> T:
    """Await `work` to its end, also when cancelled meanwhile: then the cancellation follows.

    A thread cannot be cancelled. Whoever goes on without it may close the file it writes to.
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
        future.exception()  # it is told by nobody, and need not be
    raise cancellation


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a blocking function in a thread and await its end, also when cancelled meanwhile."""
    call = partial(function, *args, **kwargs)
    return await finished(asyncio.get_running_loop().run_in_executor(None, call))
