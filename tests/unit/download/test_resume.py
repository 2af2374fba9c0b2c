"""A response goes on with a partial file only if it is surely the rest of the same file."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from archiver.archive.partial_file import Origin, PartialFile, this_boot
from archiver.download import resume
from archiver.download.resume import Span, content_range, continues, origin_of, range_headers
from tests.support.http import head
from tests.support.raw_server import RawServer
from tests.support.videos import MP4

URL_ = URL("http://a.example/x/one.mp4?signature=1")
TOTAL, HALF = len(MP4), 1000
OLD = "Mon, 01 Jan 2024 00:00:00 GMT"
NEW = "Mon, 07 Oct 2024 00:00:00 GMT"
DATE = "Tue, 24 Nov 2026 00:00:00 GMT"
TAG = Origin('"x"', "", TOTAL, "this boot")
DATED = Origin(OLD, "0123456789abcdef", TOTAL, "this boot")
WEAK = replace(DATED, tag='W/"x"')


def partial_file(tmp_path: Path, origin: Origin | None, size: int = HALF) -> PartialFile:
    """Return what has come of a file of this origin."""
    partial = PartialFile(str(tmp_path / "1of1.part"), 1 << 20)
    partial.reset(origin)
    if size:
        partial.write(MP4[:size])
    return partial


@asynccontextmanager
async def responding(
    session: aiohttp.ClientSession, status: str, *lines: str
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Have a server respond with this head."""
    async with (
        RawServer({"*": (head(*lines, status=status),)}) as server,
        session.get(f"http://{server.host}/") as response,
    ):
        yield response


# --- Asking for the rest


def test_the_rest_is_asked_for_on_condition_of_the_validator(tmp_path: Path) -> None:
    """A strong entity tag is the same on every host; the range has no end."""
    partial = partial_file(tmp_path, TAG)
    for url in (URL_, URL("https://b.example/y/two.mp4")):
        assert range_headers(partial, url) == {"Range": "bytes=1000-", "If-Range": '"x"'}


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("http://a.example/x/one.mp4?signature=1", True),
        ("http://a.example/x/one.mp4?signature=2", True),
        ("http://a.example/x/one.mp4", True),
        ("http://a.example/x/two.mp4", False),
        ("http://b.example/x/one.mp4?signature=1", False),
        ("http://a.example:8080/x/one.mp4?signature=1", False),
        ("https://a.example/x/one.mp4?signature=1", False),
    ],
)
async def test_a_date_is_a_validator_on_its_own_link_alone(
    session: aiohttp.ClientSession, tmp_path: Path, url: str, asked: bool
) -> None:
    """Also once that is signed anew; on another host a file of the same time may be another."""
    lines = (f"Last-Modified: {OLD}", f"Date: {DATE}")
    async with responding(session, "200 OK", *lines) as response:
        origin = origin_of(response, URL_)
    headers = range_headers(partial_file(tmp_path, origin), URL(url))
    assert headers == ({"Range": "bytes=1000-", "If-Range": OLD} if asked else {})


def test_a_date_beside_a_weak_entity_tag_is_no_condition(tmp_path: Path) -> None:
    """A client that has an entity tag must not send one (RFC 9110, 13.1.5)."""
    origin = replace(WEAK, place=resume._place(URL_))
    assert range_headers(partial_file(tmp_path, origin), URL_) == {"Range": "bytes=1000-"}


@pytest.mark.parametrize(("origin", "size"), [(None, HALF), (TAG, 0), (None, 0)])
def test_where_there_is_nothing_to_resume_the_whole_is_asked_for(
    tmp_path: Path, origin: Origin | None, size: int
) -> None:
    """Without a byte, or without a validator."""
    assert range_headers(partial_file(tmp_path, origin, size), URL_) == {}


# --- The response

