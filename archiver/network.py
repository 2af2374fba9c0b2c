"""HTTP sessions that lead where they may, and one wording for what goes wrong on the wire."""

import asyncio
import errno
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from urllib.parse import urlsplit
from urllib.request import getproxies

import aiohttp

_READ_BUFFER = 1 << 20
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


@asynccontextmanager
async def open_session(silence: float, *, inside: bool) -> AsyncIterator[aiohttp.ClientSession]:
    """Open a session that a connection of which may stay silent for `silence` seconds.

    Cookies are not kept, bodies are taken as they are sent (nothing is decompressed), proxies
    are those of the environment, and certificates are verified against the system's authorities,
    or those in the file that `SSL_CERT_FILE` names. Unless it may lead `inside`, addresses that
    are not public are refused when a connection is made: after DNS, and after each redirect.
    """
    guard = None if inside else _Guard(await _proxy_addresses())
    async with aiohttp.ClientSession(
        auto_decompress=False,
        connector=aiohttp.TCPConnector(
            limit=0, ssl=ssl.create_default_context(), socket_factory=guard
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={
            "Accept-Encoding": "identity",
            "User-Agent": f"archiver/{version('archiver')}",
        },
        read_bufsize=_READ_BUFFER,
        timeout=aiohttp.ClientTimeout(sock_connect=silence, sock_read=silence),
        trust_env=True,
    ) as session:
        yield session


class _Guard:
    """Makes sockets, but not to addresses inside; the environment's proxies are exempt."""

    def __init__(self, exempt: frozenset[tuple[str, int]]) -> None:
        self._exempt = exempt

    def __call__(self, info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = info
        if address[:2] not in self._exempt and not is_public(str(address[0])):
            raise PermissionError(
                errno.EACCES, "its address is not a public one: see --allow-private-links"
            )
        return socket.socket(family, kind, protocol)


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
    return ip.is_global and not ip.is_multicast


async def _proxy_addresses() -> frozenset[tuple[str, int]]:
    """Resolve the proxies that the environment names: links may be asked through them."""
    addresses = set()
    for url in {proxy for scheme, proxy in getproxies().items() if scheme != "no"}:
        parts = urlsplit(url)
        with suppress(OSError, ValueError):
            port = parts.port or (443 if parts.scheme == "https" else 80)
            for info in await asyncio.get_running_loop().getaddrinfo(parts.hostname, port):
                addresses.add((str(info[4][0]), port))
    return frozenset(addresses)


def describe(error: Exception, silence: float) -> str:  # noqa: C901, PLR0911 (a line a kind)
    """Say for people what an exception from the session means."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            cause = error.certificate_error
            why = cause.verify_message if isinstance(cause, ssl.SSLCertVerificationError) else cause
            return f"its TLS certificate is not accepted ({why})"
        case aiohttp.ClientSSLError():
            return "no TLS connection"
        case aiohttp.ClientConnectorDNSError():
            return "no such host"
        case aiohttp.ClientConnectorError():
            return f"no connection ({error.os_error.strerror or error.os_error})"
        case TimeoutError():
            return f"silent for {silence:g} s"
        case aiohttp.TooManyRedirects():
            return "too many redirects"
        case aiohttp.NonHttpUrlClientError() | aiohttp.InvalidURL():
            return "it leads to something that is not an http(s) link"
        case ValueError():
            return "not an address that can be asked"
        case aiohttp.ClientPayloadError() | aiohttp.ServerDisconnectedError():
            return "the connection was closed early"
        case aiohttp.ClientOSError():
            return f"the connection broke ({error.strerror or 'reset'})"
        case aiohttp.ClientResponseError():
            return "the answer is not HTTP"
        case _:
            return f"the connection failed ({type(error).__name__})"
