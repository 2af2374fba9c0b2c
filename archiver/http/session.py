"""Session: HTTP connections that lead only where they may, through the environment's proxies."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit
from urllib.request import getproxies

import aiohttp

from archiver.apikey import ApiKey
from archiver.errors import ConfigurationError
from archiver.http.address_guard import AddressGuard, SocketFactory
from archiver.http.errors import KeyInRedirect
from archiver.version import __version__

_READ_BUFFER = 1 << 20
_SLOW_READ_BUFFER = 1 << 16


def trusted_authorities() -> ssl.SSLContext:
    """Return the system's certificate authorities, or those in the file of `SSL_CERT_FILE`."""
    return ssl.create_default_context()


@asynccontextmanager
async def open_session(
    timeout: float,  # noqa: ASYNC109 (for each silence on a connection, not for this function)
    authorities: ssl.SSLContext,
    *,
    allow_private: bool,
    key: ApiKey | None = None,
    slow: bool = False,
) -> AsyncIterator[aiohttp.ClientSession]:
    """Open a session whose connections may each stay silent for `timeout` seconds.

    It keeps no cookies, decompresses nothing, uses the proxies of the environment and verifies
    certificates against the `authorities`. Without `allow_private` it refuses to connect to
    addresses that are not public. It follows no redirect to a URL that contains the `key`. A
    `slow` session, whose rate is limited, reads little ahead.

    Raises:
        ConfigurationError: if a proxy is not a URL.
    """
    guard = None if allow_private else AddressGuard(await _proxy_addresses())
    sockets = SocketFactory(guard, 2 * _SLOW_READ_BUFFER if slow else None)
    async with aiohttp.ClientSession(
        auto_decompress=False,
        connector=aiohttp.TCPConnector(limit=0, ssl=authorities, socket_factory=sockets),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "identity", "User-Agent": f"archiver/{__version__}"},
        middlewares=[_checking_redirects(key)] if key else (),
        read_bufsize=_SLOW_READ_BUFFER if slow else _READ_BUFFER,
        timeout=aiohttp.ClientTimeout(sock_connect=timeout, sock_read=timeout),
        trust_env=bool(getproxies()),  # aiohttp would look for them anew at each request
    ) as session:
        yield session


def _checking_redirects(key: ApiKey) -> aiohttp.ClientMiddlewareType:
    async def check(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        response = await handler(request)
        headers = response.headers  # aiohttp follows either of these
        places = [*headers.getall("Location", ()), *headers.getall("URI", ())]
        if any(key.redact(place) != place for place in places):
            response.close()
            raise KeyInRedirect
        return response

    return check


async def _proxy_addresses() -> frozenset[tuple[str, int]]:
    """Resolve the proxies that the environment names, which may be on a private network.

    Raises:
        ConfigurationError: if one is not a URL.
    """
    addresses = set()
    for scheme, url in getproxies().items():
        if scheme in ("http", "https"):
            host, port = _proxy_host(scheme, url)
            with suppress(OSError):
                for info in await asyncio.get_running_loop().getaddrinfo(host, port):
                    addresses.add((str(info[4][0]), port))
    return frozenset(addresses)


def _proxy_host(scheme: str, url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        parts, port = urlsplit(""), 0
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(
            f"the proxy in {scheme}_proxy is not a URL such as http://proxy.example:3128"
        )
    return parts.hostname, port
