"""One HTTP session for the night, and one wording for what goes wrong on the wire."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

import aiohttp

_READ_BUFFER = 1 << 20
_REDIRECTS = 10


@asynccontextmanager
async def open_session(silence: float) -> AsyncIterator[aiohttp.ClientSession]:
    """Open the session that the API and the links are asked with.

    A connection may stay silent for `silence` seconds. Cookies are not kept, bodies are taken
    as they are sent (nothing is decompressed), and certificates are verified against the
    system's authorities, or those in the file that `SSL_CERT_FILE` names.
    """
    async with aiohttp.ClientSession(
        auto_decompress=False,
        connector=aiohttp.TCPConnector(limit=0, ssl=ssl.create_default_context()),
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
