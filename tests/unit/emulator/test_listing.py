"""The emulator lists the account's own generations, as awkwardly as ModelsLab may."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from archiver.emulator.scripts import (
    ApiScript,
    LinkScript,
    ListingScript,
    OutputScript,
    RawResponse,
    Script,
)
from archiver.emulator.server import Emulator
from archiver.generation import Generation

KEY = "demo-key"
GIF = Script(outputs=(OutputScript(body=b"GIF89a", suffix="gif"),))


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    scripts = {Generation("v6/video", str(number)): Script() for number in range(1, 46)}
    async with Emulator(scripts, KEY) as emulator:
        yield emulator


async def ask(
    emulator: Emulator, path: str = "v6/assets_generated", key: str = KEY, **body: object
) -> tuple[int, Any]:
    """Ask for a page; return the HTTP status and the body."""
    asked = {"key": key, "type": "video", **body}
    async with (
        aiohttp.ClientSession() as client,
        client.post(f"{emulator.api_url}/{path}", json=asked) as response,
    ):
        text = await response.read()
        return response.status, await response.json() if text.startswith(b"{") else text


def ids(page: dict[str, Any]) -> list[int]:
    return [item["id"] for item in page["data"]]


def set_listing(emulator: Emulator, **changes: Any) -> None:
    emulator.api = ApiScript(listing=ListingScript(**changes))


async def test_a_page_is_as_documented(emulator: Emulator) -> None:
    """It has ID and output of each, and where it is among the pages: ten to one, newest first."""
    status, page = await ask(emulator, page=2)
    assert status == 200
    assert ids(page) == list(range(35, 25, -1))
    assert page["data"][0] == {
        "id": 35,
        "output": [emulator.link(Generation("v6/video", "35"))],
    }
    assert {**page, "data": []} == {
        "status": "success", "type": "video", "data": [],
        "pagination": {"current_page": 2, "per_page": 10, "total": 45, "last_page": 5,
                       "from": 11, "to": 20},
    }  # fmt: skip
    assert emulator.pages() == [2]


async def test_at_most_thirty_are_on_a_page(emulator: Emulator) -> None:
    """More are refused, and so are requests without a type."""
    assert len((await ask(emulator, per_page=30))[1]["data"]) == 30
    for wrong in ({"per_page": 31}, {"type": None}, {"type": "movie"}, {"page": 0}):
        assert (await ask(emulator, **wrong))[1]["status"] == "error"
    assert (await ask(emulator, page=99))[1]["data"] == []


async def test_its_shape_varies(emulator: Emulator) -> None:
    """A map instead of a list, strings instead of numbers, no pagination, the oldest first."""
    set_listing(emulator, shape="map", ids="string", pagination=False, newest_first=False)
    _, page = await ask(emulator, per_page=2)
    assert [(key, item["id"]) for key, item in page["data"].items()] == [("0", "1"), ("1", "2")]
    assert "pagination" not in page


@pytest.mark.parametrize("path", ["v6/assets_generated", "assets_generated"])
async def test_one_of_its_urls_may_be_missing(emulator: Emulator, path: str) -> None:
    """The other is a page that is not found then."""
    set_listing(emulator, paths=(path,))
    statuses = [(await ask(emulator, each))[0] for each in ("v6/assets_generated", path)]
    assert statuses == [404 if path == "assets_generated" else 200, 200]


async def test_a_key_may_be_refused_here_alone(emulator: Emulator) -> None:
    """It fetches, and does not list; a wrong key does neither."""
    set_listing(emulator, refusal="plan")
    assert (await ask(emulator))[0] == 403
    assert (await ask(emulator, "v6/video/fetch/1"))[1]["status"] == "success"
    set_listing(emulator)
    assert (await ask(emulator, key="another"))[0] == 401


async def test_pages_shift_while_videos_are_made(emulator: Emulator) -> None:
    """After each page some more are there, which move the others on."""
    new = tuple(Generation("v6/video", str(number)) for number in (43, 44, 45))
    set_listing(emulator, arriving=new)
    pages = [(await ask(emulator, per_page=3, page=1))[1] for _ in range(4)]
    assert [ids(page)[0] for page in pages] == [42, 43, 44, 45]
    emulator.forget()
    assert ids((await ask(emulator))[1])[0] == 42


async def test_what_is_listed_follows_the_scripts(emulator: Emulator) -> None:
    """GIFs are images, what is not finished has no link, and dead links are listed as well."""
    dead = Script(outputs=(OutputScript(primary=LinkScript(fault="dead")),))
    emulator.scripts = {
        Generation("v6/video", "1"): GIF,
        Generation("v6/video", "2"): Script(ready_after=1),
        Generation("v6/video", "3"): Script(response="failed"),
        Generation("v6/video", "4"): replace(dead, response="unknown"),
        Generation("v6/video", "5"): replace(dead, listed=False),
    }
    _, page = await ask(emulator)
    assert [(item["id"], len(item["output"])) for item in page["data"]] == [(4, 1), (3, 0), (2, 0)]
    assert ids((await ask(emulator, type="image"))[1]) == [1]


async def test_a_page_may_be_something_else(emulator: Emulator) -> None:
    """Single pages can be told to fail."""
    set_listing(emulator, pages={2: "error", 3: RawResponse({"data": 7})})
    assert [(await ask(emulator, page=number))[0] for number in (1, 2, 3)] == [200, 500, 200]
