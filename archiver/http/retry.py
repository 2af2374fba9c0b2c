"""Retry: how often to try again, and how long to pause before."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

_JITTER = 1.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often to try in all; the pauses between grow from `first` to `longest` seconds."""

    tries: int
    first: float
    longest: float

    def pauses(self) -> Iterator[float]:
        """Yield the pauses between tries, in seconds, one fewer than there are tries.

        Each is twice the one before, and up to a second of jitter more: clients that failed
        together do not come back together. None is longer than `longest`.
        """
        pause = self.first
        for _ in range(self.tries - 1):
            yield min(pause + random.uniform(0, _JITTER), self.longest)  # noqa: S311 (no secret)
            pause = min(2 * pause, self.longest)
