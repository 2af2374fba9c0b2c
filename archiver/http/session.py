"""Session: HTTP connections that lead only where they may, through the environment's proxies."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiohttp
from yarl import URL

from archiver.http.address_guard import AddressGuard, SocketFactory
from archiver.http.heads import Connector
from archiver.http.proxies import Proxies
from archiver.http.resolver import Resolver
from archiver.version import __version__

_READ_BUFFER = 1 << 20
_SLOW_READ_BUFFER = 1 << 16


@asynccontextmanager
async def open_session(
    timeout: float,  # noqa: ASYNC109 (for each silence on a connection, not for this function)
    *,
    allow_private: bool,
    slow: bool = False,
) -> AsyncIterator[aiohttp.ClientSession]:
    """Open a session whose connections may each stay silent for `timeout` seconds.

    It keeps no cookies, decompresses nothing, uses the proxies of the environment and verifies
    certificates against the system's authorities, or those in the file of `SSL_CERT_FILE`, as they
    were when aiohttp was imported. Without `allow_private` it refuses to connect to
    addresses that are not public. A `slow` session, whose rate is limited, reads little ahead.

    Raises:
        ConfigurationError: if a proxy is of no use.
    """
    proxies = Proxies.from_environment()
    guard = None if allow_private else AddressGuard(await _addresses(proxies))
    sockets = SocketFactory(guard, 2 * _SLOW_READ_BUFFER if slow else None)
    async with aiohttp.ClientSession(
        auto_decompress=False,
        connector=Connector(limit=0, resolver=Resolver(), socket_factory=sockets),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "identity", "User-Agent": f"archiver/{__version__}"},
        middlewares=[_leading_through(proxies)] if proxies.all() else (),
        read_bufsize=_SLOW_READ_BUFFER if slow else _READ_BUFFER,
        timeout=aiohttp.ClientTimeout(sock_connect=timeout, sock_read=timeout),
    ) as session:
        yield session


def _leading_through(proxies: Proxies) -> aiohttp.ClientMiddlewareType:
    async def lead(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if proxy := proxies.lead_to(request.url.scheme, request.url.raw_host or ""):
            request.proxy = URL(proxy.url)
        return await handler(request)

    return lead


async def _addresses(proxies: Proxies) -> frozenset[tuple[str, int]]:
    """Resolve the proxies, which may be on a private network."""
    addresses = set()
    for proxy in proxies.all():
        with suppress(OSError):
            for found in await Resolver().resolve(proxy.host, proxy.port, socket.AF_UNSPEC):
                addresses.add((found["host"], proxy.port))
    return frozenset(addresses)
