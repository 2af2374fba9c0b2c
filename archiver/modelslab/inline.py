"""Inline payloads: videos that a response contains itself, as `data:` URLs (RFC 2397).

In the document a name takes the place of each, which shows what was there::

    data:video/mp4 (64000 bytes), SHA-256 5e88…

so that neither a message, a log nor the sidecar has the bytes a second time. A name means the
same output again when the document is read on a later run; people are shown it up to the comma.
"""

import binascii
import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from archiver.apikey import MAX_DEPTH
from archiver.outputs import Inline, Output

LONG = 1 << 16
"""A `data:` URL that is longer than this is named wherever it is."""
_DATA_URL = re.compile(r"\s*data:", re.IGNORECASE)
_IN_JSON = re.compile(rb'(?<!\\)"\s*+data:[^"]{1000,}+', re.IGNORECASE)
_MEDIA_TYPE = re.compile(r"\s*data:\s*([a-z0-9.+-]{1,40}/[a-z0-9.+-]{1,40})", re.IGNORECASE)
_ESCAPES = re.compile(rb"(?:%[0-9A-Fa-f]{2})+")
_FROM_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_SLICE = 1 << 16


@dataclass(frozen=True, slots=True)
class Extraction:
    """A document without the payloads in it, and these by their names."""

    document: object
    payloads: Mapping[str, bytes] = field(repr=False)


def may_be_in(body: bytes | bytearray) -> bool:
    """Return whether JSON may have a `data:` URL in it; most has none, surely."""
    # It may be encoded in JSON, or as UTF-16.
    return b"data:" in body.lower() or b"\\u" in body or b"\0" in body


def extract(document: object, link_fields: Collection[str]) -> Extraction:
    """Name each `data:` URL in fields that list links, and long ones everywhere."""
    payloads: dict[str, bytes] = {}
    return Extraction(_named(document, link_fields, payloads), payloads)


def attached(outputs: tuple[Output, ...], payloads: Mapping[str, bytes]) -> tuple[Output, ...]:
    """Return the outputs, whose links that are names have their payloads."""

    def attach(output: Output) -> Output:
        links = (
            replace(link, inline=Inline(payloads[link.url])) if link.url in payloads else link
            for link in output.links
        )
        return replace(output, links=tuple(links))

    return tuple(map(attach, outputs)) if payloads else outputs


def size_outside(body: bytes | bytearray) -> int:
    """Return how many bytes of a body in JSON, whole or not, are not in long `data:` URLs."""
    return len(body) - sum(match.end() - match.start() for match in _IN_JSON.finditer(body))


def _named(
    value: object,
    link_fields: Collection[str],
    payloads: dict[str, bytes],
    limit: int = LONG,
    depth: int = MAX_DEPTH,
) -> object:
    match value:
        case str() if len(value) > limit and _DATA_URL.match(value):
            return _name(value, payloads)
        case list() if depth:
            return [_named(item, link_fields, payloads, limit, depth - 1) for item in value]
        case dict() if depth:
            limits = {name: 0 if name in link_fields else limit for name in value}
            return {
                name: _named(item, link_fields, payloads, limits[name], depth - 1)
                for name, item in value.items()
            }
        case _:
            return value


def _name(url: str, payloads: dict[str, bytes]) -> str:
    media_type = _MEDIA_TYPE.match(url)
    prefix = f"data:{media_type[1].lower() if media_type else ''}"
    payload = _decoded(url)
    if payload is None:
        digest = hashlib.sha256(url.encode(errors="replace")).hexdigest()
        return f"{prefix} ({len(url)} characters), SHA-256 {digest}"
    name = f"{prefix} ({len(payload)} bytes), SHA-256 {hashlib.sha256(payload).hexdigest()}"
    payloads[name] = payload
    return name


def _decoded(url: str) -> bytes | None:
    """Return the bytes of a `data:` URL, or None if it is not a correct one."""
    head, comma, text = url.partition(",")
    if not comma:
        return None
    try:
        data = text.encode()
        data = b"".join(_unquoted(data)) if b"%" in data else data
        return _from_base64(data) if head.rstrip().lower().endswith(";base64") else data
    except ValueError:
        return None


def _from_base64(data: bytes) -> bytes:
    """Decode base64, in its URL-safe alphabet too, with line breaks, with or without padding.

    Raises:
        ValueError: if it is something else.
    """
    plain = data.translate(_FROM_URL_SAFE, b" \t\r\n")
    return binascii.a2b_base64(plain + b"=" * (-len(plain) % 4), strict_mode=True)


def _unquoted(data: bytes) -> Iterator[bytes]:
    """Yield what percent-encoded bytes are, in slices: decoding takes many times its memory."""
    begin = 0
    while begin < len(data):
        end = begin + _SLICE
        cut = data.rfind(b"%", end - 2, end)  # an escape is in one slice
        end = cut if cut > begin else end
        yield _ESCAPES.sub(_unescaped, data[begin:end])
        begin = end


def _unescaped(escapes: re.Match[bytes]) -> bytes:
    return binascii.a2b_hex(escapes[0].replace(b"%", b""))
