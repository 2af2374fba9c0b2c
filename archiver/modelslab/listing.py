"""Listing: what a page of one's own generations lists, in any shape.

The pages are those of `assets_generated`. No recorded response is known (DOC), so whatever plainly
lists generations is taken: see `manifest.pages`, which reads saved pages.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TypeAlias

from archiver.generation import LISTED, Generation
from archiver.manifest.carried import carried_links
from archiver.manifest.spelling import first_given
from archiver.modelslab.reading import read_response
from archiver.modelslab.responses import (
    AccessDenied,
    GenerationFailed,
    HttpReply,
    NotFound,
    Processing,
    RateLimited,
    Ready,
    Rejected,
    Response,
    ServerError,
)
from archiver.outputs import link_path

PATHS = (LISTED, "assets_generated")
"""Its two paths below the API's URL: the prose has one, the OpenAPI file the other. DOC"""
PER_PAGE = 30
"""No page has more items than this. DOC"""

_REFUSALS = ("error", "failed")
_PAGINATION = ("pagination", "meta")
_VIDEOS = {".gif", ".mp4", ".m4v", ".mov", ".webm", ".mkv"}


Refusal: TypeAlias = (
    GenerationFailed | NotFound | AccessDenied | Rejected | ServerError | RateLimited
)
"""What may come instead of a page."""


@dataclass(frozen=True, slots=True)
class Item:
    """One generation as a page lists it: which endpoint made it, the page does not say."""

    id: str
    links: tuple[str, ...]
    document: Mapping[str, object]
    """The item as it came, without the API key."""

    @property
    def generation(self) -> Generation:
        """What it is called as long as no other endpoint is known to have it."""
        return Generation(LISTED, self.id)

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of its links, which outlive their signatures and hosts, in order."""
        return tuple(sorted({*map(link_path, self.links)}))

    @property
    def is_video(self) -> bool:
        """Whether a link is named like a video: images are listed with GIFs among them (INF)."""
        return any(PurePosixPath(path).suffix.lower() in _VIDEOS for path in self.paths)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing."""

    items: tuple[Item, ...]
    number: int | None = None
    """Which page it says that it is, from 1, and which is the `last`."""
    last: int | None = None
    not_understood: int = 0
    """How many of its items name no generation."""


def read_page(reply: HttpReply, document: object, now: datetime) -> Page | Refusal:
    """Return what the reply to a request for a page means: a page, or why there is none.

    `document` is what `parse_json` made of its body.
    """
    fields = _fields(document)
    values = _values(fields)
    if values is None or reply.status >= 400 or _status(fields) in _REFUSALS:
        return _no_page(read_response(reply, document, "", now))
    items = [_item(value) for value in values]
    understood = tuple(item for item in items if item)
    number, last = _place(fields)
    return Page(understood, number, last, len(items) - len(understood))


def ready(generation: Generation, document: object) -> Ready | None:
    """Return an item as the response with its links, or None if it lists no finished file."""
    if not isinstance(document, dict):
        return None
    success = {"status": "success"} | document
    match read_response(HttpReply(200, b""), success, generation.id, datetime.now(UTC)):
        case Ready() as response:
            return replace(response, document=document)
        case _:
            return None


def _fields(document: object) -> Mapping[str, object]:
    """Return the object whose `data` has the items; it may itself be in the `data` of another."""
    match document:
        case list():
            return {"data": document}
        case dict() as outer:
            inner = outer.get("data")
            if isinstance(inner, dict) and isinstance(inner.get("data"), list | dict):
                return {**outer, **inner}
            return outer
        case _:
            return {}


def _status(fields: Mapping[str, object]) -> str:
    return str(fields.get("status", "")).strip().lower()


def _values(fields: Mapping[str, object]) -> list[object] | None:
    """Return the items of a list, of a map with any keys, or a single one; None if it has none."""
    match fields.get("data"):
        case list() as values:
            return values
        case dict() as one if _id(one):
            return [one]
        case dict() as values if all(isinstance(value, dict) for value in values.values()):
            return list(values.values())
        case None | "" if _status(fields) == "success" and "data" in fields:
            return []
        case _:
            return None


def _item(value: object) -> Item | None:
    if not isinstance(value, dict) or not (id_ := _id(value)):
        return None
    return Item(id_, carried_links(value), value)


def _id(fields: Mapping[str, object]) -> str:
    """Return the ID of an item, a number or a string, or "" if it has none that could be one."""
    value = first_given(fields, "id", "request_id")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        return ""
    try:
        return Generation.of(LISTED, str(value).strip()).id
    except ValueError:
        return ""


def _place(fields: Mapping[str, object]) -> tuple[int | None, int | None]:
    """Return which page it is, and which is the last, as far as that is said."""
    inner = (fields.get(name) for name in _PAGINATION)
    parts = [part for part in inner if isinstance(part, dict)] + [fields]
    number, last = _number(parts, "current_page"), _number(parts, "last_page")
    total, per_page = _number(parts, "total"), _number(parts, "per_page")
    if last is None and total and per_page:
        last = -(-total // per_page)
    return number, last


def _number(parts: list[Mapping[str, object]], name: str) -> int | None:
    return next(filter(None, _numbers(parts, name)), None)


def _numbers(parts: list[Mapping[str, object]], name: str) -> Iterator[int]:
    for part in parts:
        match part.get(name):
            case bool():
                pass
            case int() as number:
                yield max(number, 0)
            case str() as text if text.isascii() and text.isdecimal() and len(text) < 10:
                yield int(text)


def _no_page(response: Response) -> Refusal:
    """Return a response without a page: a success is about something else."""
    match response:
        case Ready() | Processing():
            return Rejected("it is no page of generations", usable=False)
        case _:
            return response
