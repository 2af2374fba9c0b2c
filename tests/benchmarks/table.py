"""The table: a line for each measurement, printed as soon as it is known."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from textwrap import wrap

import click

from .comparison import Spread, Target
from .measure import Measurement

WIDTH = 100
_HEADINGS = ("what", "who", "wall s", "CPU s", "peak MB", "ratio", "range", "target", "")
_WIDTHS = (10, 29, 7, 7, 7, 6, 11, 8, 7)
_LEFT = {0, 1, 8}
LEGEND = (
    "Medians of runs taken in turn. The ratio is ours ÷ theirs where its target is an upper "
    "limit (≤) and theirs ÷ ours, how many times faster, elsewhere; it is the median of the "
    "rounds' ratios, and the range is from the least to the greatest. Where the target has a "
    "unit, it is a difference."
)


@dataclass(frozen=True, slots=True)
class Row:
    """One line: what was measured, of which contender, and how it compares."""

    what: str
    who: str
    runs: Sequence[Measurement] = ()
    spread: Spread | None = None
    target: Target | None = None

    @property
    def verdict(self) -> str:
        """Whether the target was reached or missed; "" where there is none."""
        return self.target.verdict(self.spread.median) if self.target and self.spread else ""

    def cells(self) -> tuple[str, ...]:
        """Return what is shown, column by column."""
        target = str(self.target) if self.target else ""
        return (self.what, self.who, *_usage(self.runs), *_ratio(self), target, self.verdict)

    def as_json(self) -> dict[str, object]:
        """Return what is shown, unrounded."""
        spread = self.spread
        return {
            "what": self.what,
            "who": self.who,
            "ratio": spread and [spread.median, spread.low, spread.high],
            "target": str(self.target) if self.target else None,
            "verdict": self.verdict or None,
        }


@dataclass(slots=True)
class Table:
    """The rows and notes so far."""

    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Print a row, under the headings if it is the first."""
        if not self.rows:
            click.echo(line(_HEADINGS))
        self.rows.append(row)
        click.echo(line(row.cells()))

    def note(self, text: str) -> None:
        """Print a remark on the rows above."""
        self.notes.append(text)
        show(text)


def show(text: str) -> None:
    """Print a text, wrapped."""
    click.echo("\n".join(wrap(text, WIDTH, subsequent_indent="    ")))


def line(cells: Sequence[str]) -> str:
    """Return one line of the table."""
    places = enumerate(zip(cells, _WIDTHS, strict=True))
    padded = [c.ljust(w) if place in _LEFT else c.rjust(w) for place, (c, w) in places]
    return " ".join(padded).rstrip()


def _usage(runs: Sequence[Measurement]) -> tuple[str, str, str]:
    if not runs:
        return "", "", ""
    wall, cpu = (median(run.wall for run in runs), median(run.cpu for run in runs))
    return _seconds(wall), _seconds(cpu), f"{median(run.peak for run in runs):.1f}"


def _seconds(value: float) -> str:
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"


def _ratio(row: Row) -> tuple[str, str]:
    if row.spread is None:
        return "", ""
    digits = 1 if row.target and row.target.unit else 2
    spread = row.spread
    return f"{spread.median:.{digits}f}", f"{spread.low:.{digits}f}..{spread.high:.{digits}f}"
