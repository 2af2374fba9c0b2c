"""Progress bars on a terminal: generations, bytes, and what the run is busy with.

They move also while nothing arrives: a thread redraws them twice a second, so that what an event
costs is a number that is added to.
"""

import logging
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import suppress
from threading import Event, Thread
from typing import Any

from tqdm import tqdm

from archiver.cli.progress import ProgressLog
from archiver.outcomes import Outcome, Worklist
from archiver.progress import Activity

_TICK = 0.5
"""How often the bars are redrawn, in seconds."""
_NARROW = 60
"""On a terminal with fewer columns the numbers are worth more than a bar."""
_RECENT = 6
"""Over this number of ticks a rate is counted: one that a stalled download had is no news."""


_WORDS = (
    "N asked", "N downloading", "waiting for N still being made", "N not there yet",
    "N deferred by a host", "N deferred by ModelsLab",
)  # fmt: skip
_SHORT_WORDS = (
    "N asked", "N downloading", "N being made", "N not there", "N deferred", "N throttled",
)  # fmt: skip


class _Bar(tqdm):  # type: ignore[type-arg]
    """A bar that says nothing of what is not known: a rate, or how long the rest will take."""

    def __init__(self, *, moving: Callable[[], bool] | None = None, **settings: Any) -> None:
        self._moving = moving
        self._seen = deque[tuple[float, float]]([(time.monotonic(), 0)], maxlen=_RECENT)
        super().__init__(dynamic_ncols=True, leave=False, **settings)

    @property
    def format_dict(self) -> MutableMapping[str, Any]:
        """Return what the format of the bar may name."""
        values = super().format_dict
        if (values["ncols"] or _NARROW) < _NARROW:
            values["bar_format"] = values["bar_format"].replace("{l_bar}{bar}|", "{desc}:")
        values["left"] = self._left(values["elapsed"])
        values["speed"] = f", {tqdm.format_sizeof(rate)}B/s" if (rate := self._rate()) else ""
        return values

    def tick(self) -> None:
        """Draw it as it is now."""
        self._seen.append((time.monotonic(), self.n))
        self.refresh()

    def _rate(self) -> float:
        """Return how much has come in a second of late; 0 if nothing has, or it is not known."""
        began, before = self._seen[0]
        return max(0.0, (self.n - before) / max(time.monotonic() - began, _TICK))

    def _left(self, elapsed: float) -> str:
        """Return how long the rest will take at the pace until now, where that can be said.

        While nothing moves it cannot, and what takes less than a second is not worth a number.
        """
        rest = (self.total or 0) - self.n
        moves = self._moving() if self._moving else self._rate() > 0
        if not moves or rest <= 0 or self.n <= 0:
            return ""
        seconds = elapsed / self.n * rest
        return f"<{tqdm.format_interval(seconds)}" if seconds >= 1 else ""


class ProgressBars(ProgressLog):
    """Shows a bar for bytes and, if wanted, one for generations; logs as `ProgressLog` does."""

    def __init__(self, *, generations: bool) -> None:
        self._activity: Callable[[], Activity] | None = None
        self._generations = _Bar(
            desc="generations",
            bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}{left}]",
            position=0,
            disable=not generations,
            moving=self._is_moving,
        )
        self._bytes = _Bar(
            desc="bytes",
            bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}{left}{speed}]",
            unit="B",
            unit_scale=True,
            position=int(generations),
            total=0,
            # How many bytes there will be, only a run knows that has no generations to ask for.
            moving=(lambda: False) if generations else None,
        )
        self._line = tqdm(bar_format="{desc}", position=2, leave=False, disable=not generations)
        self._expected = 0
        self._ended = Event()
        self._ticks = Thread(target=self._tick, name="progress", daemon=True)
        self._ticks.start()

    def discovered(self, count: int, page: int, last: int | None) -> None:
        """Show how far the list of one's own generations is read."""
        super().discovered(count, page, last)
        self._generations.set_description_str(f"page {page}{f' of {last}' if last else ''}")

    def planned(self, worklist: Worklist) -> None:
        """Set the length of the bar for generations."""
        super().planned(worklist)
        self._generations.set_description_str("generations")
        self._generations.reset(worklist.to_fetch)

    def follow(self, activity: Callable[[], Activity]) -> None:
        """Show what the run is busy with, below the bars."""
        self._activity = activity

    def finished(self, outcome: Outcome) -> None:
        """Move the bar for generations."""
        super().finished(outcome)
        self._generations.update()

    def expected(self, count: int) -> None:
        """Set the length of the bar for bytes."""
        self._expected += count
        self._bytes.total = self._expected

    def received(self, count: int) -> None:
        """Move the bar for bytes."""
        self._bytes.update(count)

    def close(self) -> None:
        """Remove the bars."""
        self._ended.set()
        # Not without end: Ctrl-C may have come while a bar was drawn, and left that locked.
        self._ticks.join(2 * _TICK)
        for bar in (self._line, self._bytes, self._generations):
            bar.close()

    def _tick(self) -> None:
        with suppress(OSError):  # the terminal is gone
            while not self._ended.wait(_TICK):
                for bar in (self._generations, self._bytes):
                    bar.tick()
                if self._activity:
                    width = self._line.format_dict["ncols"] or 80
                    self._line.set_description_str(line(self._activity(), width - 1))

    def _is_moving(self) -> bool:
        busy = self._activity() if self._activity else Activity()
        return busy.asked + busy.downloading > 0 and not busy.pause


def line(activity: Activity, width: int) -> str:
    """Return in one line of a terminal what a run is busy with, and what it waits for."""
    texts = [", ".join(_parts(activity, words)) for words in (_WORDS, _SHORT_WORDS)]
    fitting = (text for text in texts if len(text) <= width)
    return next(fitting, f"{texts[-1][: width - 1]}…")


def _parts(activity: Activity, words: tuple[str, ...]) -> Iterator[str]:
    if activity.pause:
        yield activity.pause
    numbers = (
        activity.asked, activity.downloading, activity.processing, activity.not_there,
        activity.deferred, activity.throttled,
    )  # fmt: skip
    for number, text in zip(numbers, words, strict=True):
        if number:
            yield text.replace("N", f"{number:,}", 1)


class AboveBars(logging.Handler):
    """Writes log lines to standard error, above the bars."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        tqdm.write(self.format(record), file=sys.stderr)
