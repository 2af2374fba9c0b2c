"""Progress bars on a terminal, for generations and for bytes, and log lines above them."""

import logging
import sys

from tqdm import tqdm

from archiver.cli.progress import ProgressLog
from archiver.outcomes import Outcome, Worklist


class ProgressBars(ProgressLog):
    """Shows a bar for bytes and, if wanted, one for generations; logs as `ProgressLog` does."""

    def __init__(self, *, generations: bool) -> None:
        self._generations = tqdm(
            desc="generations",
            bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}]",
            position=0,
            dynamic_ncols=True,
            disable=not generations,
        )
        self._bytes = tqdm(
            unit="B",
            unit_scale=True,
            desc="bytes",
            position=int(generations),
            dynamic_ncols=True,
            total=0,
        )
        self._expected = 0

    def discovered(self, count: int, page: int, last: int | None) -> None:
        """Show how far the list of one's own generations is read."""
        super().discovered(count, page, last)
        self._generations.set_description(f"page {page}{f' of {last}' if last else ''}")

    def planned(self, worklist: Worklist) -> None:
        """Set the length of the bar for generations."""
        super().planned(worklist)
        self._generations.set_description("generations")
        self._generations.reset(worklist.to_fetch)

    def finished(self, outcome: Outcome) -> None:
        """Move the bar for generations."""
        super().finished(outcome)
        self._generations.update()

    def expected(self, count: int) -> None:
        """Set the length of the bar for bytes."""
        self._expected += count
        self._bytes.total = self._expected
        self._bytes.refresh()

    def received(self, count: int) -> None:
        """Move the bar for bytes."""
        self._bytes.update(count)

    def close(self) -> None:
        """Remove the bars."""
        for bar in (self._bytes, self._generations):
            bar.leave = False
            bar.close()


class AboveBars(logging.Handler):
    """Writes log lines to standard error, above the bars."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        tqdm.write(self.format(record), file=sys.stderr)
