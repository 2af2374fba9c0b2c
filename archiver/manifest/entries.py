"""Entries: what a manifest lists, understood as generations."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import assert_never

from archiver.apikey import REDACTED
from archiver.generation import Generation, canonical_endpoint
from archiver.manifest.carried import carried_links
from archiver.manifest.elements import SHOWN, BareIds, Malformed, Value
from archiver.manifest.formats import Stream, elements
from archiver.manifest.said import said_in
from archiver.manifest.spelling import named_generation

# Hardly any run needs this: it is compiled when it does.
_KEY = r"""((?<![a-z0-9])(?:api[ _-]?)?key["']*\s*[:=]\s*)(?:"[^"]*|'[^']*|[^\s"',;&}\]]+)"""
"""The field of a request that has the API key, in any case."""
_LOOKED_AT = 16 * SHOWN
"""Characters at the beginning of a bad line that are searched for a key: fewer are shown."""


@dataclass(frozen=True, slots=True)
class BadLine:
    """A place in a manifest that was not understood.

    `line` counts from 1; `reason` shows what stands there and what was expected.
    """

    manifest: str
    line: int
    reason: str
    shown: str = ""
    """What stands there, by itself: shortened, quoted and printable."""

    def __str__(self) -> str:
        return f"{self.manifest}:{self.line}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Ids:
    """IDs of one endpoint, as they follow each other in a manifest."""

    endpoint: str
    ids: Sequence[str]
    assumed: bool = False
    """The manifest did not name the endpoint: it is the default one."""
    links: tuple[str, ...] = ()
    """The links that an entry carries, as a saved response does; such an entry has one ID."""
    said: str = ""
    """What else an entry says, in JSON; such an entry has one ID."""
    item: str | None = None
    """The JSON of what ModelsLab lists of it, where no manifest does."""

    def generations(self) -> Iterator[Generation]:
        """Yield the generations."""
        return (Generation(self.endpoint, id_) for id_ in self.ids)

    def names(self) -> Iterator[str]:
        """Yield the generations' full names."""
        return (f"{self.endpoint}/{id_}" for id_ in self.ids)


def read(stream: Stream, name: str, default_endpoint: str) -> Iterator[Ids | BadLine]:
    """Read a manifest of any format, in order; memory does not depend on its length.

    `name` is what a person knows it by; a bare ID belongs to `default_endpoint`.

    Raises:
        OSError: if the stream cannot be read.
        ValueError: if `default_endpoint` is not an endpoint.
    """
    default = canonical_endpoint(default_endpoint)
    for element in elements(stream, name.lower().rpartition(".")[2]):
        match element:
            case Value():
                yield _understood(element, name, default)
            case BareIds():
                yield Ids(default, element.ids, assumed=True)
            case Malformed():
                yield _bad_line(name, element.line, element.text, element.expected)
            case _:
                assert_never(element)


def _understood(element: Value, manifest: str, default_endpoint: str) -> Ids | BadLine:
    try:
        found, assumed = named_generation(element.value, default_endpoint)
    except ValueError as error:
        return _bad_line(manifest, element.line, _without_key(element), str(error))
    links, said = carried_links(element.value), said_in(element.value)
    return Ids(found.endpoint, (found.id,), assumed, links, said)


def _bad_line(manifest: str, line: int, text: str, expected: str) -> BadLine:
    shown = _shown(text)
    return BadLine(manifest, line, f"{shown}: {expected}", shown)


def _without_key(element: Value) -> str:
    """Return an element's text without the API key in a row of a table, which nothing marks."""
    fields = element.value if isinstance(element.value, dict) else {}
    key = fields.get("key") or fields.get("api_key")
    return element.text.replace(key, REDACTED) if key and isinstance(key, str) else element.text


def _shown(text: str) -> str:
    """Return the text quoted, printable and shortened, without an API key."""
    text = re.sub(_KEY, rf"\1{REDACTED}", text.strip()[:_LOOKED_AT], flags=re.IGNORECASE)
    shown = repr(text[: SHOWN + 1]).replace(r"\udc", r"\x")
    return shown if len(shown) <= SHOWN + 2 else f"{shown[:SHOWN]}…{shown[0]}"
