"""Scripts: how the emulator behaves, and the bodies of its responses.

A `Script` is for one generation, an `ApiScript` for the API as a whole. Each `Response` is a
documented or recorded one, and each `Fault` a way in which a link can fail.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from time import time
from typing import Literal

from archiver.generation import Generation

Host = Literal["api", "primary", "proxy"]
LinkHost = Literal["primary", "proxy"]

Response = Literal[
    "ready", "wrong-id", "no-output", "huge",  # successes, useful and not
    "processing", "created", "proxied", "queued", "nan", "odd",  # not ready yet, in every form
    "failed", "unknown", "unknown-404", "malformed", "malformed-lists",
    "refused", "refused-old", "plan", "no-credit", "no-credit-old",
    "throttled", "throttled-header", "throttled-date", "throttled-old", "throttled-words",
    "throttled-reset", "throttled-silent", "error", "html", "html-200", "empty", "not-json",
    "redirect", "cut", "reset", "stall", "hang-up", "silent",
]  # fmt: skip

Fault = Literal[
    "none",
    "dead", "forbidden", "gone", "error", "busy", "throttled",  # an error status
    "html", "disguised", "json-error", "empty",  # 200, but no video
    "cut", "cut-silently", "cut-chunked", "reset", "stall", "crawl",  # fail half-way
    "too-short", "too-long", "wrong-range",  # do not match their headers
    "refuse", "hang-up", "silent",  # never respond
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class LinkScript:
    """How one link behaves: without a `fault`, it serves the payload."""

    fault: Fault = "none"
    times: int | None = None
    """How many requests meet the fault before the link works; None: all of them.

    A refused connection is always refused: such a link names a port on which nothing listens.
    """
    length: Literal["given", "none", "chunked"] = "given"
    ranges: bool = True
    etag: Literal["strong", "weak", "none"] = "strong"
    last_modified: bool = True
    redirects: int = 0
    redirect_to: str | None = None
    """Where the last redirect leads instead of to the file; hosts are written as in `url`."""
    seconds: float = 0.0
    """How long the body takes."""
    content_type: str = "video/mp4"
    url: str | None = None
    """The link in the response; `{api}`, `{primary}`, `{proxy}` stand for host and port."""


@dataclass(frozen=True, slots=True)
class OutputScript:
    """One output: a video of `size` bytes, or the given `body`."""

    size: int = 64_000
    body: bytes | None = None
    suffix: str = "mp4"
    primary: LinkScript = LinkScript()
    proxy: LinkScript | None = None
    versions: int = 1
    """How many versions the file has: each request, on either host, gets the next one."""


@dataclass(frozen=True, slots=True)
class RawResponse:
    """A verbatim response: `body` is bytes, or a value to be encoded as JSON."""

    body: object
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Script:
    """How one generation behaves.

    Requests get the responses in `trouble`, then `waiting` for `ready_after` requests, then
    `response`. Until that is `ready` the files are unfinished: the links serve the first half as
    if it were the whole.
    """

    outputs: tuple[OutputScript, ...] = (OutputScript(),)
    response: Response | RawResponse = "ready"
    ready_after: int = 0
    waiting: Response | RawResponse = "processing"
    trouble: tuple[Response | RawResponse, ...] = ()
    output_shape: Literal["list", "string", "object", "objects"] = "list"
    proxies: Literal["list", "string", "identical", "null", "empty", "absent"] = "list"
    fresh_links: bool = False
    """Every request gets other links, signed for that request."""
    expired: int = 0
    """The signed links of this many first requests are refused with 403."""
    meta: Mapping[str, object] = field(default_factory=dict)
    """What it was made from, in responses that say so."""
    listed: bool = True
    """Whether it is one of the account's own, which are listed; GIFs are listed as images."""

    def response_to(self, request: int) -> Response | RawResponse:
        """Return the response to request number `request`, counted from 1."""
        if request <= len(self.trouble):
            return self.trouble[request - 1]
        return self.response if self.has_waited(request) else self.waiting

    def has_waited(self, request: int) -> bool:
        """Return whether request number `request` gets `response`."""
        return request > len(self.trouble) + self.ready_after


@dataclass(frozen=True, slots=True)
class ListingScript:
    """How the account's own generations are listed, in the order of the scripts."""

    paths: tuple[str, ...] = ("v6/assets_generated",)
    """The endpoint's URLs, below that of the API; `assets_generated` is the other one."""
    refusal: Response | RawResponse | None = None
    """The response to keys that may not list, as this one then is."""
    newest_first: bool = True
    ids: Literal["int", "string"] = "int"
    shape: Literal["list", "map"] = "list"
    pagination: bool = True
    arriving: tuple[Generation, ...] = ()
    """Those that are made while pages are read: `arrivals` of them after each page."""
    arrivals: int = 1
    pages: Mapping[int, Response | RawResponse] = field(default_factory=dict)
    """The responses to requests for these pages instead of the page."""


@dataclass(frozen=True, slots=True)
class ApiScript:
    """How the API as a whole behaves."""

    always: Response | RawResponse | None = None
    """The response to every request, whatever it is."""
    refusal: Response = "refused"
    unknown: Response = "unknown"
    throttle_first: int = 0
    per_second: int | None = None
    throttled: Response = "throttled"
    retry_after: int = 30
    """In seconds, where a request is throttled."""
    ids: Literal["int", "string", "null", "empty"] = "int"
    echo_key: bool = False
    listing: ListingScript = ListingScript()
    content_type: str = "application/json"


PAGE = b"<!DOCTYPE html><html><body><h1>Something went wrong</h1></body></html>"
JSON = {"Content-Type": "application/json"}
TIP = "Your request is processing in background, use the fetch API to get your output."
_NOTHING = {"id": "", "output": "", "tip": TIP}
LATER = {"status": "processing", "message": "try again later.", "output": "", "tip": TIP}

RESPONSES: dict[str, RawResponse] = {
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
    """Return a rate limit's response, in one of its forms, with when to come back."""
    body = {"status": "error", "message": "Rate limit exceeded. Please slow down."}
    headers = {
        "throttled-header": {"Retry-After": str(seconds)},
        "throttled-date": {"Retry-After": formatdate(time() + seconds, usegmt=True)},
        "throttled-reset": {"X-RateLimit-Reset": str(math.ceil(time() + seconds))},
    }
    match response:
        case "throttled":
            return RawResponse(body | {"retry_after": seconds}, 429)
        case "throttled-old":
            old = {"message": "Rate limit exceeded", "tips": f"Please wait for {seconds} seconds."}
            return RawResponse(body | old)
        case "throttled-words":
            when = f"{seconds // 60} minutes" if seconds >= 60 else f"{seconds} seconds"
            return RawResponse(body | {"message": f"Too many requests, try again in {when}"}, 429)
        case _:
            return RawResponse(body, 429, headers.get(response, {}))


def shaped(links: list[str], shape: str) -> object:
    """Return the links in the form that `output` has."""
    match shape:
        case "string":
            return links[0] if links else ""
        case "object":
            return {"url": links[0]} if links else {}
        case "objects":
            return [{"url": link} for link in links]
        case _:
            return links


def proxy_field(style: str, proxies: list[str], links: list[str]) -> dict[str, object]:
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
    """Return an ID in the form that a response has it."""
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
    """Return a body as bytes: encoded as JSON unless it is bytes already."""
    return body if isinstance(body, bytes) else json.dumps(body).encode()
