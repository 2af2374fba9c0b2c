"""Response heads: as large as curl takes them, and with one length, however often it is given."""

from collections.abc import AsyncIterator
from itertools import pairwise

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.http.errors import describe_error
from archiver.http.heads import Head, HeadTooLarge, LengthsDiffer
from archiver.http.session import open_session
from tests.support.http import head, sized
from tests.support.raw_server import Close, Endless, ForwardProxy, Pause, RawServer, Steps

OK = b"HTTP/1.1 200 OK\r\n"
KIB = 1 << 10


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_session(1, allow_private=True) as session:
        yield session


async def body(session: aiohttp.ClientSession, *steps: Steps) -> bytes:
    """Return the body of the last of some responses, one after the other."""
    async with RawServer() as server:
        for each in steps:
            server.paths["*"] = each
            async with session.get(f"http://{server.host}/") as response:
                content = await response.read()
    return content


# --- How large


@pytest.mark.parametrize(
    "lines",
    [
        [f"X-Large: {'x' * (99 * KIB)}"],
        [f"X-Large-{n}: {'x' * (95 * KIB)}" for n in range(3)],
        [f"Set-Cookie: {n}={'x' * 400}" for n in range(700)],
        [f"X-{n}: y" for n in range(900)],
    ],
)
async def test_a_large_head_is_read(session: aiohttp.ClientSession, lines: list[str]) -> None:
    """One line of 100 KiB, 300 KiB in all, or hundreds of headers."""
    assert await body(session, (sized(b"here", *lines),)) == b"here"


async def test_a_long_reason_is_read(session: aiohttp.ClientSession) -> None:
    """It is a line like any other."""
    assert await body(session, (sized(b"here", status=f"200 {'x' * (90 * KIB)}"),)) == b"here"


@pytest.mark.parametrize(
    "steps",
    [
        (head(f"X-Large: {'x' * (101 * KIB)}"),),
        (head(*(f"X-Large-{n}: {'x' * (61 * KIB)}" for n in range(5))),),
        (head(*(f"X-{n}: y" for n in range(1001))),),
        (head(status=f"200 {'x' * (101 * KIB)}"),),
        (OK, Endless(b"X-Large: " + b"x" * 64 * KIB + b"\r\n")),
        (OK + b"X-Large: ", Endless(b"x" * 64 * KIB)),
        (OK + b"Content-Length: ", Endless(b"0" * 64 * KIB)),
        (Endless(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),),
    ],
)
async def test_what_is_larger_is_an_error(session: aiohttp.ClientSession, steps: Steps) -> None:
    """It has a message of its own, and costs no more than the limit."""
    with pytest.raises(HeadTooLarge) as raised:
        await body(session, steps)
    assert describe_error(raised.value, 1) == "the head of the response is too large"


async def test_each_response_has_a_head_of_its_own(session: aiohttp.ClientSession) -> None:
    """On a connection that is kept, too."""
    response = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX: %s\r\n\r\nhere" % (b"x" * 90 * KIB)

    class Keeping(RawServer):
        async def _converse(self, reader, writer) -> None:  # type: ignore[no-untyped-def]
            for _ in range(5):
                await self._read_head(reader)
                writer.write(response)

    async with Keeping() as server:
        for _ in range(5):
            async with session.get(f"http://{server.host}/") as answer:
                assert await answer.read() == b"here"
        assert server.connections == 1


async def test_an_informational_response_comes_before(session: aiohttp.ClientSession) -> None:
    """Its head is none of the response's."""
    early = b"HTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\n\r\n"
    assert await body(session, (early, Pause(0.05), sized(b"here"))) == b"here"


# --- How long


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 4", "Content-Length: 4"),
        ("Content-Length: 4", "X: y", "content-length:4", "CONTENT-LENGTH: \t4 "),
        ("Content-Length: 4, 4",),
        ("Content-Length: 4,4 , 4",),
        ("Content-Length: 4, 4", "Content-Length: 4"),
    ],
)
@pytest.mark.parametrize("apart", [False, True])
async def test_a_length_that_is_repeated_is_one(
    session: aiohttp.ClientSession, lines: tuple[str, ...], apart: bool
) -> None:
    """Wherever the response is cut into packets (RFC 9110, 8.6)."""
    response = head(*lines) + b"here"
    steps: Steps = (response, Close.NEVER)
    if apart:
        middle = response.lower().index(b"content-length") + 7
        steps = (response[:middle], Pause(0.05), response[middle:], Close.NEVER)
    assert await body(session, steps) == b"here"


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 4", "Content-Length: 5"),
        ("Content-Length: 4, 5",),
        ("Content-Length: 4,",),
        ("Content-Length: 4", "Content-Length: 4, 5"),
        ("Content-Length: 4", "Content-Length: 04"),
    ],
)
async def test_a_length_that_contradicts_itself_is_an_error(
    session: aiohttp.ClientSession, lines: tuple[str, ...]
) -> None:
    """None of the lengths is believed."""
    with pytest.raises(LengthsDiffer):
        await body(session, (head(*lines) + b"here", Close.NEVER))


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 4", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding:Chunked ", "Content-Length: 9"),
        ("Content-Length: 4", "transfer-encoding: chunked", "Content-Length: 4"),
    ],
)
async def test_chunks_override_a_length(
    session: aiohttp.ClientSession, lines: tuple[str, ...]
) -> None:
    """Also where it is not that of the body (RFC 9112, 6.3)."""
    response = head(*lines) + b"4\r\nhere\r\n0\r\n\r\n"
    assert await body(session, (response, Close.NEVER)) == b"here"


async def test_chunks_that_are_cut_are_not_made_whole_by_a_length(
    session: aiohttp.ClientSession,
) -> None:
    """It says nothing of where the body ends."""
    cut = head("Content-Length: 4", "Transfer-Encoding: chunked") + b"4\r\nhere\r\n"
    with pytest.raises(aiohttp.ClientPayloadError):
        await body(session, (cut,))


async def test_an_empty_length_is_an_error(session: aiohttp.ClientSession) -> None:
    """Which the parser finds."""
    with pytest.raises(aiohttp.ClientResponseError):
        await body(session, (head("Content-Length: ") + b"here", Close.NEVER))


@given(st.binary(max_size=300), st.lists(st.integers(0, 400), max_size=5))
def test_nothing_else_changes(data: bytes, cuts: list[int]) -> None:
    """Neither in a head nor in what is none, however it is cut."""
    whole = (
        b"HTTP/1.1 200 OK\r\nX-A: b\r\ncontent: c\r\n" + data.replace(b":", b"") + b"\r\n\r\n\r\n"
    )
    places = [0, *sorted(cuts), len(whole)]
    filtered = Head()
    parts = [whole[a:b] for a, b in pairwise(places)]
    assert b"".join(map(filtered.feed, parts)) == whole
    assert filtered.ended


async def test_a_tunnels_head_is_read_alike(
    session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a proxy says in response to CONNECT may be large as well."""
    large = head(f"X: {'x' * 90 * KIB}", status="403 Forbidden")
    async with ForwardProxy(large) as proxy:
        monkeypatch.setenv("https_proxy", f"http://{proxy.host}")
        async with open_session(1, allow_private=True) as tunnelled:
            with pytest.raises(aiohttp.ClientHttpProxyError):
                await tunnelled.get("https://127.0.0.1:9/")
