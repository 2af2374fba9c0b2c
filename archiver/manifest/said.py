"""What an entry says: everything in it but its ID, its links, how far it was, and a key.

It is kept beside the video, in sidecars that are never changed. So several sources of one
generation are merged by what they add: a value that is there already is left out, in whatever
order the sources come; what is new goes into another document. Of a field with several values the
first that was kept counts, and each later one is in a document of its own. Values that differ in
their type alone, as those of a table do, are the same. Empty values say nothing.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TypeAlias

from archiver.apikey import REDACTED
from archiver.manifest.carried import LINK_FIELDS
from archiver.manifest.spelling import NAMING

Document: TypeAlias = dict[str, object]

DOCUMENTS_LIMIT = 20
"""No more documents than these are kept of a generation: a list may say something else daily."""
_DEPTH = 20
"""What is nested more deeply is left out."""
_NOT_SAID = {*NAMING, *LINK_FIELDS, "endpoint", "data"}
_NOT_SAID_IN_RESPONSES = _NOT_SAID | {
    "status", "state", "message", "messege", "tip", "tips", "eta",
}  # fmt: skip
"""How far it was is of no more use; where the status is none of these, they may be a person's."""
_STATES = {"success", "processing", "queued", "failed", "error"}
_KEYS = {"key", "apikey", "xapikey", "modelslabapikey", "authorization"}
_NO_LETTERS = re.compile(r"[^a-z]+")
_KEY_IN_TEXT = re.compile(
    r"""((?:[?&](?:api[_-]?)?key=)|(?:\\*"(?:api[_-]?)?key\\*"\s*:\s*\\*"))[^&#\s"\\]+""",
    re.IGNORECASE,
)
"""A key in a URL, or in JSON in a string."""


def said_in(value: object) -> str:
    """Return what a manifest's item says, in JSON; "" if that is nothing."""
    said = _said(value, _DEPTH) if isinstance(value, dict) else {}
    return json.dumps(said) if said else ""


def additions(known: Sequence[Document], items: Iterable[Document]) -> list[Document]:
    """Return documents with what the items say and the known documents do not."""
    added: list[Document] = []
    for item in items:
        if rest := _beyond(item, [*known, *added]):
            fitting = (document for document in added if _fits(rest, document))
            if (document := next(fitting, None)) is None:
                added.append(rest)
            else:
                _merge(rest, document)
    return added


def _said(fields: Mapping[str, object], depth: int) -> Document:
    left_out = _NOT_SAID_IN_RESPONSES if _is_response(fields) else _NOT_SAID
    said = _kept_fields(
        {k: v for k, v in fields.items() if k not in left_out or _is_text(k, v)}, depth
    )
    data = fields.get("data")
    inner = _said(data, depth - 1) if isinstance(data, dict) and depth else _kept(data, depth)
    return said | {"data": inner} if inner else said


def _is_text(name: str, value: object) -> bool:
    """Return whether a field that may have links has a text of somebody's own."""
    texts = name in ("video", "links") and isinstance(value, str)
    return texts and "://" not in str(value) and not str(value).startswith("data:")


def _is_response(fields: Mapping[str, object]) -> bool:
    status = fields.get("status")
    return isinstance(status, str) and status.lower() in _STATES


def _kept(value: object, depth: int) -> object:
    """Return a value without a key, not nested without end; None if it says nothing."""
    if isinstance(value, str):
        return _KEY_IN_TEXT.sub(rf"\1{REDACTED}", value) if "key" in value.lower() else value
    match value:
        case list() if depth:
            return [_kept(item, depth - 1) for item in value]
        case dict() if depth:
            return _kept_fields(value, depth)
        case float() if not math.isfinite(value):
            return None  # JSON has no such number
        case bool() | int() | float():
            return value
        case _:
            return None


def _kept_fields(fields: Mapping[str, object], depth: int) -> Document:
    kept = {
        name: value if type(value) is int else _kept(value, depth - 1)
        for name, value in fields.items()
        if value is not None and not _is_key(name)
    }
    return {name: value for name, value in kept.items() if name and not _is_empty(value)}


def _is_empty(value: object) -> bool:
    if isinstance(value, str):
        return not value or value.isspace()
    return value in (None, [], {})


@lru_cache(1000)
def _is_key(name: str) -> bool:
    return _NO_LETTERS.sub("", name.lower()) in _KEYS


def _beyond(fields: Document, known: Sequence[Document]) -> Document:
    """Return what these fields say and the known documents do not."""
    rest: Document = {}
    for name, value in fields.items():
        others = [document[name] for document in known if name in document]
        if isinstance(value, dict):
            inner = _beyond(value, [other for other in others if isinstance(other, dict)])
            rest |= {name: inner} if inner else {}
        elif not any(_same(value, other) for other in others):
            rest[name] = value
    return rest


def _same(value: object, other: object) -> bool:
    return value == other or str(value).strip() == str(other).strip()


def _fits(rest: Document, document: Document) -> bool:
    """Return whether a document has no other value of any of these fields."""
    for name, value in rest.items():
        other = document.get(name)
        if isinstance(value, dict) and isinstance(other, dict):
            if not _fits(value, other):
                return False
        elif name in document:
            return False
    return True


def _merge(rest: Document, document: Document) -> None:
    for name, value in rest.items():
        other = document.get(name)
        if isinstance(value, dict) and isinstance(other, dict):
            _merge(value, other)
        else:
            document[name] = value
