"""Whoever watches a night from outside: told what there is to do, what has come, what ended."""

from typing import Protocol

from archiver.outcomes import Enlisted, Outcome


class ByteProgress(Protocol):
    """Is told how many bytes are expected and have come."""

    def expected(self, count: int) -> None:
        """So many bytes more are to come; fewer, if negative."""

    def received(self, count: int) -> None:
        """So many bytes have come."""


class Progress(ByteProgress, Protocol):
    """Is told of the list and of each outcome, too."""

    def enlisted(self, enlisted: Enlisted) -> None:
        """Tonight's list is read."""

    def ended(self, outcome: Outcome) -> None:
        """One generation's outcome is certain."""

    def close(self) -> None:
        """There is nothing more to be watched."""
