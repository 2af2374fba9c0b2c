"""Text for a terminal: lines no longer than it is wide."""

import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator

_FIRST_COLUMN = re.compile(r" *\S+( \S+)* {2,}|  +(?=\S)")


def wrapped(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines, wrapped if standard output is a terminal; no word or link is torn."""
    if not sys.stdout.isatty():
        yield from lines
        return
    width = shutil.get_terminal_size().columns
    for line in lines:
        yield from fill(line, width, _hanging_indent(line, width))


def fill(line: str, width: int, indent: str) -> list[str]:
    """Return the lines of one that is wrapped at a width; all but the first are indented."""
    return textwrap.wrap(
        line,
        width,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]


def _hanging_indent(line: str, width: int) -> str:
    """Return the indent of what does not fit: below the second column, where that is not far."""
    column = match.end() if (match := _FIRST_COLUMN.match(line)) else 0
    if 0 < column <= width // 3:
        return " " * column
    return " " * (len(line) - len(line.lstrip()) + 2)
