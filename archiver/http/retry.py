"""Trying again with backoff and jitter what may pass."""

import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often to try in all, and how long to pause between, in seconds: first, and at most."""

    tries: int
    first: float
    longest: float

    def pauses(self) -> Iterator[float]:
        """Yield how long to pause before each further try: longer each time, with jitter."""
        for number in range(self.tries - 1):
            longest = min(self.first * 2**number, self.longest)
            yield random.uniform(longest / 2, longest)  # noqa: S311 (jitter is no secret)


async def with_backoff(
    work: Callable[[], Awaitable[T]], on: Callable[[Exception], bool | float], backoff: Backoff
) -> T:
    """Do some work, and do it again for as long as it fails with what `on` takes for passing.

    Where `on` returns a number, so many seconds are waited. Most work succeeds at once; only for
    the rest is the machinery of retrying set up, which takes as long as a small download.

    Raises:
        Exception: what the last try has raised.
    """
    try:
        return await work()
    except Exception as error:  # noqa: BLE001 (it is raised again)
        first = error
    import stamina  # noqa: PLC0415 (most runs need none)

    stamina.instrumentation.set_on_retry_hooks(())  # what is tried again is told in the end
    async for attempt in stamina.retry_context(
        on=on,
        attempts=backoff.tries,
        timeout=None,
        wait_initial=backoff.first,
        wait_max=backoff.longest,
    ):
        with attempt:
            if attempt.num == 1:
                raise first
            return await work()
    raise AssertionError("the last attempt returns or raises")
