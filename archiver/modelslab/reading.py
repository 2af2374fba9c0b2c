"""Reading: what a reply of the API means.

The spellings are of several ages, and old endpoints send their errors with status 200, so the
JSON is read before the HTTP status is trusted. Facts are tagged with where they come from: DOC
for the provider's documentation, SEEN for responses recorded by public client code, CLIENT for
what such code takes into account, INF for what is inferred from these.

Another spelling that turns up is one more row of a table here, or in `links` for a list.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Literal, TypeAlias

from archiver.http.retry_after import parse_reset, parse_retry_after, parse_seconds
from archiver.manifest.carried import carried_links
from archiver.modelslab.links import paired_outputs, primary_links, proxy_links
from archiver.modelslab.responses import (
    AccessDenied,
    GenerationFailed,
    HttpReply,
    NotFound,
    Processing,
    RateLimited,
    Ready,
    Rejected,
    Response,
    ServerError,
)
from archiver.units import printable

_OUTPUTS_LIMIT = 100
"""No generation has more outputs than this."""
_Source: TypeAlias = Literal["DOC", "SEEN", "CLIENT", "INF"]
_PARTS = ("data",)
"""A response may stand in one of these fields of another object. INF"""
_STATUS = ("status", "state")
_MESSAGE = ("message", "messege", "error", "detail")
_SUCCESS: dict[str, _Source] = {
    "success": "DOC",
    "ready": "CLIENT",
    "completed": "CLIENT",
    "succeeded": "CLIENT",
    "done": "CLIENT",
}
_PROCESSING: dict[str, _Source] = {
    "processing": "DOC",
    "queued": "DOC",
    "running": "DOC",
    "in_progress": "DOC",
    "generating": "INF",
    "initialized": "INF",
    "pending": "INF",
    "in_queue": "INF",
    "waiting": "INF",
    "starting": "INF",
}
_OUTPUTS: dict[str, _Source] = {
    "output": "DOC",
    "links": "DOC",
    "output_url": "CLIENT",
    "video": "CLIENT",
    "video_url": "INF",
}
"""The first of these that lists anything counts: never `future_links`, which are promises."""
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*(s|m|h|d)(?:ec|in|our|r|ay|\b)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

_DECODER = json.JSONDecoder(parse_constant=lambda _: None)

LINK_FIELDS = {*_OUTPUTS, "proxy_links"}
"""The fields that list links."""


def parse_json(body: bytes | bytearray) -> object:
    """Return a body's JSON, or None if it is not JSON; numbers that JSON lacks are None as well."""
    try:
        return _DECODER.decode(body.decode(json.detect_encoding(body), "surrogatepass"))
    except (ValueError, RecursionError):
        return None


def read_response(reply: HttpReply, document: object, id_: str, now: datetime) -> Response:
    """Return what the reply to a request about the generation `id_` means.

    `document` is what `parse_json` made of its body; a date in `Retry-After` is counted from `now`.
    """
    if document is None:
        return _without_json(reply, now)
    if not isinstance(document, dict):
        return _unusable(reply, "a JSON response that is not an object", now)
    fields = _Fields.of(document)
    if (other := fields.other_id(id_)) is not None:
        return Rejected(f"it is about generation {other}, not {id_}", usable=False)
    status = fields.status()
    if status in _SUCCESS:
        return _success(fields, document)
    if status in _PROCESSING:
        return Processing(parse_seconds(fields.first("eta")), carried_links(document))
    return _read_refusal(_Refusal.of(reply, fields, status, now))


@dataclass(frozen=True, slots=True)
class _Fields:
    """The fields of a response, which may be in an object in another: the outer one first."""

    parts: tuple[Mapping[str, object], ...]

    @classmethod
    def of(cls, document: Mapping[str, object]) -> "_Fields":
        inner = [document[name] for name in _PARTS if name in document]
        return cls((document, *(part for part in inner if isinstance(part, dict))))

    def values(self, *names: str) -> list[object]:
        """Return what the fields of these names hold, but for empty ones."""
        return [value for name in names for part in self.parts if (value := part.get(name))]

    def first(self, *names: str) -> object:
        return next(iter(self.values(*names)), None)

    def status(self) -> str:
        """Return the status in small letters, "" if there is none.

        Where there are several all of them must be a success to be one.
        """
        values = self.values(*_STATUS)
        words = [word for value in values if (word := _word(value))]
        numbers = [str(value) for value in values if isinstance(value, int)]
        others = [word for word in words if word not in _SUCCESS]
        return next(iter((*others, *words, *numbers)), "")

    def other_id(self, id_: str) -> str | None:
        """Return the ID of another generation that this is about, if it is."""
        for part in self.parts:
            if not _is_about(part.get("id"), id_):
                return printable(str(part["id"])[:128])
        return None


def _word(value: object) -> str:
    return _text(value).strip().lower().replace(" ", "_").replace("-", "_")


