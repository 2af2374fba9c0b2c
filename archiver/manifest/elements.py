"""Elements: what a manifest lists, before each is understood as a generation."""

import re
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

LINE = 64 * 1024
"""Characters in a line of text or a CSV row, at most."""
BYTE_ORDER_MARK = "\ufeff"
"""At the beginning of a list that was appended to another one; there it is white space."""
LINE_ENDS = "expected lines that end in LF, CR LF or CR"
SHOWN = 60
"""Characters of an element that a bad line shows, at most."""

# Hardly any list needs these: they are compiled when one does.
_BREAK = "[\0\v\f\x1c-\x1e\x85\u2028\u2029\ufeff]"
_ENTRY = r"""(?s)[\s,;]*(?:[\[{"].*|[^\s,;#]+[\s,;]*(?:#.*)?)"""


class Value(NamedTuple):
    """An element's value as JSON has it: a line of text is a string, a CSV row an object."""

    line: int
    text: str
    """What stands in the manifest; its beginning is enough."""
    value: object


class Malformed(NamedTuple):
    """A place that has no value, because it breaks the rules of the format."""

    line: int
    text: str
    expected: str


class BareIds(NamedTuple):
    """IDs that follow each other, with nothing but separators between them."""

    ids: Sequence[str]


Element: TypeAlias = Value | Malformed | BareIds


def has_break(text: str) -> bool:
    """Return whether some programs see several lines where we see one."""
    return bool(re.search(_BREAK, text))


def hides_entry(comment: str) -> bool:
    """Return whether a comment goes on, where some programs see another line, with an entry."""
    return any(re.fullmatch(_ENTRY, part) for part in re.split(_BREAK, comment)[1:])
