"""Pages: JSON objects that list generations in their field `data`, as `assets_generated` returns.

A response that has everything in `data` is a page of one.
"""

import json
import re
from collections.abc import Iterator
from typing import TypeGuard

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


def page_items(text: str, at: int) -> Iterator[tuple[int, object]]:
    """Yield the items of the page that begins there in a JSON text, each with its place."""
    for key, place, data in _members(text, at):
        if key != "data":
            continue
        if isinstance(data, dict) and _names_one(data):
            yield place, data
        elif isinstance(data, list | dict):
            yield from ((place, item) for _, place, item in _members(text, place))


def _names_one(fields: dict[str, object]) -> bool:
    return first_given(fields, *NAMING) is not None


def _is_map(data: dict[str, object]) -> bool:
    """Return whether these are the items of a list, with their numbers: so PHP writes some."""
    return all(key.isdecimal() for key in data)


def _members(text: str, at: int) -> Iterator[tuple[object, int, object]]:
    """Yield the members of the object or list that begins there: key, place and value of each."""
    has_keys = text[at] == "{"
    key: object = None
    at = _next(text, at + 1)
    while text[at] not in "]}":
        if has_keys:
            key, at = _DECODER.raw_decode(text, at)
            at = _next(text, at)
        value, end = _DECODER.raw_decode(text, at)
        yield key, at, value
        at = _next(text, end)


def _next(text: str, at: int) -> int:
    """Return where the next key or value begins, or the end of the whole."""
    between = _BETWEEN.match(text, at)
    return between.end() if between else at
