"""Session: it leads only where it may, and carries along nothing that it should not."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote

import aiohttp
import pytest
from yarl import URL

from archiver.apikey import ApiKey
from archiver.errors import ConfigurationError
from archiver.http import redirects
from archiver.http.errors import KeyInRedirect, describe_error
from archiver.http.session import open_session
from archiver.version import __version__
from tests.support.raw_server import ForwardProxy, RawServer

KEY = "sk-Secret/Key+42"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxies that this machine has are none of these tests'."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@asynccontextmanager
async def session(*, allow_private: bool = True) -> AsyncIterator[aiohttp.ClientSession]:
    """Open a session of one second's patience."""
    async with open_session(1.0, allow_private=allow_private) as opened:
        yield opened


async def get(client: aiohttp.ClientSession, url: str) -> bytes:
    """Return the body of a successful response."""
    async with client.get(url) as response:
        assert response.status == 200
        return await response.read()


async def test_a_request_names_the_archiver_and_asks_for_plain_bytes() -> None:
    """Nothing is to be decompressed, and a host can see who asks."""
    async with RawServer({"*": (OK,)}) as server, session() as client:
        assert await get(client, f"http://{server.host}/") == b"ok"
    assert f"User-Agent: archiver/{__version__}" in server.heads[0]
    assert "Accept-Encoding: identity" in server.heads[0]


async def test_cookies_are_not_kept() -> None:
    """What one response sets is not sent with the next request."""
    cookie = OK.replace(b"OK\r\n", b"OK\r\nSet-Cookie: a=b; Path=/\r\n")
    async with RawServer({"*": (cookie,)}) as server, session() as client:
        for _ in range(2):  # by a name: cookies of bare addresses are never kept
            await get(client, f"http://localhost:{server.port}/")
    assert len(server.heads) == 2
    assert not any("cookie" in head.lower() for head in server.heads)


async def test_a_private_address_is_refused_before_a_connection_is_made() -> None:
    """Unless that is allowed; the message names the option that allows it."""
    async with RawServer({"*": (OK,)}) as server, session(allow_private=False) as client:
        with pytest.raises(aiohttp.ClientConnectorError) as raised:
            await client.get(f"http://{server.host}/")
        assert server.connections == 0
    assert "--allow-private-links" in describe_error(raised.value, 1.0)


async def test_a_proxy_of_the_environment_may_be_private(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what decides where requests may lead then."""
    async with ForwardProxy() as proxy, RawServer({"*": (OK,)}) as server:
        monkeypatch.setenv("http_proxy", f"http://{proxy.host}")
        async with session(allow_private=False) as client:
            assert await get(client, f"http://{server.host}/") == b"ok"
    assert proxy.connections == 1


async def test_a_proxy_that_is_no_url_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is reported when the session is opened, by the variable's name."""
    monkeypatch.setenv("http_proxy", "localhost")
    with pytest.raises(ConfigurationError, match="http_proxy is not a URL"):
        async with session(allow_private=False):
            pass


@pytest.mark.parametrize("header", ["Location", "URI"])
@pytest.mark.parametrize("spelling", [KEY, quote(KEY, safe="")])
async def test_a_redirect_with_the_key_is_not_followed(header: str, spelling: str) -> None:
    """Wherever it leads, in each header that is followed and however the key is spelled."""
    async with RawServer({"*": (OK,)}) as other, RawServer() as server:
        to = f"http://{other.host}/?k={spelling}"
        head = f"HTTP/1.1 302 Found\r\n{header}: {to}\r\nContent-Length: 0\r\n\r\n"
        server.paths["*"] = (head.encode(),)
        async with session() as client:
            with pytest.raises(KeyInRedirect):
                await redirects.get(client, URL(f"http://{server.host}/"), {}, ApiKey(KEY))
        assert other.connections == 0


async def test_another_redirect_is_followed() -> None:
    """The key is all that is looked for."""
    async with RawServer({"*": (OK,)}) as other, RawServer() as server:
        head = f"HTTP/1.1 302 Found\r\nLocation: http://{other.host}/\r\nContent-Length: 0\r\n\r\n"
        server.paths["*"] = (head.encode(),)
        async with session() as client:
            url = URL(f"http://{server.host}/")
            async with await redirects.get(client, url, {}, ApiKey(KEY)) as response:
                assert await response.read() == b"ok"
