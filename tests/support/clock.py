"""A monotonic clock in the place of the machine's."""

import pytest


class MonotonicClock:
    """A monotonic clock, in seconds, that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    @classmethod
    def of(cls, module: str, patch: pytest.MonkeyPatch) -> "MonotonicClock":
        """Return a new clock, which this module reads from now on."""
        clock = cls()
        patch.setattr(f"{module}.time.monotonic", clock)
        return clock
