"""CSV manifests: a table whose header names its columns."""

import csv
from collections.abc import Iterable, Iterator
from contextlib import suppress
from copy import copy
from itertools import chain, islice, tee

from archiver.manifest.elements import LINE, Element, Malformed, Value
from archiver.manifest.spelling import first_given

_NAMING = ("id", "request_id", "fetch_result")
"""The columns that name a generation."""
DELIMITERS = ",;\t"
"""The characters that may separate columns."""


def header_delimiter(line: str) -> str | None:
    """Return what separates the columns if this line is a header with a column of IDs or URLs."""
    for delimiter in DELIMITERS:
        cells, _ = _row(line, (), delimiter)
        if any(cell.lower() in _NAMING for cell in cells or ()):
            return delimiter
    return None


def csv_elements(blocks: Iterable[str], delimiter: str) -> Iterator[Element]:
    """Yield the rows below the header that are neither empty nor a comment."""
    header: list[str] = []
    number = 1
    (lines,) = tee(_lines(blocks), 1)
    for line in lines:
        cells, height = _row(line, copy(lines), delimiter)
        for _ in islice(lines, height - 1):
            pass
        fields = dict(zip(header, cells or (), strict=False))
        if cells is None:
            yield Malformed(number, line, "expected a CSV row of at most 64 KiB")
        elif not any(cells) or str(first_given(fields, *_NAMING) or cells[0]).startswith("#"):
            pass
        elif header:
            yield Value(number, line, fields)
        else:
            header = [cell.lower() for cell in cells]
        number += height


def _lines(blocks: Iterable[str]) -> Iterator[str]:
    """Yield the lines; of a line that is too long, enough to see that it is."""
    rest = ""
    for block in blocks:
        *lines, rest = (rest + block).split("\n")
        yield from (f"{line}\n" for line in lines)
        rest = rest[: LINE + 1]
    if rest:
        yield rest


def _row(line: str, following: Iterable[str], delimiter: str) -> tuple[list[str] | None, int]:
    """Return the cells of the row that begins with this line, and how many lines it takes.

    A row that is too long has no cells. A quote that is left open ends with its line: one bad
    row must not take the good ones below it along.
    """
    if len(line) > LINE:
        return None, 1
    if '"' not in line:
        return [cell.strip() for cell in line.split(delimiter)], 1
    whole = chain([line], _within(LINE - len(line), following))
    for lines, strict in (whole, True), ([line], False):
        reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=strict)
        with suppress(csv.Error, StopIteration):
            return [cell.strip() for cell in next(reader)], reader.line_num
    return None, 1


def _within(size: int, lines: Iterable[str]) -> Iterator[str]:
    """Yield lines as long as they have at most `size` characters together."""
    for line in lines:
        size -= len(line)
        if size < 0:
            return
        yield line
