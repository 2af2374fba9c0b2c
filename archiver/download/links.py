"""Links: as they are requested, and as people may see them."""

import re

from yarl import URL

from archiver.apikey import REDACTED
from archiver.download.faults import TransferError
from archiver.http.urls import to_the_letter
from archiver.outputs import Link
from archiver.units import printable


def parse(link: Link) -> URL:
    """Return the URL to request.

    Raises:
        TransferError: if it is none that can be, or contains the API key.
    """
    if REDACTED in link.url:
        raise TransferError("not followed: the link contains the API key")
    try:
        url = to_the_letter(link.url)
        followable = url.scheme in ("http", "https") and url.host
    except ValueError:
        raise TransferError("not a link") from None
    if not followable:
        raise TransferError("not an http(s) link")
    return url


def shown(link: Link) -> str:
    """Return the link for people: without its query, user, password and data."""
    scheme, colon, rest = link.url.partition(":")
    slashes = rest[: len(rest) - len(rest.lstrip("/\\"))]
    place = rest.removeprefix(slashes).rpartition("@")[2]
    ends = "[?#,]" if scheme.lower() == "data" else "[?#]"
    plain = re.split(ends, f"{scheme}{colon}{slashes}{place}")[0]
    return printable(plain[:300])
