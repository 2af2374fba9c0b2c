"""Errors: what an exception from an HTTP session means, for people."""

import os
import ssl

import aiohttp

from archiver.http.address_guard import PrivateAddress
from archiver.http.heads import HeadTooLarge, LengthsDiffer
from archiver.units import printable


class KeyInRedirect(aiohttp.ClientError):
    """A redirect leads to a link that contains the API key."""


_MESSAGES: tuple[tuple[type[Exception], str], ...] = (
    (aiohttp.TooManyRedirects, "too many redirects"),
    (KeyInRedirect, "not followed: it redirects to a link that contains the API key"),
    (aiohttp.NonHttpUrlClientError, "it leads to something that is not an http(s) link"),
    (aiohttp.InvalidURL, "it leads to something that is not an http(s) link"),
    (HeadTooLarge, "the head of the response is too large"),
    (LengthsDiffer, "the response contradicts itself about its length"),
    (ValueError, "not an address that can be requested"),
    (aiohttp.ClientResponseError, "the response is not HTTP"),
    (aiohttp.ClientPayloadError, "the connection was closed early"),
    (aiohttp.ServerDisconnectedError, "the connection was closed early"),
)
"""The first that fits."""


def describe_error(error: Exception, timeout: float) -> str:
    """Return what an exception from a session means, in words for people.

    Neither host nor URL is in it: they may be secret. `timeout` is the session's, in seconds.
    """
    match error:
        case aiohttp.ClientHttpProxyError():
            return f"the proxy refuses the connection (HTTP {error.status})"
        case aiohttp.ClientConnectorError():
            return _describe_connection(error)
        case TimeoutError():
            return f"too slow: silent for {timeout:g} s, or no whole response in twice that"
    fitting = (message for kind, message in _MESSAGES if isinstance(error, kind))
    return next(fitting, "the connection broke")


def _describe_connection(error: aiohttp.ClientConnectorError) -> str:
    match error:
        case aiohttp.ClientConnectorCertificateError(certificate_error=cause):
            return f"its TLS certificate is not accepted{_certificate_fault(cause)}"
        case aiohttp.ClientSSLError():
            return "no TLS connection"
        case aiohttp.ClientConnectorDNSError():
            return "no such host"
        case aiohttp.ClientConnectorError(os_error=PrivateAddress()):
            return "its address is not a public one: see --allow-private-links"
    number = error.os_error.errno
    to = " to the proxy" if isinstance(error, aiohttp.ClientProxyConnectionError) else ""
    return f"no connection{to} ({os.strerror(number) if number else 'every address refused it'})"


def _certificate_fault(cause: Exception) -> str:
    """Return OpenSSL's reason, but for the host that a mismatch names after a comma."""
    if not isinstance(cause, ssl.SSLCertVerificationError):
        return ""
    return f" ({printable(cause.verify_message.partition(', ')[0][:100])})"
