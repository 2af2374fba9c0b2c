"""Resuming: which response goes on with a partial file (RFC 9110, sections 8.8, 13.1.5 and 14)."""

import hashlib
import re
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import aiohttp
from yarl import URL

from archiver.archive.partial_file import Origin, PartialFile, this_boot

WORTH_RESUMING = 256 << 10
"""A file of fewer bytes is fetched anew: asking for its rest costs as much."""
_SURELY_OLDER = timedelta(seconds=60)
"""A Last-Modified this long before Date is a strong validator (RFC 9110, 8.8.2.2)."""
_STRONG_TAG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"')
_NUMBER = r"(0|[1-9][0-9]{0,17})"
_CONTENT_RANGE = re.compile(rf"bytes {_NUMBER}-{_NUMBER}/(?:{_NUMBER}|\*)", re.IGNORECASE)
_NO_CODING = frozenset(("", "identity", "aws-chunked", "binary"))
"""What servers call it when the bytes are those of the file."""


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes of a file that a partial response has, from `start` to before `stop`."""

    start: int
    stop: int
    total: int | None
    """The length of the whole file, where it is given."""


def range_headers(partial: PartialFile, url: URL) -> dict[str, str]:
    """Return the headers that ask for the rest of a partial file, if it is still the same file.

    A client that has an entity tag, if only a weak one, must not send a date on that condition
    (RFC 9110, 13.1.5): what the response says of itself then decides.
    """
    origin = partial.origin
    if not origin or not partial.bytes or origin.place not in ("", _place(url)):
        return {}
    headers = {"Range": f"bytes={partial.bytes}-"}
    return headers if origin.tag else headers | {"If-Range": origin.validator}


def continues(response: aiohttp.ClientResponse, partial: PartialFile) -> bool:
    """Return whether a response goes on with a partial file: its range and its validator fit.

    It may have less than all of the rest.
    """
    origin, span = partial.origin, content_range(response)
    if not origin or not span or span.start != partial.bytes:
        return False
    totals = {origin.length, span.total} - {None}
    if len(totals) > 1 or any(total is not None and span.stop > total for total in totals):
        return False
    return not _is_encoded(response) and _has_validator(response, origin)


def is_all(response: aiohttp.ClientResponse, partial: PartialFile) -> bool:
    """Return whether a response says that nothing is missing: no byte follows in this very file."""
    origin = partial.origin
    return (
        response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
        and origin is not None
        and origin.length in (None, partial.bytes)
        and "If-Range" in response.request_info.headers  # so it is the same file
        and response.headers.getall("Content-Range", []) == [f"bytes */{partial.bytes}"]
    )


def is_whole(response: aiohttp.ClientResponse) -> bool:
    """Return whether a partial response has all of a file: some servers send no other."""
    span = content_range(response)
    return span is not None and span.start == 0 and span.stop == span.total


def content_range(response: aiohttp.ClientResponse) -> Span | None:
    """Return which bytes a partial response has, if it is one, and of one range."""
    if response.status != HTTPStatus.PARTIAL_CONTENT:
        return None
    match response.headers.getall("Content-Range", []):
        case [value] if found := _CONTENT_RANGE.fullmatch(value.strip()):
            start, last, total = found.groups()
            span = Span(int(start), int(last) + 1, int(total) if total else None)
            return span if span.start < span.stop else None
    return None


def origin_of(response: aiohttp.ClientResponse, url: URL) -> Origin | None:
    """Return by which validator this response can be resumed later, if by any."""
    length = response.content_length
    if length is not None and length < WORTH_RESUMING:
        return None
    if response.headers.get("Accept-Ranges", "").strip().lower() == "none":
        return None
    tag = response.headers.get("ETag", "")
    if _STRONG_TAG.fullmatch(tag):
        return Origin(tag, "", length, this_boot())
    modified = response.headers.get("Last-Modified", "")
    if _is_strong_date(modified, response.headers.get("Date", "")):
        return Origin(modified, _place(url), length, this_boot(), tag)
    return None


def _has_validator(response: aiohttp.ClientResponse, origin: Origin) -> bool:
    tags = response.headers.getall("ETag", [])
    if not origin.place:
        return tags == [origin.validator]
    dates = response.headers.getall("Last-Modified", [])
    if origin.tag:  # then the date was no condition: it must be there
        return tags in ([], [origin.tag]) and dates == [origin.validator]
    # The host that gave a date need not repeat it; no other host's date holds.
    return not tags and dates in ([], [origin.validator])


def _is_encoded(response: aiohttp.ClientResponse) -> bool:
    """Return whether the bytes are other than those of the file; a charset changes none."""
    values = ",".join(response.headers.getall("Content-Encoding", []))
    codings = {coding.strip().lower() for coding in values.split(",")} - _NO_CODING
    return not all(map(_is_charset, codings))


def _is_charset(name: str) -> bool:
    try:
        "a".encode(name)
    except (LookupError, ValueError):
        return False
    return True


def _is_strong_date(modified: str, date: str) -> bool:
    try:
        return parsedate_to_datetime(date) - parsedate_to_datetime(modified) >= _SURELY_OLDER
    except (ValueError, TypeError, OverflowError):
        return False


def _place(url: URL) -> str:
    return hashlib.sha256(str(url.with_query(None)).encode()).hexdigest()[:16]