SPAN = f"Content-Range: bytes {HALF}-{TOTAL - 1}/{TOTAL}"
RANGES = [
    "bytes 999-2081/2082",
    "bytes 1001-2081/2082",
    "bytes 0-2081/2082",
    "bytes 1000-2082/2082",
    "bytes 1000-2082/*",
    "bytes 1000-999/2082",
    "bytes 1000-1999/2083",
    "bytes */2082",
    "bytes 1000-2081/2082, 0-1/2082",
    "bytes=1000-2081/2082",
    "bytes 1000-2999/3000",
    "bytes 01000-2081/2082",
    "items 1000-2081/2082",
    "bytes 1000-/2082",
    "",
]
PARTS = [
    "bytes 1000-2080/2082",
    "bytes 1000-1000/2082",
    "bytes 1000-2081/*",
    "bytes 1000-1999/*",
    "Bytes 1000-2081/2082",
]
"""Ranges that may be less than what was asked for, of a file whose length may not be given."""
ENCODED = ["gzip", "br", "zstd", "deflate", "x-gzip", "compress", "bz2", "hex", "aws-chunked, gzip"]
PLAIN = [
    "",
    "identity",
    "aws-chunked",
    "AWS-Chunked,identity",
    "binary",
    "utf-8",
    "UTF-8",
    "latin1",
]
CASES: list[tuple[Origin | None, tuple[str, ...], bool]] = [
    (TAG, ("206 Partial Content", SPAN, 'ETag: "x"'), True),
    (replace(TAG, length=None), ("206 x", SPAN, 'ETag: "x"'), True),
    (replace(TAG, length=TOTAL + 1), ("206 x", SPAN, 'ETag: "x"'), False),
    (TAG, ("206 x", SPAN, 'ETag: "x"', f"Last-Modified: {NEW}"), True),
    (TAG, ("200 OK", SPAN, 'ETag: "x"'), False),
    (TAG, ("416 x", SPAN, 'ETag: "x"'), False),
    (None, ("206 x", SPAN, 'ETag: "x"'), False),
    # The validator
    (TAG, ("206 x", SPAN,), False),
    (TAG, ("206 x", SPAN, 'ETag: "y"'), False),
    (TAG, ("206 x", SPAN, 'ETag: W/"x"'), False),
    (TAG, ("206 x", SPAN, "ETag: x"), False),
    (TAG, ("206 x", SPAN, 'ETag: "x"', 'ETag: "y"'), False),
    (TAG, ("206 x", SPAN, f"Last-Modified: {OLD}"), False),
    (DATED, ("206 x", SPAN, f"Last-Modified: {OLD}"), True),
    (DATED, ("206 x", SPAN,), True),
    (DATED, ("206 x", SPAN, f"Last-Modified: {NEW}"), False),
    (DATED, ("206 x", SPAN, f"Last-Modified: {OLD}", f"Last-Modified: {NEW}"), False),
    (DATED, ("206 x", SPAN, f"Last-Modified: {OLD}", 'ETag: "x"'), False),
    (DATED, ("206 x", SPAN, "Last-Modified: Mon, 01 Jan 99999999999 00:00:00 GMT"), False),
    # The range
    *((TAG, ("206 x", f"Content-Range: {span}", 'ETag: "x"'), False) for span in RANGES),
    (TAG, ("206 x", 'ETag: "x"',), False),
    (TAG, ("206 x", SPAN, SPAN, 'ETag: "x"'), False),
    (TAG, ("206 x", SPAN, "Content-Range: bytes 0-2081/2082", 'ETag: "x"'), False),
    (TAG, ("206 x", 'ETag: "x"', "Content-Type: multipart/byteranges; boundary=x"), False),
    # A part of the rest will do
    *((TAG, ("206 x", f"Content-Range: {span}", 'ETag: "x"'), True) for span in PARTS),
    # Another length is all right if none was announced before
    (
        replace(TAG, length=None),
        ("206 x", "Content-Range: bytes 1000-2999/3000", 'ETag: "x"'),
        True,
    ),
    # The encoding
    *((TAG, ("206 x", SPAN, 'ETag: "x"', f"Content-Encoding: {c}"), False) for c in ENCODED),
    *((DATED, ("206 x", SPAN, f"Content-Encoding: {c}"), False) for c in ENCODED),
    *((TAG, ("206 x", SPAN, 'ETag: "x"', f"Content-Encoding: {c}"), True) for c in PLAIN),
    *((DATED, ("206 x", SPAN, f"Content-Encoding: {c}"), True) for c in PLAIN),
    # A weak entity tag beside a date
    (WEAK, ("206 x", SPAN, f"Last-Modified: {OLD}", 'ETag: W/"x"'), True),
    (WEAK, ("206 x", SPAN, f"Last-Modified: {OLD}"), True),
    (WEAK, ("206 x", SPAN, f"Last-Modified: {OLD}", 'ETag: W/"y"'), False),
    (WEAK, ("206 x", SPAN, f"Last-Modified: {OLD}", 'ETag: "x"'), False),
    (WEAK, ("206 x", SPAN, f"Last-Modified: {NEW}", 'ETag: W/"x"'), False),
    (WEAK, ("206 x", SPAN, 'ETag: W/"x"'), False),
    (WEAK, ("206 x", SPAN), False),
    (DATED, ("206 x", SPAN, f"Last-Modified: {OLD}", 'ETag: W/"x"'), False),
]  # fmt: skip


