"""Progress of a run, for whoever watches it: silent unless something else is passed in."""

from typing import Protocol

from archiver.outcomes import Outcome, Worklist


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

    def finished(self, outcome: Outcome) -> None:
        """Show nothing."""

    def expected(self, count: int) -> None:
        """Show nothing."""

    def received(self, count: int) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Show nothing."""
