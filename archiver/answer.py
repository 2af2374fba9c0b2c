"""What the API said about a generation, read by its meaning.

The provider's answers come in several generations of spelling, and old endpoints send their
errors with status 200, so the JSON is read before the HTTP status is believed.
Source: the provider's documentation of the *Fetch Queued Request* endpoints and its samples.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

BODY_LIMIT = 1 << 20
"""No answer is longer than this many bytes; one that is, is not read."""
OUTPUTS_LIMIT = 100
"""No generation has more outputs than this."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came over the wire: nothing in it is understood yet."""

    status: int
    body: bytes
    retry_after: str | None = None
    """The header of that name."""


@dataclass(frozen=True, slots=True)
class Link:
    """Where the payload of an output may be had."""

    url: str
    role: Literal["primary", "proxy"]


@dataclass(frozen=True, slots=True)
class Output:
    """One video of a generation; its links in the order in which to try them."""

    links: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class Ready:
    """The generation is finished; `document` is the answer as it came."""

    outputs: tuple[Output, ...]
    document: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Processing:
    """Still being made; `eta` is the provider's guess in seconds."""

    eta: float | None = None


@dataclass(frozen=True, slots=True)
class GenerationFailed:
    """ModelsLab could not make it, and never will."""

    message: str


@dataclass(frozen=True, slots=True)
class NotFound:
    """ModelsLab knows no such generation."""

    message: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The key is not accepted, or its account may not do this or has no credit."""

    message: str


@dataclass(frozen=True, slots=True)
class Throttled:
    """Asked too often; `wait` is for how many seconds not to ask, where that was said."""

    message: str
    wait: float | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """The API answered and will not help with this generation; asking again now is no use."""

    message: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """No answer that can be used: the server's or the network's trouble, worth another try."""

    message: str
    wait: float | None = None


Answer: TypeAlias = (
    Ready | Processing | GenerationFailed | NotFound | Refused | Throttled | Rejected | Trouble
)

_WAITING = {"processing", "queued", "pending", "in_queue", "waiting", "starting"}
_THROTTLED = re.compile(r"rate limit|too many requests|try again (?:in|after) \d|wait for \d|spam")
_REFUSED = re.compile(
    r"insufficient|\bcredits?\b|limit exceeded|balance"
    r"|invalid (?:api[ _-]?)?key|api[ _-]?key (?:is )?(?:invalid|wrong|missing|expired|disabled)"
    r"|unauthori[sz]ed|unauthenticated|subscri(?:be|ption)|your (?:current )?plan"
)
_NOT_FOUND = re.compile(r"not found|could not be found|does(?: not|n't) exist|no such")
_NOT_ABOUT_THE_ID = re.compile(r"route|endpoint|\burl\b|page|model\b|method")
_OVERLOADED = re.compile(r"server|time(?:d )?out|unavailable|overload|maintenance|busy")
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)(?:ec|in|our|r|ay|\b)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def read_answer(reply: Reply, id_: str, now: datetime) -> Answer:
    """Say what a reply to a question about the generation `id_` means.

    `now` is what a `Retry-After` date is counted from.
    """
    try:
        document = json.loads(reply.body, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return _without_json(reply, now)
    if not isinstance(document, dict):
        return _trouble(reply, "a JSON answer that is not an object", now)
    answered_id = document.get("id")
    if answered_id not in (None, "") and str(answered_id) != id_:
        return Trouble(f"the answer is about generation {str(answered_id)[:128]!r}, not {id_!r}")
    match str(document.get("status", "")).strip().lower():
        case "success":
            return _ready(document)
        case status if status in _WAITING:
            return Processing(_seconds(document.get("eta")))
        case status:
            return _refusal(reply, document, status, now)


def _ready(document: dict[str, object]) -> Answer:
    entries = _entries(document.get("output"))
    proxies = list(dict.fromkeys(_urls(document.get("proxy_links"))))
    if not all(entries) or not (entries or proxies):
        return Processing()
    if max(len(entries), len(proxies)) > OUTPUTS_LIMIT:
        return Rejected(f"the answer lists {max(len(entries), len(proxies)):,} links")
    primaries = list(dict.fromkeys(entry[0] for entry in entries))
    return Ready(tuple(_paired(primaries, proxies)), document)


def _paired(primaries: list[str], proxies: list[str]) -> Iterator[Output]:
    """Give each primary its proxies: by place, else by the last part of their paths.

    For a single output every proxy is a candidate; where there are only proxies, they serve.
    """
    for place, primary in enumerate(primaries):
        candidates = [p for p in proxies if _file_name(p) == _file_name(primary)]
        if len(primaries) == 1:
            candidates = proxies
        elif len(primaries) == len(proxies):
            candidates = [proxies[place]]
        others = (Link(url, "proxy") for url in candidates if url != primary)
        yield Output((Link(primary, "primary"), *others))
    if not primaries:
        by_name: dict[str, list[Link]] = {}
        for url in proxies:
            by_name.setdefault(_file_name(url), []).append(Link(url, "proxy"))
        yield from (Output(tuple(links)) for links in by_name.values())


def _file_name(url: str) -> str:
    try:
        return urlsplit(url).path.rpartition("/")[2]
    except ValueError:
        return url


def _entries(value: object) -> list[list[str]]:
    """Return the URLs of each output: a list, one URL, or objects that hold URLs all occur."""
    items = value if isinstance(value, list) else [value] if value else []
    return [_urls(item) for item in items]


def _urls(value: object, depth: int = 3) -> list[str]:
    match value:
        case str() if value.strip():
            return [value.strip()]
        case list() if depth:
            return [url for item in value for url in _urls(item, depth - 1)]
        case dict() if depth:
            found = [url for item in value.values() for url in _urls(item, depth - 1)]
            return [url for url in found if re.match(r"https?://", url, re.IGNORECASE)]
        case _:
            return []


def _refusal(reply: Reply, document: dict[str, object], status: str, now: datetime) -> Answer:
    """Classify by the message alone: tips advertise plans, whatever went wrong."""
    message = _message(document) or f"status {status or 'missing'!r}, HTTP {reply.status}"
    said = message.lower()
    if reply.status == 429 or _THROTTLED.search(said):
        return Throttled(message, _asked_wait(reply, document, said, now))
    if reply.status in (401, 402, 403) or _REFUSED.search(said):
        return Refused(message)
    if reply.status >= 500 or _OVERLOADED.search(said):
        return Trouble(message, _header_seconds(reply.retry_after, now))
    if status not in ("error", "failed"):
        return _unknown_status(status, message, reply)
    if reply.status == 404 or _NOT_FOUND.search(said):
        return NotFound(message) if not _NOT_ABOUT_THE_ID.search(said) else Trouble(message)
    return GenerationFailed(message) if status == "failed" else Rejected(message)


def _unknown_status(status: str, message: str, reply: Reply) -> Answer:
    if status:
        return Rejected(f"unknown status {status[:40]!r}: {message}")
    return Trouble(f"an answer without a status (HTTP {reply.status}): {message}")


def _without_json(reply: Reply, now: datetime) -> Answer:
    start = reply.body[:256].lstrip().lower()
    if not start:
        return _trouble(reply, "an empty answer", now)
    if start.startswith(b"<"):
        return _trouble(reply, "an HTML page instead of an answer", now)
    return _trouble(reply, "an answer that is not JSON", now)


def _trouble(reply: Reply, what: str, now: datetime) -> Answer:
    """Without JSON only the status speaks: a gateway's 401 or 404 says nothing about the key."""
    try:
        phrase = f"{reply.status} {HTTPStatus(reply.status).phrase}"
    except ValueError:
        phrase = str(reply.status)
    wait = _header_seconds(reply.retry_after, now)
    if reply.status == 429:
        return Throttled(f"{what} (HTTP {phrase})", wait)
    return Trouble(f"{what} (HTTP {phrase})", wait)


