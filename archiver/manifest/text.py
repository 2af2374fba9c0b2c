"""Text manifests: a generation a line, with comments."""

import re
from collections.abc import Iterable, Iterator

from archiver.manifest.elements import LINE, BareIds, Element, Malformed, Value
from archiver.manifest.spelling import EXPECTED

_BARE_LINES = re.compile(r"(?:[A-Za-z0-9_-]{0,128}\r?\n)*[A-Za-z0-9_-]{0,128}\r?")
_COMMENT = re.compile(r"(?:^|\s)#.*", re.DOTALL)


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
    return _COMMENT.sub("", line).strip()


def _lines(number: int, lines: str) -> Iterator[Element]:
    for at, line in enumerate(lines.split("\n"), number):
        spelling = without_comment(line) if "#" in line else line.strip()
        if len(line) > LINE:
            yield Malformed(at, line, EXPECTED)
        elif spelling:
            yield Value(at, line, spelling)
