"""CSV manifests: a table whose header names its columns."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from copy import copy
from itertools import chain, islice, tee

from archiver.manifest.elements import (
    BYTE_ORDER_MARK,
    LINE,
    LINE_ENDS,
    Element,
    Malformed,
    Value,
    has_break,
    hides_entry,
)
from archiver.manifest.spelling import NAMING, first_given

DELIMITERS = ",;\t"
"""The characters that may separate columns."""
_NO_ROWS = "expected rows below the header of the table"


def header_delimiter(line: str) -> str | None:
    """Return what separates the columns if this line is a header with a column of IDs or URLs."""
    for delimiter in DELIMITERS:
        cells, _ = _row(line, (), delimiter)
        if any(cell.lower() in NAMING for cell in cells or ()):
            return delimiter
    return None


def csv_elements(blocks: Iterable[str], delimiter: str) -> Iterator[Element]:
    """Yield the rows below the header that are neither empty nor a comment.

    A header alone is an empty table, unless it reads as if the rows were part of it. It may come
    again, where tables were joined.
    """
    header: list[str] = []
    first: list[str] = []
    alone: Malformed | None = None
    for number, line, cells in _rows(blocks, delimiter):
        element: Element | None = None
        fields = dict(zip(header, cells or (), strict=False))
        if cells is None:
            element = Malformed(number, line, "expected a CSV row of at most 64 KiB")
        elif cells[0].startswith("#") and _is_comment(fields):
            element = Malformed(number, line, LINE_ENDS) if hides_entry(line) else None
        elif cells == first or not any(cells):
            pass
        elif header:
            element = Value(number, line, fields)
        else:
            first, header = cells, [cell.lower() for cell in cells]
            alone = Malformed(number, line, _NO_ROWS) if _may_have_rows(line, cells) else None
        if element:
            alone = None
            yield element
    if alone:
        yield alone


def _is_comment(fields: dict[str, str]) -> bool:
    """Return whether a row that begins with `#` has no ID in the column of IDs."""
    return str(first_given(fields, *NAMING) or "#").startswith("#")


def _may_have_rows(line: str, header: list[str]) -> bool:
    """Return whether there is in a header what reads like more lines, or like IDs."""
    one_line = not has_break(line.replace(BYTE_ORDER_MARK, " ").strip())
    return not one_line or any("\n" in cell or cell.isdecimal() for cell in header)


def _rows(blocks: Iterable[str], delimiter: str) -> Iterator[tuple[int, str, list[str] | None]]:
    """Yield each row: the number of its first line, that line, and the cells."""
    number = 1
    (lines,) = tee(_lines(blocks), 1)
    for line in lines:
        cells, height = _row(line, copy(lines), delimiter)
        for _ in islice(lines, height - 1):
            pass
        yield number, line, cells
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
    line = line.replace(BYTE_ORDER_MARK, " ")
    if '"' not in line:
        return [cell.strip() for cell in line.split(delimiter)], 1
    import csv  # noqa: PLC0415 (only for tables with quotes)

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
