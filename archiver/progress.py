"""Progress of a run, for whoever watches it: silent unless something else is passed in."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from archiver.outcomes import Outcome, Worklist

WAITING = logging.getLogger("archiver.waiting")
"""For what a run waits for: nothing is wrong yet, and who watches wants to know."""


@dataclass(frozen=True, slots=True)
class Activity:
    """What a run is busy with at a moment, and what it waits for: numbers of generations."""

    asked: int = 0
    """ModelsLab is being asked about them."""
    downloading: int = 0
    processing: int = 0
    """ModelsLab is still making them."""
    not_there: int = 0
    """ModelsLab does not know them, or their links cannot be read, or not yet."""
    deferred: int = 0
    """The host of their links has asked for a pause."""
    throttled: int = 0
    """ModelsLab has asked for a pause, with words that may be about them alone."""
    pause: str = ""
    """Why no request may be sent to ModelsLab now; "" if one may."""


class ByteProgress(Protocol):
    """Hears of bytes that are expected and of bytes that have come."""

    def expected(self, count: int) -> None:
        """`count` more bytes are to come; fewer, if it is negative."""

    def received(self, count: int) -> None:
        """`count` bytes have come."""


class Progress(ByteProgress, Protocol):
    """Hears of the worklist and of each outcome, too."""

    def discovered(self, count: int, page: int, last: int | None) -> None:
        """`count` of one's own generations are listed up to this page; `last` may be known."""

    def planned(self, worklist: Worklist) -> None:
        """The manifests are read."""

    def follow(self, activity: Callable[[], Activity]) -> None:
        """From now on `activity` returns what the run is busy with; any thread may call it."""

    def finished(self, outcome: Outcome) -> None:
        """The outcome of one generation is certain and durable."""

    def close(self) -> None:
        """Nothing more will come."""


class Silent:
    """Shows nothing."""

    def discovered(self, count: int, page: int, last: int | None) -> None:
        """Show nothing."""

    def planned(self, worklist: Worklist) -> None:
        """Show nothing."""

    def follow(self, activity: Callable[[], Activity]) -> None:
        """Show nothing."""

    def finished(self, outcome: Outcome) -> None:
        """Show nothing."""

    def expected(self, count: int) -> None:
        """Show nothing."""

    def received(self, count: int) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Show nothing."""
