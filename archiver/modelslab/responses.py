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

from archiver.units import printable

BODY_LIMIT = 1 << 20
"""No response is longer than this many bytes; one that is, is not read."""
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
    """The generation is finished; `document` is the response as it came."""

    outputs: tuple[Output, ...]
    document: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Processing:
    """Still being made; `eta` is the provider's guess in seconds."""

    eta: float | None = None


@dataclass(frozen=True, slots=True)
class GenerationFailed:
    """ModelsLab could not make it; `certain` if it said so in the words that are documented."""

    message: str
    certain: bool


@dataclass(frozen=True, slots=True)
class NotFound:
    """ModelsLab knows no such generation."""

    message: str


@dataclass(frozen=True, slots=True)
class AccessDenied:
    """The key is not accepted, or its account may not do this or has no credit.

    Only if it is `certain` is it about the key as such, and not about one generation or endpoint.
    """

    message: str
    certain: bool


@dataclass(frozen=True, slots=True)
class RateLimited:
    """Asked too often; `wait` is for how many seconds not to ask, where that was said.

    Only if it is `certain` is it about the account as such: a generation may have such words for
    a message of its own.
    """

    message: str
    wait: float | None = None
    certain: bool = True


@dataclass(frozen=True, slots=True)
class Rejected:
    """The API answered and will not help with this generation; asking again now is no use."""

    message: str


@dataclass(frozen=True, slots=True)
class ServerError:
    """No response that can be used: the server's or the network's trouble, worth another try."""

    message: str
    wait: float | None = None
    silent: bool = False
    """There was no reply at all."""


Response: TypeAlias = (
    Ready
    | Processing
    | GenerationFailed
    | NotFound
    | AccessDenied
    | RateLimited
    | Rejected
    | ServerError
)

