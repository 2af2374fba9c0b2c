"""Text manifests: a generation a line, with comments."""

import re
from collections.abc import Iterable, Iterator

from archiver.manifest.elements import (
    BYTE_ORDER_MARK,
    LINE,
    LINE_ENDS,
    BareIds,
    Element,
    Malformed,
    Value,
    hides_entry,
)
from archiver.manifest.spelling import EXPECTED

_BARE_LINES = re.compile(r"(?:[A-Za-z0-9_-]{0,128}\n)*[A-Za-z0-9_-]{0,128}")
_COMMENT = re.compile(rf"(?:^|[\s{BYTE_ORDER_MARK}])#")


def text_elements(blocks: Iterable[str]) -> Iterator[Element]:
    """Yield the lines that are neither blank nor a comment.

    A block that lists nothing but bare IDs, as most do, is one element.
    """
    number, rest = 1, ""
    for block in blocks:
        lines, newline, rest = (rest + block).rpartition("\n")
        if _BARE_LINES.fullmatch(lines):
            if ids := lines.split():
                yield BareIds(ids)
        else:
            yield from _lines(number, lines)
        number += lines.count("\n") + len(newline)
        rest = rest[: LINE + 1]  # enough of a line to see that it is too long
    yield from _lines(number, rest)


def without_comment(line: str) -> str:
    """Return the line without its comment and the spaces around it."""
    return _parts(line)[0]


def _lines(number: int, lines: str) -> Iterator[Element]:
    for at, line in enumerate(lines.split("\n"), number):
        if len(line) > LINE:
            yield Malformed(at, line, EXPECTED)
        elif "#" in line or not line.isascii():
            yield from _odd_line(at, line)
        elif spelling := line.strip():
            yield Value(at, line, spelling)


def _odd_line(number: int, line: str) -> Iterator[Element]:
    spelling, comment = _parts(line)
    if spelling:
        yield Value(number, line, spelling)
    if hides_entry(comment):
        yield Malformed(number, comment, LINE_ENDS)


def _parts(line: str) -> tuple[str, str]:
    """Return what stands in a line, without the spaces around it, and its comment."""
    comment = _COMMENT.search(line)
    end = comment.start() if comment else len(line)
    return line[:end].replace(BYTE_ORDER_MARK, " ").strip(), line[end:]