@pytest.mark.parametrize(("origin", "lines", "expected"), CASES)
async def test_only_the_rest_of_the_same_file_continues_it(
    session: aiohttp.ClientSession,
    tmp_path: Path,
    origin: Origin | None,
    lines: tuple[str, ...],
    expected: bool,
) -> None:
    """Status, range, length, validator and encoding all fit; otherwise nothing is spliced."""
    async with responding(session, *lines) as response:
        assert continues(response, partial_file(tmp_path, origin)) is expected


@pytest.mark.parametrize(
    ("line", "span"),
    [
        (SPAN, Span(HALF, TOTAL, TOTAL)),
        ("Content-Range: bytes 0-0/1", Span(0, 1, 1)),
        ("Content-Range: bytes 0-0/*", Span(0, 1, None)),
        ("Content-Range: bytes */2082", None),
        ("Content-Range: bytes 2-1/3", None),
        (f"Content-Range: bytes 0-0/{'9' * 18}", Span(0, 1, int("9" * 18))),
        (f"Content-Range: bytes 0-0/{'9' * 5000}", None),
        ("Content-Range: bytes 0-0/-1", None),
        ("X: y", None),
    ],
)
async def test_a_partial_response_has_one_range(
    session: aiohttp.ClientSession, line: str, span: Span | None
) -> None:
    """And the length of the whole, or not."""
    async with responding(session, "206 x", line) as response:
        assert content_range(response) == span
    async with responding(session, "200 OK", line) as response:
        assert content_range(response) is None


# --- The origin

LARGE = f"Content-Length: {256 << 10}"
STRONG = ('ETag: "x"',)
MODIFIED = (f"Last-Modified: {OLD}", f"Date: {DATE}")


@pytest.mark.parametrize(
    ("lines", "validator"),
    [
        (STRONG, '"x"'),
        ((*STRONG, *MODIFIED), '"x"'),
        ((*STRONG, "Accept-Ranges: bytes"), '"x"'),
        (('ETag: "!#~"',), '"!#~"'),
        ((*STRONG, "Accept-Ranges: none"), None),
        ((*MODIFIED, "Accept-Ranges: None "), None),
        (("ETag: x",), None),
        (('ETag: "x',), None),
        (('ETag: "x y"',), None),
        (('ETag: "x"y"',), None),
        (('ETag: W/"x"',), None),
        (('ETag: W/"x"', *MODIFIED), OLD),
        (MODIFIED, OLD),
        ((f"Last-Modified: {OLD}", "Date: Mon, 01 Jan 2024 00:01:00 GMT"), OLD),
        ((f"Last-Modified: {OLD}", "Date: Mon, 01 Jan 2024 00:00:59 GMT"), None),
        ((f"Last-Modified: {NEW}", f"Date: {OLD}"), None),
        ((f"Last-Modified: {OLD}",), None),
        ((f"Date: {DATE}",), None),
        (("Last-Modified: yesterday", f"Date: {DATE}"), None),
        ((f"Last-Modified: {OLD}", "Date: today"), None),
        (("Last-Modified: Mon, 01 Jan 99999999999 00:00:00 GMT", f"Date: {DATE}"), None),
        (("Last-Modified: Mon, 01 Jan 2024 00:00:00", f"Date: {DATE}"), None),
        ((), None),
    ],
)
@pytest.mark.parametrize("length", [LARGE, "Transfer-Encoding: chunked", "X: y"])
async def test_a_response_can_be_resumed_by_a_strong_validator(
    session: aiohttp.ClientSession, lines: tuple[str, ...], validator: str | None, length: str
) -> None:
    """An entity tag, or a date that is a minute older than the response (RFC 9110, 8.8)."""
    async with responding(session, "200 OK", length, *lines) as response:
        origin = origin_of(response, URL_)
    if validator is None:
        assert origin is None
        return
    assert origin
    assert origin.validator == validator
    assert bool(origin.place) is (validator == OLD)
    assert origin.tag == ('W/"x"' if 'ETag: W/"x"' in lines else "")
    assert origin.length == (256 << 10 if length == LARGE else None)
    assert origin.boot == this_boot()


async def test_a_small_file_is_not_worth_resuming(session: aiohttp.ClientSession) -> None:
    """Asking for its rest costs as much as asking for it."""
    small = f"Content-Length: {(256 << 10) - 1}"
    async with responding(session, "200 OK", small, *STRONG) as response:
        assert origin_of(response, URL_) is None
