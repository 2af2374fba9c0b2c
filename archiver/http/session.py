"""HTTP sessions that lead where they may, and one wording for what goes wrong on the wire."""

import asyncio
import errno
import ipaddress
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit
from urllib.request import getproxies

import aiohttp

from archiver import __version__
from archiver.apikey import ApiKey
from archiver.errors import ConfigurationError
from archiver.units import printable

_READ_BUFFER = 1 << 20
_SLOW_BUFFER = 1 << 16
"""Bytes taken in ahead of what is read; where a rate is to be held, only a few."""
_INSIDE = "its address is not a public one: see --allow-private-links"
_UNICAST = ipaddress.IPv6Network("2000::/3")
_DOCUMENTATION = ipaddress.IPv6Network("3fff::/20")
"""What RFC 4291 and RFC 9637 say of IPv6; the standard library's list is not up to date."""
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def trusted_authorities() -> ssl.SSLContext:
    """Return the system's authorities, or those in the file that `SSL_CERT_FILE` names."""
    return ssl.create_default_context()


@asynccontextmanager
async def open_session(
    silence: float,
    authorities: ssl.SSLContext,
    *,
    inside: bool,
    key: ApiKey | None = None,
    slow: bool = False,
) -> AsyncIterator[aiohttp.ClientSession]:
    """Open a session whose connections may each stay silent for `silence` seconds.

    Cookies are not kept, bodies are taken as they are sent (nothing is decompressed), proxies
    are those of the environment, and certificates are verified against the `authorities`. Unless
    it may lead `inside`, addresses that are not public are refused when a connection is made:
    after DNS, and after each redirect. No redirect is followed that carries the `key` along. One
    that is to be `slow` takes in little ahead of what is read.
    """
    guard = None if inside else _Guard(await _proxy_addresses())
    async with aiohttp.ClientSession(
        auto_decompress=False,
        connector=aiohttp.TCPConnector(
            limit=0, ssl=authorities, socket_factory=_Sockets(guard, slow=slow)
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={
            "Accept-Encoding": "identity",
            "User-Agent": f"archiver/{__version__}",
        },
        middlewares=[_refusing_redirects(key)] if key else (),
        read_bufsize=_SLOW_BUFFER if slow else _READ_BUFFER,
        timeout=aiohttp.ClientTimeout(sock_connect=silence, sock_read=silence),
        trust_env=bool(getproxies()),  # it looks for them anew at each request
    ) as session:
        yield session


class KeyInRedirect(aiohttp.ClientError):
    """A redirect leads to a link that contains the API key."""


def _refusing_redirects(key: ApiKey) -> aiohttp.ClientMiddlewareType:
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


class _Guard:
    """Lets nothing through to addresses inside; the environment's proxies are exempt."""

    def __init__(self, exempt: frozenset[tuple[str, int]]) -> None:
        self._exempt = exempt

    def check(self, info: aiohttp.AddrInfoType) -> None:
        address = info[4]
        if address[:2] not in self._exempt and not is_public(str(address[0])):
            raise PermissionError(errno.EACCES, _INSIDE)


class _Sockets:
    """Makes sockets, past the guard if there is one."""

    def __init__(self, guard: _Guard | None, *, slow: bool) -> None:
        self._guard = guard
        self._slow = slow

    def __call__(self, info: aiohttp.AddrInfoType) -> socket.socket:
        if self._guard:
            self._guard.check(info)
        made = socket.socket(*info[:3])
        if self._slow:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2 * _SLOW_BUFFER)
        return made


def is_public(address: str) -> bool:
    """Tell whether an IP address is one of the public internet's, also by what it embeds."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        embedded = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
        if ip in _NAT64:
            embedded.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
        if any(inner and not is_public(str(inner)) for inner in embedded):
            return False
        if ip.ipv4_mapped or ip in _NAT64:
            return True
        if ip not in _UNICAST or ip in _DOCUMENTATION:
            return False
    return ip.is_global and not ip.is_multicast


async def _proxy_addresses() -> frozenset[tuple[str, int]]:
    """Resolve the proxies that the environment names: links may be asked through them.

    Raises:
        ConfigurationError: if one is named in a way that cannot be used.
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


def describe(error: Exception, silence: float) -> str:  # noqa: PLR0911 (a line a kind)
    """Say for people what an exception from a session means."""
    match error:
        case aiohttp.ClientHttpProxyError():
            return printable(f"the proxy refuses ({error.status} {error.message})"[:200])
        case aiohttp.ClientConnectorError() | aiohttp.ClientConnectorCertificateError():
            return _describe_connection(error)
        case TimeoutError():
            return f"too slow: silent for {silence:g} s, or no whole response in twice that"
        case aiohttp.TooManyRedirects():
            return "too many redirects"
        case KeyInRedirect():
            return "not followed: it redirects to a link that contains the API key"
        case aiohttp.NonHttpUrlClientError() | aiohttp.InvalidURL():
            return "it leads to something that is not an http(s) link"
        case ValueError():
            return "not an address that can be asked"
        case aiohttp.ClientResponseError():
            return "the response is not HTTP"
        case aiohttp.ClientPayloadError() | aiohttp.ServerDisconnectedError():
            return "the connection was closed early"
        case _:
            return "the connection broke"


def _describe_connection(
    error: aiohttp.ClientConnectorError | aiohttp.ClientConnectorCertificateError,
) -> str:
    match error:
        case aiohttp.ClientConnectorCertificateError():
            cause = error.certificate_error
            why = cause.verify_message if isinstance(cause, ssl.SSLCertVerificationError) else cause
            return printable(f"its TLS certificate is not accepted ({why})"[:200])
        case aiohttp.ClientSSLError():
            return "no TLS connection"
        case aiohttp.ClientConnectorDNSError():
            return "no such host"
    if isinstance(error.os_error, PermissionError) and error.os_error.strerror == _INSIDE:
        return _INSIDE
    number = error.os_error.errno
    to = " to the proxy" if isinstance(error, aiohttp.ClientProxyConnectionError) else ""
    return f"no connection{to} ({os.strerror(number) if number else 'every address refused it'})"
