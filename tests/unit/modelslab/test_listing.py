"""Pages of one's own generations are understood in whatever shape they come."""

import json
from datetime import UTC, datetime

import pytest

from archiver.generation import LISTED, Generation
from archiver.modelslab.listing import Page, Refusal, read_page, ready
from archiver.modelslab.reading import parse_json
from archiver.modelslab.responses import (
    AccessDenied,
    HttpReply,
    NotFound,
    RateLimited,
    Rejected,
    ServerError,
)

NOW = datetime(2026, 11, 23, 2, tzinfo=UTC)
LINK = "https://pub-1.r2.dev/generations/a.mp4"
ITEM = {"id": 123, "output": [LINK]}


def read(document: object, status: int = 200) -> Page | Refusal:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return read_page(HttpReply(status, body), parse_json(body), NOW)


def listed(document: object) -> list[tuple[str, tuple[str, ...]]]:
    """Return the IDs and links on a page."""
    page = read(document)
    assert isinstance(page, Page)
    return [(item.id, item.links) for item in page.items]


DOCUMENTED = {
    "status": "success", "type": "video", "data": [ITEM],
    "pagination": {"current_page": 2, "per_page": 15, "total": 53, "last_page": 4,
                   "from": 16, "to": 30},
}  # fmt: skip


def test_the_documented_page_is_read() -> None:
    """Its items have their ID and links, and it says which page it is of how many."""
    page = read(DOCUMENTED)
    assert isinstance(page, Page)
    assert (page.number, page.last, page.not_understood) == (2, 4, 0)
    (item,) = page.items
    assert (item.id, item.links, dict(item.document)) == ("123", (LINK,), ITEM)
    assert item.paths == ("/generations/a.mp4",)
    assert item.generation == Generation(LISTED, "123")


@pytest.mark.parametrize(
    "document",
    [
        {"status": "success", "data": [ITEM]},
        {"data": [ITEM]},
        {"status": "success", "data": {"0": ITEM}},
        {"status": "success", "data": {"17": ITEM}},
        {"status": "success", "data": ITEM},
        {"status": "success", "data": {"current_page": 1, "data": [ITEM]}},
        {"status": "success", "data": {"current_page": 1, "data": {"3": ITEM}}},
        [ITEM],
        {"status": "success", "data": [ITEM | {"id": "123"}]},
        {"status": "success", "data": [ITEM | {"id": " 123 "}]},
        {"status": "success", "data": [ITEM | {"id": 123.0}]},
        {"status": "success", "data": [{"request_id": 123, "output": LINK}]},
        {"status": "success", "data": [ITEM | {"output": {"0": LINK}}]},
        {"status": "success", "data": [ITEM | {"output": [{"url": LINK}]}]},
        {"status": "success", "data": [ITEM | {"output": json.dumps([LINK])}]},
    ],
)
def test_any_shape_of_a_page_is_read(document: object) -> None:
    """Lists and maps, numbers and strings, with and without pagination, also one in another."""
    assert listed(document) == [("123", (LINK,))]


@pytest.mark.parametrize(
    "document",
    [
        {"status": "success", "data": []},
        {"status": "success", "data": {}},
        {"status": "success", "data": None},
        {"status": "success", "data": ""},
        {"data": []},
        [],
    ],
)
def test_a_page_may_be_empty(document: object) -> None:
    """That is no error: it ends the list."""
    assert listed(document) == []


def test_items_that_name_nothing_are_counted() -> None:
    """The others on the page are read all the same."""
    odd = [None, "x", 7, {"output": [LINK]}, {"id": None}, {"id": True}, {"id": "a/b"}, {"id": -1}]
    page = read({"status": "success", "data": [*odd, ITEM]})
    assert isinstance(page, Page)
    # -1 is an ID of two characters that a path may have
    assert [item.id for item in page.items] == ["-1", "123"]
    assert page.not_understood == 7


@pytest.mark.parametrize(
    ("pagination", "place"),
    [
        ({"pagination": {"current_page": "2", "last_page": "4"}}, (2, 4)),
        ({"pagination": {"total": 53, "per_page": 15}}, (None, 4)),
        ({"meta": {"current_page": 1, "last_page": 3}}, (1, 3)),
        ({"current_page": 1, "last_page": 3}, (1, 3)),
        ({"pagination": None}, (None, None)),
        ({"pagination": []}, (None, None)),
        ({"pagination": {"last_page": 0, "current_page": None}}, (None, None)),
        ({"pagination": {"last_page": True, "current_page": -1}}, (None, None)),
        ({"pagination": {"last_page": "9" * 5000}}, (None, None)),
    ],
)
def test_pagination_is_taken_where_it_makes_sense(
    pagination: dict[str, object], place: tuple[int | None, int | None]
) -> None:
    """Numbers may be strings, the object may have another name, and nonsense counts for nothing."""
    page = read({"status": "success", "data": [ITEM], **pagination})
    assert isinstance(page, Page)
    assert (page.number, page.last) == place


@pytest.mark.parametrize(
    ("document", "status", "kind"),
    [
        ({"status": "error", "message": "Invalid API key"}, 401, AccessDenied),
        ({"status": "error", "message": "Your plan does not include this."}, 403, AccessDenied),
        ({"status": "error", "message": "No access", "data": []}, 200, AccessDenied),
        ({"status": "error", "message": "Rate limit exceeded."}, 429, RateLimited),
        ({"status": "error", "message": "Not found"}, 404, NotFound),
        ({"status": "error", "message": "Server Error"}, 500, ServerError),
        (b"<html>", 404, ServerError),
        (b"", 200, ServerError),
        ({"status": "success"}, 200, Rejected),
        ({"status": "success", "id": 1, "output": [LINK]}, 200, Rejected),
        ({"status": "processing"}, 200, Rejected),
        ({"status": "success", "data": {"message": "none"}}, 200, Rejected),
        ({"status": "success", "data": 7}, 200, Rejected),
    ],
)
def test_what_is_no_page_is_what_it_says(document: object, status: int, kind: type) -> None:
    """A refusal, an error or something else must not pass for an empty page."""
    assert isinstance(read(document, status), kind)


def test_an_item_is_a_response_with_its_links() -> None:
    """The item itself is its document; one without a finished file is none."""
    one = Generation(LISTED, "123")
    response = ready(one, ITEM)
    assert response
    assert response.document == ITEM
    assert [link.url for output in response.outputs for link in output.links] == [LINK]
    for unfinished in (
        {"id": 123, "output": []},
        {"id": 123, "output": [LINK], "status": "processing"},
        {"id": 123, "future_links": [LINK]},
        {"id": 124, "output": [LINK]},
        [LINK],
    ):
        assert ready(one, unfinished) is None


@pytest.mark.parametrize(
    ("name", "is_video"), [("a.gif", True), ("a.MP4", True), ("a.png", False), ("a", False)]
)
def test_gifs_among_images_are_videos(name: str, is_video: bool) -> None:
    """The name of a link shows it."""
    page = read([{"id": 1, "output": [f"https://x.example/{name}?s=1"]}])
    assert isinstance(page, Page)
    assert page.items[0].is_video is is_video
