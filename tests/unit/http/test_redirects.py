"""Redirects are followed to the letter of where they lead."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from archiver.http import redirects
from archiver.http.session import open_session
from archiver.http.urls import to_the_letter
from tests.support.http import sized
from tests.support.raw_server import RawServer
from tests.unit.http.test_urls import SIGNED

RANGE = {"Range": "bytes=5-", "If-Range": '"x"'}


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_session(1, allow_private=True) as session:
        yield session


def redirect(location: str, status: str = "302 Found") -> bytes:
    return sized(b"", f"Location: {location}", status=status)


async def followed(
    session: aiohttp.ClientSession, server: RawServer, start: str = "/start", userinfo: str = ""
) -> list[str]:
    """Request a URL of a server; return the targets of all requests that it saw."""
    url = to_the_letter(f"http://{userinfo}{server.host}{start}")
    async with await redirects.get(session, url, RANGE) as response:
        assert await response.read() == b"here"
    return [head.split(" ")[1] for head in server.heads]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("where", ["http://{host}", "//{host}", ""])
async def test_the_letters_of_a_redirect_are_requested(
    session: aiohttp.ClientSession, status: int, where: str
) -> None:
    """They are signed; the range is asked for where the redirect leads."""
    async with RawServer({"*": (sized(b"here"),)}) as server:
        location = where.format(host=server.host) + SIGNED
        server.paths["/start"] = (redirect(location, f"{status} x"),)
        assert await followed(session, server) == ["/start", SIGNED]
    assert all('Range: bytes=5-\r\nIf-Range: "x"\r\n' in head for head in server.heads)


async def test_bytes_outside_ascii_are_encoded_and_no_others(
    session: aiohttp.ClientSession,
) -> None:
    """As they came: UTF-8, or whatever else."""
    async with RawServer({"*": (sized(b"here"),)}) as server:
        server.paths["/start"] = (redirect("/a\xc3\xa9\xe9 %7e|"),)
        assert await followed(session, server) == ["/start", "/a%C3%A9%E9%20%7e|"]


async def test_a_password_is_sent_to_its_own_host_alone(session: aiohttp.ClientSession) -> None:
    """In the redirects on that host, and in none to another."""
    async with RawServer({"*": (sized(b"here"),)}) as there, RawServer() as here:
        here.paths = {"/start": (redirect("b"),), "/b": (redirect(f"http://{there.host}/c"),)}
        url = to_the_letter(f"http://me:pw@{here.host}/start")
        async with await redirects.get(session, url, {}) as response:
            assert response.status == 200
    assert len(here.heads) == 2
    assert all("Authorization: Basic bWU6cHc=\r\n" in head for head in here.heads)
    assert "Authorization" not in there.heads[0]


async def test_redirects_have_an_end(session: aiohttp.ClientSession) -> None:
    """Nine are followed, and ten are a circle."""
    async with RawServer({"*": (sized(b"here"),)}) as server:
        server.paths |= {f"/{n}": (redirect(f"/{n + 1}"),) for n in range(1, 10)}
        assert len(await followed(session, server, "/1")) == 10
        server.paths["/10"] = (redirect("/11"),)
        server.heads.clear()
        with pytest.raises(aiohttp.TooManyRedirects):
            await followed(session, server, "/1")
        assert len(server.heads) == 10


async def test_a_redirect_that_leads_nowhere_is_the_response(
    session: aiohttp.ClientSession,
) -> None:
    """Its status is what is then reported."""
    async with RawServer({"*": (sized(b"", status="302 Found"),)}) as server:
        url = to_the_letter(f"http://{server.host}/")
        async with await redirects.get(session, url, {}) as response:
            assert response.status == 302
