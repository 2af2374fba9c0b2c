"""Pings a monitoring service such as Healthchecks when a run begins, and when it has ended.

The pinging API: https://healthchecks.io/docs/http_api/
"""

import asyncio
import logging
import re
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from archiver.errors import ConfigurationError
from archiver.http.errors import describe_error
from archiver.http.retry import Backoff
from archiver.http.session import open_session

_LOG = logging.getLogger(__name__)
_MAX_BODY = 10_000
"""In bytes: what Healthchecks stores by default; healthchecks.io stores 100,000."""
_CUT = b"\xe2\x80\xa6\n"
"""An ellipsis, on a line of its own."""


@dataclass(frozen=True, slots=True)
class PingUrl:
    """The URL to ping. `str` and `repr` hide it: whoever has it can ping in the run's name.

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
        """Return the URL for a signal, for a request and for nothing else; its query is kept."""
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

    backoff: Backoff = field(default=Backoff(tries=3, first=0.5, longest=2.0))
    each: float = 10.0
    in_all: float = 30.0


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a ping was not accepted, in words that do not quote the URL."""

    why: str
    transient: bool = False
    """Another try may succeed."""


class Pinger:
    """Pings one URL about one run.

    A ping that fails is a warning in the log: nothing is raised, and the run is not affected. No
    redirect is followed: it would take the secret URL elsewhere, and turn a POST into a GET.
    """

    def __init__(self, url: PingUrl, patience: Patience = Patience()) -> None:
        self._url = url
        self._patience = patience

    def start(self) -> None:
        """Ping that the run begins."""
        self._ping("start", b"", "start")

    def end(self, exit_status: int, body: str) -> None:
        """Ping that the run has ended: 0 is a success, and 1 to 255 a failure.

        Of a `body` of more than 10,000 bytes the last lines are sent.
        """
        self._ping(str(exit_status), tail(body), "end")

    def _ping(self, signal: str, body: bytes, moment: str) -> None:
        try:
            failure = asyncio.run(self._deliver(self._url.reveal(signal), body))
        except Exception as error:  # noqa: BLE001 (whatever it is, the run goes on)
            failure = _Failure(f"a bug: {type(error).__name__}")
        if not failure:
            _LOG.debug("the ping at the %s of the run succeeded", moment)
            return
        warning = "the ping at the %s of the run failed: %s. The run is not affected"
        _LOG.warning(warning, moment, failure.why)

    async def _deliver(self, url: str, body: bytes) -> _Failure | None:
        """Post to the URL, again while that may help and there is time; return the last failure."""
        deadline = time.monotonic() + self._patience.in_all
        pauses = self._patience.backoff.pauses()
        while True:
            left = deadline - time.monotonic()
            failure = await _post(url, body, min(self._patience.each, left))
            pause = next(pauses, None)
            if not (failure and failure.transient) or pause is None:
                return failure
            if time.monotonic() + pause >= deadline:
                return failure
            await asyncio.sleep(pause)


async def _post(url: str, body: bytes, seconds: float) -> _Failure | None:
    headers = {"Content-Type": "text/plain; charset=utf-8"}
    try:
        async with (
            asyncio.timeout(seconds),
            open_session(seconds, allow_private=True) as session,
            session.post(
                URL(url, encoded=True), data=body, headers=headers, allow_redirects=False
            ) as response,
        ):
            return _refusal(response.status)
    except ConfigurationError:
        return _Failure("the proxy that the environment names is of no use")
    except TimeoutError:
        return _Failure(f"no response within {seconds:.2g} s", transient=True)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        if isinstance(error, ValueError) and not isinstance(error, OSError):
            return _Failure("no usable address: look at the ping URL, and at the proxy")
        return _Failure(describe_error(error, seconds), transient=True)
    finally:
        await asyncio.sleep(0)  # a closed connection releases its socket in the loop's next turn


def _refusal(status: int) -> _Failure | None:
    """Return what a response means; its reason phrase is left out, as it may quote the URL."""
    match status:
        case _ if 200 <= status < 300:
            return None
        case 300 | 301 | 302 | 303 | 307 | 308:
            why = f"it redirects (HTTP {status}), which is not followed: use the URL it leads to"
        case 404 | 409:
            why = f"no such check (HTTP {status}): look at the ping URL again"
        case _:
            why = f"it answers HTTP {status}"
    return _Failure(why, transient=status >= 500 or status in (408, 429))


def tail(text: str) -> bytes:
    """Return the last lines of a text that fit into a body, or the end of its one long line."""
    data = text.strip().encode(errors="replace")
    if len(data) <= _MAX_BODY:
        return data
    size = _MAX_BODY - len(_CUT)
    line = data.find(b"\n", len(data) - size - 1) + 1
    kept = data[line:] if line else data[-size:].decode(errors="ignore").encode()
    return _CUT + kept
