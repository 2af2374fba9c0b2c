"""Pages: JSON objects that list generations in their field `data`, as `assets_generated` returns.

A response that has everything in `data` is a page of one.
"""

import json
import re
from collections.abc import Iterator
from typing import NamedTuple, TypeGuard

from archiver.manifest.spelling import NAMING, first_given

_BETWEEN = re.compile(r"[ \t\r\n,:]*")
_DECODER = json.JSONDecoder()


def is_page(value: object) -> TypeGuard[dict[str, object]]:
    """Return whether a JSON value names no generation itself, but lists some.

    An error without items is none: it must not pass for an empty list.
    """
    if not isinstance(value, dict) or "data" not in value or _names_one(value):
        return False
    data, status = value["data"], value.get("status", "success")
    match data:
        case list():
            return bool(data) or status == "success"
        case dict():
            return _names_one(data) or (_is_map(data) and (bool(data) or status == "success"))
        case _:
            return False


class Member(NamedTuple):
    """A member of a JSON object or list, and where in the text its value begins and ends."""

    key: object
    at: int
    end: int
    value: object


def page_items(text: str, at: int) -> Iterator[Member]:
    """Yield the items of the page that begins there in a JSON text."""
    for member in _members(text, at):
        match member:
            case Member("data", value=dict() as data) if _names_one(data):
                yield member
            case Member("data", place, value=list() | dict()):
                yield from _members(text, place)


def _names_one(fields: dict[str, object]) -> bool:
    return first_given(fields, *NAMING) is not None


def _is_map(data: dict[str, object]) -> bool:
    """Return whether these are the items of a list, with their numbers: so PHP writes some."""
    return all(key.isdecimal() for key in data)


def _members(text: str, at: int) -> Iterator[Member]:
    """Yield the members of the object or list that begins there."""
    has_keys = text[at] == "{"
    key: object = None
    at = _next(text, at + 1)
    while text[at] not in "]}":
        if has_keys:
            key, at = _DECODER.raw_decode(text, at)
            at = _next(text, at)
        value, end = _DECODER.raw_decode(text, at)
        yield Member(key, at, end, value)
        at = _next(text, end)


def _next(text: str, at: int) -> int:
    """Return where the next key or value begins, or the end of the whole."""
    between = _BETWEEN.match(text, at)
    return between.end() if between else at
