"""Every shape of a response in `tests/fixtures/responses`, a file each, means what its file says.

`source` is how sure we are: DOC for the provider's documentation, SEEN for a response recorded in
public client code, CLIENT for what such code takes into account, INF for what is inferred.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from archiver.apikey import ApiKey
from archiver.emulator.scripts import RawResponse, Script
from archiver.emulator.server import Emulator
from archiver.generation import Generation
from archiver.http.retry import Backoff
from archiver.http.session import open_session
from archiver.modelslab.client import Client, Halt
from archiver.modelslab.inline import extract
from archiver.modelslab.rate_limit import RateLimit
from archiver.modelslab.reading import LINK_FIELDS, parse_json, read_response
from archiver.modelslab.responses import (
    HttpReply,
    Ready,
)
from archiver.settings import ApiSettings, Timings

SHAPES = Path(__file__).parents[2] / "fixtures/responses"
NAMES = sorted(path.stem for path in SHAPES.glob("*.json"))
NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
G263 = Generation.of("deepfake", "263")
KEY = "sk-Emulated/Key+42"


@dataclass(frozen=True)
class Shape:
    """What is in a file: what comes over the wire, and what it means."""

    source: str
    http: int
    body: object
    means: dict[str, object]
    headers: dict[str, str]

    @classmethod
    def read(cls, name: str) -> "Shape":
        """Read the file of this name."""
        fields: dict[str, Any] = json.loads((SHAPES / f"{name}.json").read_text())
        return cls(**{"headers": {}} | fields)

    @property
    def data(self) -> bytes:
        """The body; a page is in its file as a string."""
        text = self.body if isinstance(self.body, str) else json.dumps(self.body)
        return text.encode()


def links(response: Ready) -> list[list[str]]:
    return [[f"{link.role} {link.url}" for link in output.links] for output in response.outputs]


def described(response: object, names: set[str]) -> dict[str, object]:
    """Return of a response what a file says of it."""
    found = {name: getattr(response, name) for name in names - {"response", "links"}}
    if isinstance(response, Ready):
        found["links"] = links(response)
    return found | {"response": type(response).__name__}


@pytest.mark.parametrize("name", NAMES)
def test_a_shape_means_what_its_file_says(name: str) -> None:
    """The reader takes it apart without a network, at a fixed time."""
    shape = Shape.read(name)
    reply = HttpReply(
        shape.http,
        shape.data,
        shape.headers.get("Retry-After"),
        shape.headers.get("X-RateLimit-Reset"),
    )
    document = extract(parse_json(shape.data), LINK_FIELDS).document
    response = read_response(reply, document, "263", NOW)
    assert described(response, {*shape.means}) == shape.means
    assert shape.source in ("DOC", "SEEN", "CLIENT", "INF")


@asynccontextmanager
async def connected(emulator: Emulator) -> AsyncIterator[Client]:
    settings = ApiSettings(ApiKey(KEY), emulator.api_url, timeout=20)
    timings = Timings(short_pause=0.05, default_pause=0.01, after_pause=0.0)
    rate_limit = RateLimit(1000, 0, timings)
    async with open_session(5, allow_private=True) as session:
        yield Client(session, settings, rate_limit, Backoff(1, 0.01, 0.01))


RESULTS = {"AccessDenied": ("Rejected", "Halt"), "RateLimited": ("Throttled",)}
"""Where a client does not return the response itself: what it makes of it."""


@pytest.mark.parametrize("name", NAMES)
async def test_a_client_that_meets_a_shape_returns_what_its_file_says(name: str) -> None:
    """Over a real connection, from an API that responds like this for ever."""
    shape = Shape.read(name)
    script = Script(response=RawResponse(shape.data, shape.http, shape.headers))
    async with Emulator({G263: script}, key=KEY) as emulator, connected(emulator) as client:
        result = await client.fetch(G263)
    meaning = str(shape.means["response"])
    assert type(result).__name__ in RESULTS.get(meaning, (meaning,))
    if not isinstance(result, Halt) and meaning not in RESULTS:
        assert described(result, {*shape.means}) == shape.means
