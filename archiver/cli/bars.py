"""ProgressBars on a terminal, for generations and for bytes, and log lines above them."""

import logging
import sys

from tqdm import tqdm

from archiver.cli.progress import ProgressLog
from archiver.outcomes import Enlisted, Outcome


class ProgressBars(ProgressLog):
    """Shows a bar for generations and one for bytes, and tells outcomes above them."""

    def __init__(self, *, generations: bool) -> None:
        self._expected = 0
        self._generations = tqdm(
            unit="", desc="generations", position=0, dynamic_ncols=True, disable=not generations
        )
        self._bytes = tqdm(
            unit="B",
            unit_scale=True,
            desc="bytes",
            position=int(generations),
            dynamic_ncols=True,
            total=0,
        )

    def enlisted(self, enlisted: Enlisted) -> None:
        """Set the first bar's length."""
        super().enlisted(enlisted)
        self._generations.reset(enlisted.to_ask)

    def ended(self, outcome: Outcome) -> None:
        """Move the first bar."""
        super().ended(outcome)
        self._generations.update()

    def expected(self, count: int) -> None:
        """Set the second bar's length."""
        self._expected += count
        self._bytes.total = self._expected
        self._bytes.refresh()

    def received(self, count: int) -> None:
        """Move the second bar."""
        self._bytes.update(count)

    def close(self) -> None:
        """Take the bars away."""
        for bar in (self._bytes, self._generations):
            bar.leave = False
            bar.close()


class AboveBars(logging.Handler):
    """Writes log lines to standard error, without tearing the bars."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one."""
        tqdm.write(self.format(record), file=sys.stderr)
