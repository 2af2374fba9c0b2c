"""The event loop: imported and started only for work that waits for something."""

import types
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

_T = TypeVar("_T")


@types.coroutine
def started() -> Generator[None, None, None]:
    """Wait until there is an event loop: `run` starts it here."""
    yield


def run(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine; up to where it first waits it does without an event loop."""
    try:
        work.send(None)
    except StopIteration as done:
        result: _T = done.value
        return result
    import asyncio  # noqa: PLC0415 (a run without work starts sooner without it)

    return asyncio.run(work)
