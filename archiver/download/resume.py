"""Resuming: which response goes on with a partial file (RFC 9110, sections 8.8, 13.1.5 and 14)."""

import hashlib
import re
from datetime import timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import aiohttp
from yarl import URL

from archiver.archive.partial_file import Origin, PartialFile, this_boot

_WORTH_RESUMING = 256 << 10
"""A file of fewer bytes is fetched anew: asking for its rest costs as much."""
_SURELY_OLDER = timedelta(seconds=60)
"""A Last-Modified this long before Date is a strong validator (RFC 9110, 8.8.2.2)."""
_STRONG_TAG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"')
_CONTENT_RANGE = re.compile(r"bytes [0-9]+-[0-9]+/([0-9]{1,18})")


def range_headers(partial: PartialFile, url: URL) -> dict[str, str]:
    """Return the headers that ask for the rest of a partial file, if it is still the same file."""
    origin = partial.origin
    if not origin or not partial.bytes or origin.place not in ("", _place(url)):
        return {}
    return {"Range": f"bytes={partial.bytes}-", "If-Range": origin.validator}


def continues(response: aiohttp.ClientResponse, partial: PartialFile) -> bool:
    """Return whether a response is the rest of a partial file: its range and its validator fit."""
    origin = partial.origin
    if response.status != HTTPStatus.PARTIAL_CONTENT or not origin:
        return False
    total, headers = total_length(response), response.headers
    expected = f"bytes {partial.bytes}-{(total or 0) - 1}/{total}"
    if headers.getall("Content-Range", []) != [expected]:
        return False
    if origin.length not in (None, total) or "Content-Encoding" in headers:
        return False
    tags, dates = headers.getall("ETag", []), headers.getall("Last-Modified", [])
    if origin.place:  # the host that gave a date need not repeat it; no other host's date holds
        return not tags and dates in ([], [origin.validator])
    return tags == [origin.validator]


def total_length(response: aiohttp.ClientResponse) -> int | None:
    """Return the length of the whole file that a partial response is a range of."""
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    return int(match[1]) if match else None


def origin_of(response: aiohttp.ClientResponse, url: URL) -> Origin | None:
    """Return by which validator this response can be resumed later, if by any."""
    length = response.content_length
    if length is not None and length < _WORTH_RESUMING:
        return None
    if response.headers.get("Accept-Ranges", "").strip().lower() == "none":
        return None
    tag = response.headers.get("ETag", "")
    if _STRONG_TAG.fullmatch(tag):
        return Origin(tag, "", length, this_boot())
    modified = response.headers.get("Last-Modified", "")
    if _is_strong_date(modified, response.headers.get("Date", "")):
        return Origin(modified, _place(url), length, this_boot())
    return None


def _is_strong_date(modified: str, date: str) -> bool:
    try:
        return parsedate_to_datetime(date) - parsedate_to_datetime(modified) >= _SURELY_OLDER
    except (ValueError, TypeError, OverflowError):
        return False


def _place(url: URL) -> str:
    return hashlib.sha256(str(url.with_query(None)).encode()).hexdigest()[:16]
