"""Manifests: ID lists, read into generations."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from archiver.generation import Generation, canonical_endpoint
from archiver.manifest.formats import BAD_SPELLING, FETCH_URL, SHOWN, Bare, Fault, elements, given


@dataclass(frozen=True, slots=True)
class BadLine:
    """A place in a manifest that was not understood.

    `line` counts from 1; `reason` shows what stands there, shortened and printable, and says
    what was expected.
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

    def generations(self) -> Iterator[Generation]:
        """Yield the generations."""
        return (Generation(self.endpoint, id_) for id_ in self.ids)

    def names(self) -> Iterator[str]:
        """Yield the generations' full names."""
        return (f"{self.endpoint}/{id_}" for id_ in self.ids)


def read(stream: BinaryIO, name: str, default_endpoint: str) -> Iterator[Ids | BadLine]:
    """Read a manifest of any format, in order; memory does not depend on its length.

    `name` is what a person knows it by; a bare ID belongs to `default_endpoint`.

    Raises:
        OSError: if the stream cannot be read.
        ValueError: if `default_endpoint` is no endpoint.
    """
    default = canonical_endpoint(default_endpoint)
    for line, text, value in elements(stream, name.lower().rpartition(".")[2]):
        if isinstance(value, Bare):
            yield Ids(default, value.ids)
            continue
        try:
            found = _generation(value, default)
        except ValueError as error:
            shown = _shown(text)
            yield BadLine(name, line, f"{shown}: {error}", shown)
        else:
            yield Ids(found.endpoint, (found.id,))


def _shown(text: str) -> str:
    """Return the text quoted, printable and shortened."""
    shown = repr(text.strip()[: SHOWN + 1]).replace(r"\udc", r"\x")
    return shown if len(shown) <= SHOWN + 2 else f"{shown[:SHOWN]}…{shown[0]}"


def _generation(value: object, default: str) -> Generation:
    """Return the generation that an element's value names."""
    match value:
        case Fault(expected):
            raise ValueError(expected)
        case str():
            return _spelled(value, default)
        case dict():
            return _described(value, default)
        case _:
            return Generation.of(default, _id(value))


def _spelled(spelling: str, default: str) -> Generation:
    try:
        if "://" in spelling:
            return _fetched(spelling)
        endpoint, slash, id_ = spelling.strip().rpartition("/")
        return Generation.of(endpoint if slash else default, id_)
    except ValueError:
        raise ValueError(BAD_SPELLING.expected) from None


def _described(fields: Mapping[str, object], default: str) -> Generation:
    id_ = given(fields, "id", "request_id")
    url = given(fields, "fetch_result")
    if id_ is None and url is None:
        raise ValueError("expected id, request_id or fetch_result")
    if url is None:
        endpoint = given(fields, "endpoint") or default
        return Generation.of(endpoint if isinstance(endpoint, str) else "", _id(id_))
    generation = _fetched(url)
    if id_ is not None and _id(id_) != generation.id:
        raise ValueError("expected id and fetch_result to agree")
    return generation


def _fetched(url: object) -> Generation:
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
