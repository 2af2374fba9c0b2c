"""Faults: why a link did not give its payload, and whether another try may help."""

from datetime import UTC, datetime
from http import HTTPStatus

import aiohttp

from archiver.download.resume import is_whole
from archiver.http.errors import KeyInRedirect
from archiver.http.retry_after import parse_retry_after

_TRANSIENT = (408, 425, 500, 502, 504, 507, 509, 520, 521, 522, 523, 524, 530, 598)
"""Those above 511 are what Cloudflare and other proxies say of a server behind them."""
THROTTLING = (429, 503)
_FINAL = (
    ValueError,
    KeyInRedirect,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
    aiohttp.TooManyRedirects,
    aiohttp.ClientConnectorCertificateError,
)
"""Errors that another try does not cure."""


class TransferError(Exception):
    """A link did not give the payload; the text is the reason, for people."""

    def __init__(
        self,
        reason: str,
        *,
        status: int = 0,
        transient: bool = False,
        pause: float | None = None,
        useless: bool = False,
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.transient = transient
        self.pause = pause
        self.useless = useless
        """What has come is of no use: to go on with it would only take more space."""


def check_status(response: aiohttp.ClientResponse) -> None:
    """Raise what an HTTP status means, unless the response has the payload.

    Raises:
        TransferError: if it has not.
    """
    status = response.status
    if status == HTTPStatus.OK or is_whole(response):
        return
    reason = f"{status} {(response.reason or '')[:100]}".rstrip()
    pause = None
    if status in THROTTLING:
        pause = parse_retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
    raise TransferError(reason, status=status, transient=status in _TRANSIENT, pause=pause)


def is_final(error: Exception) -> bool:
    """Return whether another try would end in the same error."""
    if isinstance(error, _FINAL):
        return True
    refused = isinstance(error, aiohttp.ClientConnectorError) and error.os_error
    return isinstance(refused, PermissionError)
