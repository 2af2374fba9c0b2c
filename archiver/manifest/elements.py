"""Elements: what a manifest lists, before each is understood as a generation."""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

LINE = 64 * 1024
"""Characters in a line of text or a CSV row, at most."""
SHOWN = 60
"""Characters of an element that a bad line shows, at most."""


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