def _is_about(id_in_response: object, id_: str) -> bool:
    """Return whether a response is about `id_`; one without an ID is taken to be."""
    if isinstance(id_in_response, bool) or not isinstance(id_in_response, int | str):
        return True
    other = str(id_in_response).strip()[:129]
    return not id_in_response or other == id_ or other.lstrip("0") == id_.lstrip("0")


def _success(fields: _Fields, document: Mapping[str, object]) -> Response:
    """Only a success that lists every output is ready: lists filled earlier mean nothing. DOC."""
    primaries = _primaries(fields)
    proxies = proxy_links(fields.first("proxy_links"))
    if primaries is None or not (primaries or proxies):
        return Processing()
    if (most := max(len(primaries), len(proxies))) > _OUTPUTS_LIMIT:
        return Rejected(f"it has {most:,} links", usable=False)
    return Ready(paired_outputs(primaries, proxies), document)


def _primaries(fields: _Fields) -> list[str] | None:
    """Return the URL of each output, by the first field that lists any; None if one has none."""
    for value in fields.values(*_OUTPUTS):
        if (urls := primary_links(value)) != []:
            return urls
    return []


def _without_json(reply: HttpReply, now: datetime) -> Response:
    start = reply.body[:256].lstrip()
    if not start:
        return _unusable(reply, "an empty response", now)
    if start.startswith(b"<"):
        return _unusable(reply, "an HTML page instead of a response", now)
    return _unusable(reply, "a response that is not JSON", now)


def _unusable(reply: HttpReply, what: str, now: datetime) -> Response:
    """Without JSON only 429 means anything: a gateway's 401 or 404 is not about the key or ID."""
    wait = _wait_in_header(reply, now)
    message = f"{what} (HTTP {_phrase(reply.status)})"
    return RateLimited(message, wait) if reply.status == 429 else ServerError(message, wait)


