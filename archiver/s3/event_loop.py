"""Event loop: one in a thread of its own, for calls that block elsewhere."""

import asyncio
import logging
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

_LOG = logging.getLogger(__name__)

T = TypeVar("T")


class LoopThread:
    """An event loop in a thread of its own. It may be called in any other thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(_log)
        self._thread = threading.Thread(target=self._loop.run_forever, name="s3", daemon=True)

    def begin(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Begin to run a coroutine; cancelling the future cancels it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end; an interruption meanwhile cancels it."""
        future = self.begin(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def cancel(self) -> None:
        """Cancel what still runs, and wait until it has ended."""
        self.run(_cancel_all())

    def end(self) -> None:
        """Cancel what still runs, and end the thread."""
        self.cancel()
        self.run(_shut_down())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@contextmanager
def loop_thread() -> Iterator[LoopThread]:
    """Run an event loop in a thread of its own."""
    thread = LoopThread()
    thread.start()
    try:
        yield thread
    finally:
        thread.end()


def _log(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what nobody awaits: aiohttp leaves a task behind where a connection ends in a request."""
    _LOG.debug("%s: %r", context.get("message"), context.get("exception"))


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def _shut_down() -> None:
    loop = asyncio.get_running_loop()
    await loop.shutdown_asyncgens()
    await loop.shutdown_default_executor()
