"""Errors of HTTP: a message for people for whatever a session raises, and no secret in it."""

import errno
import socket
import ssl
from unittest.mock import Mock

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from yarl import URL

from archiver.http.address_guard import PrivateAddress
from archiver.http.errors import KeyInRedirect, describe_error
from tests.support.raw_server import RawServer, closed_port

SECRET = "hc-ping.example"
KEY = ConnectionKey(SECRET, 443, True, True, None, None, None, None)
REQUEST = Mock(real_url=URL(f"https://{SECRET}/uuid"))


def refused(number: int | None) -> OSError:
    """Return what a system call raises; without a number, several addresses failed differently."""
    if number is None:
        return OSError(f"Multiple exceptions: {SECRET}")
    return OSError(number, f"Connect call failed ('{SECRET}', 443)")


def certificate_error(reason: str) -> ssl.SSLCertVerificationError:
    """Return what OpenSSL raises."""
    error = ssl.SSLCertVerificationError(1, f"certificate verify failed: {reason}")
    error.verify_message = reason
    return error


ERRORS: list[tuple[Exception, str]] = [
    (aiohttp.ClientConnectorError(KEY, refused(errno.ECONNREFUSED)),
     "no connection (Connection refused)"),
    (aiohttp.ClientConnectorError(KEY, refused(None)),
     "no connection (every address refused it)"),
    (aiohttp.ClientConnectorError(KEY, PrivateAddress()),
     "its address is not a public one: see --allow-private-links"),
    (aiohttp.ClientConnectorDNSError(KEY, socket.gaierror(socket.EAI_NONAME, SECRET)),
     "no such host"),
    (aiohttp.ClientProxyConnectionError(KEY, refused(errno.ECONNREFUSED)),
     "no connection to the proxy (Connection refused)"),
    (aiohttp.ClientHttpProxyError(REQUEST, (), status=403, message=f"Not to {SECRET}"),
     "the proxy refuses the connection (HTTP 403)"),
    (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, SECRET)), "no TLS connection"),
    (aiohttp.ClientConnectorCertificateError(KEY, certificate_error("self-signed certificate")),
     "its TLS certificate is not accepted (self-signed certificate)"),
    (aiohttp.ClientConnectorCertificateError(
        KEY,
        certificate_error(f"Hostname mismatch, certificate is not valid for '{SECRET}'."),
     ), "its TLS certificate is not accepted (Hostname mismatch)"),
    (aiohttp.ClientConnectorCertificateError(KEY, Exception(SECRET)),
     "its TLS certificate is not accepted"),
    (TimeoutError(), "too slow: silent for 5 s, or no whole response in twice that"),
    (aiohttp.ConnectionTimeoutError(f"Connection timeout to host https://{SECRET}/uuid"),
     "too slow: silent for 5 s, or no whole response in twice that"),
    (aiohttp.TooManyRedirects(REQUEST, ()), "too many redirects"),
    (KeyInRedirect(), "not followed: it redirects to a link that contains the API key"),
    (aiohttp.NonHttpUrlRedirectClientError(f"ftp://{SECRET}"),
     "it leads to something that is not an http(s) link"),
    (aiohttp.InvalidURL(f"https://{SECRET}:x"),
     "it leads to something that is not an http(s) link"),
    (ValueError(SECRET), "not an address that can be requested"),
    (UnicodeError(SECRET), "not an address that can be requested"),
    (aiohttp.ClientResponseError(REQUEST, (), message=SECRET), "the response is not HTTP"),
    (aiohttp.ClientPayloadError(SECRET), "the connection was closed early"),
    (aiohttp.ServerDisconnectedError(SECRET), "the connection was closed early"),
    (aiohttp.ClientOSError(errno.ECONNRESET, f"reset by {SECRET}"), "the connection broke"),
    (aiohttp.ClientError(SECRET), "the connection broke"),
]  # fmt: skip


@pytest.mark.parametrize(("error", "message"), ERRORS)
def test_each_error_has_its_message(error: Exception, message: str) -> None:
    """It is in words for people, and neither host nor URL is in it: they may be secret."""
    assert describe_error(error, 5.0) == message
    assert SECRET not in message


async def test_what_a_real_session_raises_is_described() -> None:
    """A refused connection, plain HTTP in place of TLS, a server that hangs up, a broken URL."""
    messages = []
    async with (
        RawServer({"*": ()}) as hanging_up,
        RawServer(blindly=(b"HTTP/1.1 400 Bad Request\r\n\r\n",)) as plain,
        aiohttp.ClientSession() as session,
    ):
        for url in (
            f"http://127.0.0.1:{closed_port()}/",
            f"https://{plain.host}/",
            f"http://{hanging_up.host}/",
            "http://[::1",
        ):
            with pytest.raises((aiohttp.ClientError, ValueError)) as raised:
                await session.get(url)
            messages.append(describe_error(raised.value, 5.0))
    assert messages == [
        "no connection (Connection refused)",
        "no TLS connection",
        "the connection was closed early",
        "it leads to something that is not an http(s) link",
    ]