_WAITING = {"processing", "queued", "pending", "in_queue", "waiting", "starting"}
_THROTTLED = re.compile(
    r"rate limit|too many|queue is full|try again (?:in|after) \d|wait for \d|spam filter"
)
_REFUSED = re.compile(
    r"invalid api[ _-]?key|api[ _-]?key (?:is )?(?:invalid|missing|required|expired|disabled)"
    r"|insufficient (?:api )?(?:credit|balance|fund)|(?:monthly|credit) limit exceeded"
)
_DENIED = re.compile(
    r"\bkey\b|token|\busers?\b|account|customer|access|permission|authori[sz]|authenticat"
    r"|forbidden|subscri|\bplan\b|payment|quota|(?:api|daily|usage) limit"
)
_OVERLOADED = re.compile(
    r"server|internal|time(?:d )?out|unavailable|overload|maintenance|busy|later|database|sqlstate"
    r"|exception|worker|connection"
)
_NOT_FOUND = re.compile(
    r"(?:request|generation|task|job|\bid\b)[^.]{0,40}"
    r"(?:not found|could not be found|does(?: not|n't) exist)"
    r"|no (?:such )?(?:request|generation|task|job)\b|^not found\W*$"
)
_FAILED = re.compile(r"(?:generation )?failed(?:, try again)?\W*", re.IGNORECASE)
_SPAN = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*(s|m|h|d)(?:ec|in|our|r|ay|\b)")
_LONGEST = 366 * 86400.0
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse(body: bytes) -> object:
    """Return the JSON of a response, and None if it has none; numbers that JSON lacks are None."""
    try:
        return json.loads(body, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None


def read_response(reply: Reply, document: object, id_: str, now: datetime) -> Response:
    """Say what a reply to a question about the generation `id_` means.

    `document` is what `parse` made of its body, `now` what a `Retry-After` date is counted from.
    """
    if document is None:
        return _without_json(reply, now)
    if not isinstance(document, dict):
        return _nonsense(reply, "a JSON response that is not an object", now)
    if not _is_about(document.get("id"), id_):
        other = printable(str(document["id"])[:128])
        return Rejected(f"the response is about generation {other}, not {id_}")
    match str(document.get("status", "")).strip().lower():
        case "success":
            return _ready(document)
        case status if status in _WAITING:
            return Processing(_seconds(document.get("eta")))
        case status:
            return _refusal(reply, document, status, now)


def _is_about(answered: object, id_: str) -> bool:
    """Tell whether the ID in a response speaks of `id_`, or of nothing at all."""
    if isinstance(answered, bool) or not isinstance(answered, int | str) or not answered:
        return True
    said = str(answered).strip()[:129]
    return said == id_ or said.lstrip("0") == id_.lstrip("0")


def _ready(document: dict[str, object]) -> Response:
    entries = _entries(document.get("output"))
    proxies = list(dict.fromkeys(_urls(document.get("proxy_links"))))
    if not all(entries) or not (entries or proxies):
        return Processing()
    primaries = list(dict.fromkeys(entry[0] for entry in entries))
    if (most := max(len(primaries), len(proxies))) > OUTPUTS_LIMIT:
        return Rejected(f"the response lists {most:,} links")
    return Ready(tuple(_paired(primaries, proxies)), document)


def _paired(primaries: list[str], proxies: list[str]) -> Iterator[Output]:
    """Give each primary its proxies; where there are only proxies, they serve."""
    for place, primary in enumerate(primaries):
        others = (url for url in _proxies_of(place, primaries, proxies) if url != primary)
        yield Output((Link(primary, "primary"), *(Link(url, "proxy") for url in others)))
    if not primaries:
        by_path: dict[str, list[Link]] = {}
        for url in proxies:
            by_path.setdefault(link_path(url), []).append(Link(url, "proxy"))
        yield from (Output(tuple(links)) for links in by_path.values())


def _proxies_of(place: int, primaries: list[str], proxies: list[str]) -> list[str]:
    """Pair by the last part of the path where that tells them apart, else by place.

    For a single output every proxy is a candidate. Where some names tell whose proxy is whose,
    a place tells nothing: a wrong pair would archive one video as another.
    """
    if len(primaries) == 1:
        return proxies
    name, names = _file_name(primaries[place]), [_file_name(url) for url in primaries]
    others = [_file_name(url) for url in proxies]
    if names.count(name) == 1 and name in others:
        return [url for url in proxies if _file_name(url) == name]
    by_place = set(names).isdisjoint(others) or len({*names, *others}) == 1
    return [proxies[place]] if by_place and len(names) == len(others) else []


def _file_name(url: str) -> str:
    return link_path(url).rpartition("/")[2]


def link_path(url: str) -> str:
    """Return a link's path: not its query, which changes when it is signed anew, nor its host."""
    try:
        return urlsplit(url).path
    except ValueError:
        return url


def _entries(value: object) -> list[list[str]]:
    """Return the URLs of each output: a list, one URL, or objects that hold URLs all occur."""
    if not isinstance(value, list):
        return [_urls(value)] if value else []
    return [
        entry
        for item in value
        for entry in (_entries(item) if isinstance(item, list) else [_urls(item)])
    ]


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


def _refusal(  # noqa: PLR0911 (a line for each thing a refusal can mean)
    reply: Reply, document: dict[str, object], status: str, now: datetime
) -> Response:
    """Classify by the message alone: tips advertise plans, whatever went wrong.

    What cannot be undone, a loss, takes the words that are documented for it.
    """
    shown = repr(printable(status[:40])) if status else "missing"
    message = _message(document) or f"status {shown}, HTTP {reply.status}"
    said, wait = message.lower(), _asked_wait(reply, document, message, now)
    if reply.status == 429 or _THROTTLED.search(said):
        return RateLimited(message, wait, certain=reply.status == 429)
    if reply.status in (401, 402) or _REFUSED.search(said):
        return AccessDenied(message, certain=reply.status in (401, 402) or status != "failed")
    if status not in ("error", "failed"):
        return _unknown_status(status, message, reply)
    if _FAILED.fullmatch(message) and status == "failed":
        return GenerationFailed(message, certain=True)
    if reply.status == 403 or _DENIED.search(said):
        return AccessDenied(message, certain=False)
    if reply.status >= 500 or _OVERLOADED.search(said):
        return ServerError(message, wait)
    if _NOT_FOUND.search(said):
        return NotFound(message)
    return GenerationFailed(message, certain=False) if status == "failed" else Rejected(message)


def _unknown_status(status: str, message: str, reply: Reply) -> Response:
    if status:
        return Rejected(f"unknown status {printable(status[:40])!r}: {message}")
    return _nonsense(reply, f"a response without a status: {message}", None)


def _without_json(reply: Reply, now: datetime) -> Response:
    start = reply.body[:256].lstrip()
    if not start:
        return _nonsense(reply, "an empty response", now)
    if start.startswith(b"<"):
        return _nonsense(reply, "an HTML page instead of a response", now)
    return _nonsense(reply, "a response that is not JSON", now)


def _nonsense(reply: Reply, what: str, now: datetime | None) -> Response:
    """Without words only the status speaks: a gateway's 401 or 404 says nothing about the key."""
    try:
        phrase = f"{reply.status} {HTTPStatus(reply.status).phrase}"
    except ValueError:
        phrase = str(reply.status)
    wait = header_seconds(reply.retry_after, now) if now else None
    if reply.status == 429:
        return RateLimited(f"{what} (HTTP {phrase})", wait)
    return ServerError(f"{what} (HTTP {phrase})", wait)


def _message(document: Mapping[str, object]) -> str:
    for spelling in ("message", "messege", "error", "detail"):
        if text := _text(document.get(spelling)):
            return text[:500]
    return ""


def _text(value: object, depth: int = 3) -> str:
    """Flatten a message for people: it may be an object of lists."""
    match value:
        case str():
            return printable(" ".join(value[:2000].split())[:500])
        case list() if depth:
            return "; ".join(filter(None, (_text(item, depth - 1) for item in value[:20])))
        case dict() if depth:
            pairs = ((str(k)[:40], _text(v, depth - 1)) for k, v in list(value.items())[:20])
            return "; ".join(f"{name}: {text}" for name, text in pairs if text)
        case _:
            return ""


def _asked_wait(
    reply: Reply, document: Mapping[str, object], message: str, now: datetime
) -> float | None:
    """Return for how long not to ask: by the header, else the field, else the words."""
    if (seconds := header_seconds(reply.retry_after, now)) is not None:
        return seconds
    if (seconds := _seconds(document.get("retry_after"))) is not None:
        return seconds
    for words in (message, _text(document.get("tip") or document.get("tips"))):
        if span := _SPAN.search(words.lower()):
            return _seconds(float(span[1]) * _SECONDS[span[2]])
    return None


def header_seconds(value: str | None, now: datetime) -> float | None:
    """Read `Retry-After` (RFC 9110, 10.2.3): seconds or a date."""
    if value is None:
        return None
    if (seconds := _seconds(value)) is not None:
        return seconds
    try:
        date = parsedate_to_datetime(value)
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        return max(0.0, (date - now).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def _seconds(value: object) -> float | None:
    if not isinstance(value, int | float | str) or isinstance(value, bool):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return min(seconds, _LONGEST) if math.isfinite(seconds) and seconds >= 0 else None
