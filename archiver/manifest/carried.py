"""Carried links: the URLs of videos that an entry brings along, as saved responses do."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress

LINKS_LIMIT = 100
"""At most this many links of an entry are kept."""

LINK_FIELDS = ("output", "output_url", "video", "future_links", "links", "proxy_links")
_ONE_URL = re.compile(r"https?://[^\s,]+", re.IGNORECASE)
_URL = re.compile(r"https?://\S+", re.IGNORECASE)
_BETWEEN = re.compile(r"\s*,\s*(?=https?://)|\s+", re.IGNORECASE)
_DEPTH = 4


def carried_links(value: object) -> tuple[str, ...]:
    """Return the http(s) URLs in an entry's lists of links, in order, none of them twice."""
    if not isinstance(value, dict):
        return ()
    found: dict[str, None] = {}
    for field in LINK_FIELDS:
        if links := value.get(field):
            found |= dict.fromkeys(_urls(links, _DEPTH))
    found |= dict.fromkeys(carried_links(value.get("data")))
    return tuple(found)[:LINKS_LIMIT]


def _urls(value: object, depth: int) -> Iterator[str]:
    """Yield the URLs in a list, in a map with digits for keys, and in objects with a `url`."""
    match value:
        case str() if _ONE_URL.fullmatch(value):
            yield value
        case str():
            yield from _urls_in_text(value, depth)
        case list() if depth:
            for item in value:
                yield from _urls(item, depth - 1)
        case {"url": url} if depth:
            yield from _urls(url, depth - 1)
        case dict() if depth:
            for key, item in value.items():
                if key.isdecimal() or isinstance(item, list | dict):
                    yield from _urls(item, depth - 1)


def _urls_in_text(text: str, depth: int) -> Iterator[str]:
    """Yield the URLs in a text: several with commas between, or a list in JSON."""
    if depth and text.lstrip().startswith(("[", "{")):
        with suppress(ValueError, RecursionError):
            yield from _urls(json.loads(text), depth - 1)
    else:
        yield from filter(_URL.fullmatch, _BETWEEN.split(text.strip()))
