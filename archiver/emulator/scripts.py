"""What the emulator can be told, and the words of the answers it then gives.

A `Script` says how one generation behaves and an `ApiScript` how the API does as a whole; each
`Response` is a documented or recorded one, and each `Fault` a way in which a link can fail.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from time import time
from typing import Literal

Host = Literal["api", "primary", "proxy"]
LinkHost = Literal["primary", "proxy"]

Response = Literal[
    "ready", "wrong-id", "no-output", "huge",  # success, and successes of little use
    "processing", "created", "proxied", "queued", "nan", "odd",  # later, in all its shapes
    "failed", "unknown", "unknown-404", "malformed", "malformed-lists",
    "refused", "refused-old", "plan", "no-credit", "no-credit-old",
    "throttled", "throttled-header", "throttled-date", "throttled-old", "throttled-words",
    "throttled-silent", "error", "html", "html-200", "empty", "not-json", "redirect",
    "cut", "reset", "stall", "hang-up", "silent",
]  # fmt: skip

Fault = Literal[
    "none",
    "dead", "forbidden", "gone", "error", "busy", "throttled",  # an honest status
    "html", "disguised", "json-error", "empty",  # 200, and not a video
    "cut", "cut-silently", "cut-chunked", "reset", "stall", "crawl",  # fails half-way
    "too-short", "too-long", "wrong-range",  # headers that do not match the body
    "refuse", "hang-up", "silent",  # no response at all
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class LinkScript:
    """How one link behaves: well, unless a `fault` is given."""

    fault: Fault = "none"
    times: int | None = None
    """The fault strikes so many requests and then the link works; None: it always strikes.

    A refused connection is always refused: such a link names a port where nobody listens.
    """
    length: Literal["given", "none", "chunked"] = "given"
    ranges: bool = True
    etag: Literal["strong", "weak", "none"] = "strong"
    last_modified: bool = True
    redirects: int = 0
    redirect_to: str | None = None
    """Where the last redirect leads, in place of the file; hosts are written as in `url`."""
    seconds: float = 0.0
    """The body is spread over this time."""
    content_type: str = "video/mp4"
    url: str | None = None
    """The link as the API gives it; `{api}`, `{primary}`, `{proxy}` stand for host and port."""


@dataclass(frozen=True, slots=True)
class OutputScript:
    """One output: a video of `size` bytes, or just the `body` that is given."""

    size: int = 64_000
    body: bytes | None = None
    suffix: str = "mp4"
    primary: LinkScript = LinkScript()
    proxy: LinkScript | None = None
    versions: int = 1
    """So many requests, on either host, each see another file; the last version then stays."""


@dataclass(frozen=True, slots=True)
class RawResponse:
    """A response given as it stands: `body` is bytes, or a value to be written as JSON."""

    body: object
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Script:
    """How one generation behaves: `trouble`, then `ready_after` asks of `waiting`, then `response`.

    Until the response is `ready` its files are unfinished: the links serve a first half as if
    it were the whole.
    """

    outputs: tuple[OutputScript, ...] = (OutputScript(),)
    response: Response | RawResponse = "ready"
    ready_after: int = 0
    waiting: Response | RawResponse = "processing"
    trouble: tuple[Response | RawResponse, ...] = ()
    output_shape: Literal["list", "string", "object", "objects"] = "list"
    proxies: Literal["list", "string", "identical", "null", "empty", "absent"] = "list"
    fresh_links: bool = False
    """Every ask gives other links, signed for that ask."""
    expired: int = 0
    """The signed links of so many first asks are refused with 403."""

    def response_to(self, ask: int) -> Response | RawResponse:
        """Return what ask number `ask`, from 1, is answered."""
        if ask <= len(self.trouble):
            return self.trouble[ask - 1]
        return self.response if self.has_waited(ask) else self.waiting

    def has_waited(self, ask: int) -> bool:
        """Return whether ask number `ask` comes after all that stands before `response`."""
        return ask > len(self.trouble) + self.ready_after


@dataclass(frozen=True, slots=True)
class ApiScript:
    """How the API as a whole behaves."""

    always: Response | RawResponse | None = None
    """What every request is answered, whatever it asks."""
    refusal: Response = "refused"
    unknown: Response = "unknown"
    throttle_first: int = 0
    per_second: int | None = None
    throttled: Response = "throttled"
    retry_after: int = 30
    """Seconds, as told to whoever is throttled."""
    ids: Literal["int", "string", "null", "empty"] = "int"
    echo_key: bool = False
    content_type: str = "application/json"


PAGE = b"<!DOCTYPE html><html><body><h1>Something went wrong</h1></body></html>"
JSON = {"Content-Type": "application/json"}
TIP = "Your request is processing in background, use the fetch API to get your output."
_NOTHING = {"id": "", "output": "", "tip": TIP}
LATER = {"status": "processing", "message": "try again later.", "output": "", "tip": TIP}

SAID: dict[str, RawResponse] = {
    "processing": RawResponse(LATER),
    "queued": RawResponse(LATER | {"status": "queued", "eta": 12.5}),
    "nan": RawResponse(LATER | {"eta": math.nan}),
    "odd": RawResponse({"status": "paused", "messege": "Back soon", "output": ""}),
    "failed": RawResponse(
        {"status": "failed", "id": "", "message": "Failed, Try Again", "output": ""}
    ),
    "unknown": RawResponse(_NOTHING | {"status": "failed", "message": "Request not found"}),
    "unknown-404": RawResponse(
        _NOTHING | {"status": "failed", "message": "Request not found"}, 404
    ),
    "malformed": RawResponse({"status": "error", "message": "Invalid API Request", "tips": TIP}),
    "malformed-lists": RawResponse(
        {"status": "error", "message": {"key": ["The key field is required."]}}
    ),
    "refused": RawResponse({"status": "error", "message": "Invalid API key"}, 401),
    "refused-old": RawResponse({"status": "error", "message": "Invalid Api Key", "tip": TIP}),
    "plan": RawResponse({"status": "error", "message": "Your plan does not include this."}, 403),
    "no-credit": RawResponse(
        {"status": "error", "message": "Insufficient credits. Please top up."}, 402
    ),
    "no-credit-old": RawResponse(
        {"status": "error", "message": "Your monthly limit exceeded, upgrade subscription."}
    ),
    "error": RawResponse({"status": "error", "message": "Server Error"}, 500),
    "html": RawResponse(PAGE, 502, {"Content-Type": "text/html"}),
    "html-200": RawResponse(PAGE, 200, {"Content-Type": "text/html"}),
    "empty": RawResponse(b""),
    "not-json": RawResponse(b'{"status":"success","id":'),
}


def throttled(response: str, seconds: int) -> RawResponse:
    """Return the ways of saying that there were too many requests, and when to come back."""
    told = {"status": "error", "message": "Rate limit exceeded. Please slow down."}
    match response:
        case "throttled":
            return RawResponse(told | {"retry_after": seconds}, 429)
        case "throttled-header":
            return RawResponse(told, 429, {"Retry-After": str(seconds)})
        case "throttled-date":
            return RawResponse(
                told, 429, {"Retry-After": formatdate(time() + seconds, usegmt=True)}
            )
        case "throttled-old":
            old = {"message": "Rate limit exceeded", "tips": f"Please wait for {seconds} seconds."}
            return RawResponse(told | old)
        case "throttled-words":
            when = f"{seconds // 60} minutes" if seconds >= 60 else f"{seconds} seconds"
            return RawResponse(told | {"message": f"Too many requests, try again in {when}"}, 429)
        case _:
            return RawResponse(told, 429)


def shaped(links: list[str], shape: str) -> object:
    """Return what `output` holds."""
    match shape:
        case "string":
            return links[0] if links else ""
        case "object":
            return {"url": links[0]} if links else {}
        case "objects":
            return [{"url": link} for link in links]
        case _:
            return links


def proxies_told(style: str, proxies: list[str], links: list[str]) -> dict[str, object]:
    """Return the field `proxy_links`, or no field."""
    match style:
        case "absent":
            return {}
        case "null":
            return {"proxy_links": None}
        case "empty":
            return {"proxy_links": ""}
        case "string":
            return {"proxy_links": proxies[0] if proxies else ""}
        case "identical":
            return {"proxy_links": links}
        case _:
            return {"proxy_links": proxies or None}


def id_spelled(id_: str, style: str) -> int | str | None:
    """Return an ID as it may come back."""
    match style:
        case "int":
            return int(id_) if id_.isdecimal() else id_
        case "null":
            return None
        case "empty":
            return ""
        case _:
            return id_


def encoded(body: object) -> bytes:
    """Return a body as bytes: JSON, where it is not bytes already."""
    return body if isinstance(body, bytes) else json.dumps(body).encode()
