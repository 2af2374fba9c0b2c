"""Spellings: the ways to name a generation in a manifest."""

import re
from collections.abc import Mapping

from archiver.generation import Generation

EXPECTED = "expected an ID, ENDPOINT/ID or a fetch URL"
NAMING = ("id", "request_id", "fetch_result")
"""The fields that name a generation."""
FETCH_URL = re.compile(
    r"https?://[^/?#\s]+(?:/[^?#\s]*?)?/(?P<endpoint>v[0-9]+/[^?#\s]{1,60}?)/fetch/"
    r"(?P<id>[^/?#\s]+)/?(?:[?#]\S*)?",
    re.IGNORECASE,
)


def named_generation(value: object, default_endpoint: str) -> tuple[Generation, bool]:
    """Return the generation that a JSON value names: an ID, a spelling or a saved response.

    It comes with whether its endpoint was assumed, since the value names none.

    Raises:
        ValueError: if it names none; its text is what was expected.
    """
    match value:
        case str():
            return _from_text(value, default_endpoint)
        case dict():
            return _from_fields(value, default_endpoint)
        case _:
            return Generation.of(default_endpoint, _id(value)), True


def first_given(fields: Mapping[str, object], *keys: str) -> object:
    """Return the first of these fields that is neither absent, null nor empty, or None."""
    for key in keys:
        value = fields.get(key)
        if value is not None and value != "":
            return value
    return None


def _from_text(text: str, default_endpoint: str) -> tuple[Generation, bool]:
    try:
        if "://" in text:
            return _from_url(text), False
        endpoint, slash, id_ = text.strip().rpartition("/")
        return Generation.of(endpoint if slash else default_endpoint, id_), not slash
    except ValueError:
        raise ValueError(EXPECTED) from None


def _from_fields(fields: Mapping[str, object], default_endpoint: str) -> tuple[Generation, bool]:
    id_ = first_given(fields, "id", "request_id")
    url = first_given(fields, "fetch_result")
    if id_ is None and url is None:
        raise ValueError("expected id, request_id or fetch_result")
    if url is None:
        given = first_given(fields, "endpoint")
        endpoint = default_endpoint if given is None else given
        generation = Generation.of(endpoint if isinstance(endpoint, str) else "", _id(id_))
        return generation, given is None
    generation = _from_url(url)
    if id_ is not None and _id(id_) != generation.id:
        raise ValueError("expected id and fetch_result to agree")
    return generation, False


def _from_url(url: object) -> Generation:
    match = FETCH_URL.fullmatch(url.strip()) if isinstance(url, str) else None
    if not match:
        raise ValueError("expected a fetch URL such as https://…/api/v6/video/fetch/147")
    return Generation.of(match["endpoint"], match["id"])


def _id(value: object) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return str(value)
    raise ValueError("expected an ID, a string or a whole number")