def _phrase(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


# Refusals: responses with JSON that are neither a success nor processing.


@dataclass(frozen=True, slots=True)
class _Refusal:
    """What decides the meaning of a refusal."""

    http: int
    status: str
    message: str
    """Not the tip: tips advertise plans, whatever went wrong."""
    wait: float | None
    worded: bool = True
    """The message is the API's own."""

    @classmethod
    def of(cls, reply: HttpReply, fields: _Fields, status: str, now: datetime) -> "_Refusal":
        shown = repr(printable(status[:40])) if status else "missing"
        words = _message(fields)
        message = words or f"status {shown}, HTTP {reply.status}"
        wait = _requested_wait(reply, fields, message, now)
        return cls(reply.status, status, message, wait, bool(words))


_Condition: TypeAlias = Callable[[_Refusal], bool]
_Meaning: TypeAlias = Callable[[_Refusal], Response]


@dataclass(frozen=True, slots=True)
class _Row:
    """Refusals for which `when` is true mean what `means` returns."""

    when: _Condition
    means: _Meaning
    source: _Source


def _http(*statuses: int) -> _Condition:
    return lambda refusal: refusal.http in statuses


def _message_has(pattern: str) -> _Condition:
    return lambda refusal: re.search(pattern, refusal.message.lower()) is not None


def _rate_limited(refusal: _Refusal) -> Response:
    return RateLimited(refusal.message, refusal.wait, certain=refusal.http == 429)


def _key_rejected(refusal: _Refusal) -> Response:
    """A generation may have failed for want of credit long ago; HTTP 401 and 402 are of now."""
    by_status = refusal.http in (401, 402)
    certain = by_status or refusal.status != "failed"
    return AccessDenied(refusal.message, certain, in_words=not by_status)


def _access_denied(refusal: _Refusal) -> Response:
    by_status = refusal.http == HTTPStatus.FORBIDDEN and refusal.status != "failed"
    return AccessDenied(refusal.message, certain=False, in_words=not by_status)


def _status_missing(refusal: _Refusal) -> Response:
    message = f"a response without a status: {refusal.message} (HTTP {_phrase(refusal.http)})"
    return ServerError(message, refusal.wait, responded=refusal.worded)


def _status_unknown(refusal: _Refusal) -> Response:
    return Rejected(f"unknown status {printable(refusal.status[:40])!r}: {refusal.message}")


def _server_error(refusal: _Refusal) -> Response:
    return ServerError(refusal.message, refusal.wait, responded=True)


def _not_found(refusal: _Refusal) -> Response:
    return NotFound(refusal.message)


def _failed(refusal: _Refusal) -> Response:
    return GenerationFailed(refusal.message)


def _rejected(refusal: _Refusal) -> Response:
    return Rejected(refusal.message)


_TABLE = (
    _Row(_http(429), _rate_limited, "DOC"),
    _Row(_message_has(r"rate limit"), _rate_limited, "DOC"),
    _Row(_message_has(r"wait for \d"), _rate_limited, "DOC"),
    _Row(_message_has(r"try again (?:in|after) \d"), _rate_limited, "SEEN"),
    _Row(_message_has(r"too many"), _rate_limited, "INF"),
    _Row(_message_has(r"(?:parallel|concurrent) requests"), _rate_limited, "INF"),
    _Row(_message_has(r"queue is full"), _rate_limited, "INF"),
    _Row(_message_has(r"spam filter"), _rate_limited, "INF"),
    _Row(_http(401), _key_rejected, "DOC"),
    _Row(_http(402), _key_rejected, "DOC"),
    _Row(_message_has(r"invalid api[ _-]?key"), _key_rejected, "DOC"),
    _Row(_message_has(r"insufficient (?:api )?(?:credit|balance|fund)"), _key_rejected, "DOC"),
    _Row(_message_has(r"(?:monthly|credit) limit exceeded"), _key_rejected, "DOC"),
    _Row(
        _message_has(r"api[ _-]?key (?:is )?(?:invalid|missing|required|expired|disabled)"),
        _key_rejected,
        "INF",
    ),
    _Row(_message_has(r"^no query results for model"), _not_found, "INF"),
    _Row(_message_has(r"^(?:video|request|generation) not found\W*$"), _not_found, "DOC"),
    _Row(lambda refusal: not refusal.status, _status_missing, "INF"),
    _Row(lambda refusal: refusal.status == "maintenance", _server_error, "INF"),
    _Row(lambda refusal: refusal.status not in ("error", "failed"), _status_unknown, "INF"),
    _Row(
        lambda refusal: (
            refusal.status == "failed"
            and re.fullmatch(r"(?:generation )?failed(?:, try again)?\W*", refusal.message.lower())
            is not None
        ),
        _failed,
        "DOC",
    ),
    _Row(_http(403), _access_denied, "DOC"),
    _Row(_message_has(r"\bkey\b|token"), _access_denied, "INF"),
    _Row(_message_has(r"\busers?\b|account|customer"), _access_denied, "INF"),
    _Row(
        _message_has(r"access|permission|authori[sz]|authenticat|forbidden"), _access_denied, "INF"
    ),
    _Row(_message_has(r"subscri|\bplan\b|payment"), _access_denied, "INF"),
    _Row(_message_has(r"quota|(?:api|daily|usage) limit"), _access_denied, "INF"),
    _Row(lambda refusal: refusal.http >= 500, _server_error, "DOC"),
    _Row(_message_has(r"server|internal|time(?:d )?out"), _server_error, "INF"),
    _Row(_message_has(r"unavailable|overload|maintenance|busy|later"), _server_error, "INF"),
    _Row(_message_has(r"database|sqlstate|exception|worker|connection"), _server_error, "INF"),
    _Row(
        _message_has(
            r"(?:request|generation|task|job|\bid\b)[^.]{0,40}"
            r"(?:not found|could not be found|does(?: not|n't) exist)"
        ),
        _not_found,
        "SEEN",
    ),
    _Row(_message_has(r"no (?:such )?(?:request|generation|task|job)\b"), _not_found, "INF"),
    _Row(_message_has(r"^not found\W*$"), _not_found, "INF"),
    _Row(lambda refusal: refusal.status == "failed", _failed, "INF"),
    _Row(lambda _: True, _rejected, "DOC"),
)
"""The first row that fits counts. Another message that turns up is one more row."""


def _read_refusal(refusal: _Refusal) -> Response:
    return next(row.means(refusal) for row in _TABLE if row.when(refusal))


def _requested_wait(reply: HttpReply, fields: _Fields, message: str, now: datetime) -> float | None:
    """Return for how long to pause: by a header, else the field, else the words."""
    if (seconds := parse_retry_after(reply.retry_after, now)) is not None:
        return seconds
    if (seconds := parse_seconds(fields.first("retry_after"))) is not None:
        return seconds
    if (seconds := _wait_in_header(reply, now)) is not None:
        return seconds
    for words in (message, _text(fields.first("tip", "tips"))):
        if duration := _DURATION.search(words.lower()):
            return parse_seconds(float(duration[1]) * _SECONDS[duration[2]])
    return None


def _wait_in_header(reply: HttpReply, now: datetime) -> float | None:
    """`Retry-After` counts most; when a limit is reset only matters to who has reached it."""
    if (seconds := parse_retry_after(reply.retry_after, now)) is not None:
        return seconds
    return parse_reset(reply.rate_limit_reset, now) if reply.status == 429 else None


def _message(fields: _Fields) -> str:
    texts = (_text(value) for value in fields.values(*_MESSAGE))
    return next((text[:500] for text in texts if text), "")


def _text(value: object, depth: int = 3) -> str:
    """Flatten a message into one line for people: it may be an object of lists. DOC."""
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