def _message(document: Mapping[str, object]) -> str:
    for spelling in ("message", "messege", "error", "detail"):
        if text := _text(document.get(spelling)):
            return text
    return ""


def _text(value: object, depth: int = 3) -> str:
    """Flatten a message for people: it may be an object of lists."""
    match value:
        case str():
            return " ".join(value.split())[:500]
        case list() if depth:
            return "; ".join(filter(None, (_text(item, depth - 1) for item in value[:20])))
        case dict() if depth:
            pairs = ((str(k)[:40], _text(v, depth - 1)) for k, v in list(value.items())[:20])
            return "; ".join(f"{name}: {text}" for name, text in pairs if text)
        case _:
            return ""


def _asked_wait(
    reply: Reply, document: Mapping[str, object], said: str, now: datetime
) -> float | None:
    waits = [_header_seconds(reply.retry_after, now), _seconds(document.get("retry_after"))]
    if span := _SPAN.search(f"{said} {_text(document.get('tip') or document.get('tips'))}".lower()):
        waits.append(float(span[1]) * _SECONDS[span[2]])
    return max((wait for wait in waits if wait is not None), default=None)


def _header_seconds(value: str | None, now: datetime) -> float | None:
    """Read `Retry-After` (RFC 9110, 10.2.3): seconds or a date."""
    if value is None:
        return None
    if (seconds := _seconds(value)) is not None:
        return seconds
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - now).total_seconds())


def _seconds(value: object) -> float | None:
    if not isinstance(value, int | float | str) or isinstance(value, bool):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
