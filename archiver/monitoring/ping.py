"""Tells a watcher such as Healthchecks that a run begins, and how it has ended.

The pinging API: https://healthchecks.io/docs/http_api/
"""

import http.client
import logging
import os
import re
import socket
import ssl
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from threading import Thread
from typing import TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import stamina

from archiver import __version__

_LOG = logging.getLogger(__name__)
_LONGEST_BODY = 10_000
"""In bytes. Healthchecks stores so many unless told otherwise, healthchecks.io 100,000."""
_CUT = b"\xe2\x80\xa6\n"
"""An ellipsis, on a line of its own."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PingUrl:
    """Where a watcher is told. `str` and `repr` hide it: whoever has it can speak for the run.

    Raises:
        ValueError: if it is no http(s) URL; the message does not quote it.
    """

    _value: str = field(repr=False)

    def __post_init__(self) -> None:
        if not _is_http_url(self._value):
            raise ValueError("the ping URL is not one such as https://hc-ping.com/your-uuid")

    def __str__(self) -> str:
        return "[ping URL]"

    def reveal(self, signal: str) -> str:
        """Return the URL for a signal, to be asked and not to be shown; its query is kept."""
        parts = urlsplit(self._value)
        return parts._replace(path=f"{parts.path.rstrip('/')}/{signal}").geturl()


def _is_http_url(text: str) -> bool:
    if not re.fullmatch(r"https?://[\x21-\x7e]+", text, re.IGNORECASE):
        return False
    try:
        parts = urlsplit(text)
        return bool(parts.hostname) and parts.port != 0 and parts.username is None
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Patience:
    """How often to try, and how long: `each` try and `in_all`, in seconds."""

    tries: int = 3
    each: float = 10.0
    in_all: float = 30.0
    pause: float = 0.5
    """The first pause between tries, but for the jitter; the next is twice as long."""


class Pinger:
    """Tells one watcher of one run.

    Nothing it meets is raised or changes the run: what could not be told is a warning in the log.
    Proxies are those of the environment, no redirect is followed, and no cookie is kept.
    """

    def __init__(self, url: PingUrl, patience: Patience = Patience()) -> None:
        self._url = url
        self._patience = patience

    def start(self) -> None:
        """Tell that the run begins."""
        self._tell("start", b"", "the run begins")

    def end(self, exit_status: int, body: str) -> None:
        """Tell how the run has ended: 0 is a success, and any other of 1 to 255 a failure.

        Of a `body` of more than 10,000 bytes the last lines are sent.
        """
        self._tell(str(exit_status), tail(body), "the run has ended")

    def _tell(self, signal: str, body: bytes, what: str) -> None:
        try:
            self._try(signal, body)
        except _Untold as failure:
            why = str(failure)
        except Exception as error:  # noqa: BLE001 (whatever it is, the run goes on)
            why = f"a bug: {type(error).__name__}"
        else:
            _LOG.debug("the watcher was told that %s", what)
            return
        _LOG.warning("the watcher was not told that %s: %s. The run is not affected", what, why)

    def _try(self, signal: str, body: bytes) -> None:
        stamina.instrumentation.set_on_retry_hooks(())  # what is tried again is told in the end
        patience, until = self._patience, time.monotonic() + self._patience.in_all
        for attempt in stamina.retry_context(
            on=_may_pass,
            attempts=patience.tries,
            timeout=patience.in_all,
            wait_initial=patience.pause,
            wait_max=4 * patience.pause,
            wait_jitter=patience.pause,
        ):
            with attempt:
                left = max(0.1, min(patience.each, until - time.monotonic()))
                _in_time(partial(_post, self._url.reveal(signal), body, left), left)


def tail(text: str) -> bytes:
    """Return the last lines of a text that go into a body, or the last of its one long line."""
    data = text.strip().encode(errors="replace")
    if len(data) <= _LONGEST_BODY:
        return data
    room = _LONGEST_BODY - len(_CUT)
    line = data.find(b"\n", len(data) - room - 1) + 1
    kept = data[line:] if line else data[-room:].decode(errors="ignore").encode()
    return _CUT + kept


class _Untold(Exception):
    """The watcher was not told, and why; what may pass is tried again."""

    def __init__(self, why: str, *, may_pass: bool) -> None:
        super().__init__(why)
        self.may_pass = may_pass


def _may_pass(error: Exception) -> bool:
    return isinstance(error, _Untold) and error.may_pass


def _in_time(work: Callable[[], T], seconds: float) -> T:
    """Do something in a thread, and leave it alone if it takes longer.

    A socket's timeout is one of silence: a name that is not resolved, or a response that comes a
    byte at a time, would hold the run up all the same.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except Exception as error:  # noqa: BLE001 (it is raised where it is waited for)
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    try:
        return future.result(seconds)
    except TimeoutError:
        raise _Untold(_late(seconds), may_pass=True) from None


def _post(url: str, body: bytes, timeout: float) -> None:
    headers = {"Content-Type": "text/plain; charset=utf-8", "User-Agent": f"archiver/{__version__}"}
    request = Request(url, body, headers)  # noqa: S310 (it is http or https)
    try:
        build_opener(_NoRedirects).open(request, timeout=timeout).close()
    except HTTPError as response:
        with response:
            raise _refused(response.code) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _Untold(_describe(error, timeout), may_pass=True) from None


class _NoRedirects(HTTPRedirectHandler):
    """Leads nowhere: the URL is a secret, and what a redirect makes of a POST has no body."""

    def redirect_request(self, *_: object) -> None:
        """Make no request of a redirect; it is then a response like any other failure."""


def _refused(status: int) -> _Untold:
    """Say what a response other than success means; the words it comes with may quote the URL."""
    match status:
        case 300 | 301 | 302 | 303 | 307 | 308:
            why = f"it redirects (HTTP {status}), which is not followed: give the URL it leads to"
        case 404 | 409:
            why = f"it knows no such check (HTTP {status}): look at the ping URL again"
        case _:
            why = f"it answers HTTP {status}"
    return _Untold(why, may_pass=status >= 500 or status in (408, 429))


def _late(seconds: float) -> str:
    return f"no response within {seconds:.2g} s"


def _describe(error: Exception, timeout: float) -> str:  # noqa: PLR0911 (a line a kind)
    """Say for people what went wrong on the wire, without the host, which is of the URL."""
    match error:
        case URLError(reason=Exception() as reason):
            return _describe(reason, timeout)
        case TimeoutError():
            return _late(timeout)
        case ssl.SSLCertVerificationError():
            return "its TLS certificate is not accepted"
        case ssl.SSLError():
            return "no TLS connection"
        case socket.gaierror():
            return "no such host"
        case http.client.RemoteDisconnected():
            return "the connection was closed early"
        case OSError(errno=int() as number):
            return f"no connection ({os.strerror(number)})"
        case http.client.InvalidURL() | ValueError():
            return "no address that can be asked: look at the ping URL, and at the proxy"
        case http.client.HTTPException():
            return "the response is not HTTP"
        case _:
            return "no connection"
