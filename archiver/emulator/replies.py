"""Replies, written byte by byte: also those that no well-behaved server would send."""

import asyncio
import re
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Literal

from aiohttp import web

from archiver.emulator.clip import Payload
from archiver.emulator.scripts import JSON, PAGE, Fault, LinkScript


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply as it goes over the wire, faults and all."""

    status: int | None
    """None: no status line is sent, nor anything else."""
    headers: dict[str, str]
    payload: Payload
    span: range
    """The positions in the payload that are actually sent."""
    length: int | None
    """The value of Content-Length, true or not."""
    chunked: bool = False
    ending: Literal["keep-alive", "close", "reset", "stall"] = "keep-alive"
    step: int = 256 * 1024
    pause: float = 0.0
    """Seconds of silence after each `step` bytes."""

    def head(self) -> bytes:
        """Return the status line and the headers."""
        headers = dict(self.headers)
        if self.length is not None:
            headers["Content-Length"] = str(self.length)
        if self.chunked:
            headers["Transfer-Encoding"] = "chunked"
        if self.ending != "keep-alive":
            headers["Connection"] = "close"
        headers["Date"] = formatdate(usegmt=True)
        phrase = HTTPStatus(self.status or 200).phrase
        lines = [f"HTTP/1.1 {self.status} {phrase}", *(f"{k}: {v}" for k, v in headers.items())]
        return "\r\n".join((*lines, "", "")).encode()


class _Written(web.StreamResponse):
    """A response that aiohttp need not write: it was written already."""

    def __init__(self, *, stays_open: bool) -> None:
        super().__init__()
        self._stays_open = stays_open

    @property
    def keep_alive(self) -> bool:
        return self._stays_open

    async def prepare(self, _request: web.BaseRequest) -> None:
        """Do nothing."""

    async def write_eof(self, _data: object = b"") -> None:
        """Do nothing."""


async def write(request: web.BaseRequest, reply: Reply) -> _Written:
    """Send a reply, and end the connection with its `ending`."""
    if reply.status is not None:
        await _write_message(request, reply)
    match reply.ending:
        case "reset":
            _reset(request.transport)
        case "stall":
            await asyncio.get_running_loop().create_future()
    return _Written(stays_open=reply.ending == "keep-alive")


async def _write_message(request: web.BaseRequest, reply: Reply) -> None:
    unsent = reply.head()
    for piece in reply.payload.pieces(reply.span, reply.step):
        framed = b"%x\r\n%b\r\n" % (len(piece), piece) if reply.chunked else piece
        await request.writer.write(unsent + framed)
        unsent = b""
        if reply.pause:
            await asyncio.sleep(reply.pause)
    if reply.chunked and reply.ending == "keep-alive":
        unsent += b"0\r\n\r\n"
    await request.writer.write(unsent)


def _reset(transport: asyncio.Transport | None) -> None:
    """Close with RST: the kernel sends that and not FIN after lingering for zero seconds."""
    if transport is not None:
        linger = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()


def canned(body: bytes, status: int, headers: Mapping[str, str]) -> Reply:
    """Return a small reply without faults."""
    return Reply(status, dict(headers), Payload.of(body), range(len(body)), len(body))


def page(status: int, **headers: str) -> Reply:
    """Return a web page, as gateways send it."""
    return canned(PAGE, status, {"Content-Type": "text/html; charset=UTF-8", **headers})


def file_reply(payload: Payload, tag: str, link: LinkScript, request: Mapping[str, str]) -> Reply:
    """Return a reply without faults: the payload, or the range in the `request` headers."""
    validators = _validators(link, tag)
    ranges = {"Accept-Ranges": "bytes" if link.ranges else "none"}
    headers = {"Content-Type": link.content_type, **ranges, **validators}
    part = _range(request, payload.size, validators) if link.ranges else None
    if part is not None and not part:
        return canned(b"", 416, {**headers, "Content-Range": f"bytes */{payload.size}"})
    span = range(payload.size) if part is None else part
    if part is not None:
        headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{payload.size}"
    reply = Reply(200 if part is None else 206, headers, payload, span, len(span))
    return _paced(_framed(reply, link.length), link.seconds)


def _validators(link: LinkScript, tag: str) -> dict[str, str]:
    validators = {}
    if link.etag != "none":
        validators["ETag"] = f'W/"{tag}"' if link.etag == "weak" else f'"{tag}"'
    if link.last_modified:
        validators["Last-Modified"] = formatdate(1.7e9 + int(tag, 16) % 1_000_000, usegmt=True)
    return validators


def _range(request: Mapping[str, str], size: int, validators: Mapping[str, str]) -> range | None:
    """Return the positions requested, an empty range if there are none, None for all of them.

    See RFC 9110, 14.2. Several ranges at once are ignored, as a server may do; If-Range compares
    strongly (13.1.5).
    """
    match = re.fullmatch(r"bytes=([0-9]*)-([0-9]*)", request.get("Range", ""))
    condition = request.get("If-Range")
    current = [value for value in validators.values() if not value.startswith("W/")]
    if not match or match.group() == "bytes=-" or (condition and condition not in current):
        return None
    first, last = match.groups()
    if not first:
        return range(max(size - int(last), 0), size)
    if last and int(last) < int(first):
        return None
    return range(int(first), min(int(last) + 1, size) if last else size)


def _framed(reply: Reply, length: Literal["given", "none", "chunked"]) -> Reply:
    match length:
        case "given":
            return reply
        case "none":
            return replace(reply, length=None, ending="close")
        case "chunked":
            return replace(reply, length=None, chunked=True)


def _paced(reply: Reply, seconds: float) -> Reply:
    if not seconds:
        return reply
    step = _step(reply, 20)
    return replace(reply, step=step, pause=seconds * step / max(1, len(reply.span)))


def _step(reply: Reply, parts: int) -> int:
    return max(1, min(len(reply.span) // parts, reply.step))


def with_fault(reply: Reply, fault: Fault) -> Reply:
    """Return the reply with a fault."""
    if fault in _FAULTY_REPLIES:
        return _FAULTY_REPLIES[fault]
    whole = len(reply.span)
    half = range(reply.span.start, reply.span.start + whole // 2)
    closed: dict[str, Any] = {"chunked": False, "ending": "close"}
    changes: dict[Fault, dict[str, Any]] = {
        "cut": closed | {"span": half, "length": whole},
        "cut-silently": closed | {"span": half, "length": None},
        "cut-chunked": {"span": half, "length": None, "chunked": True, "ending": "close"},
        "reset": {"span": half, "ending": "reset"},
        "stall": {"span": half, "ending": "stall"},
        "crawl": {"step": 8, "pause": 1.0},
        # The rest follows a moment later: until then, the body looks complete to the client.
        "too-short": closed | {"length": len(half), "pause": 0.02, "step": _step(reply, 2)},
        "too-long": closed | {"length": whole + 1000},
        "wrong-range": _shifted(reply) if reply.status == 206 else {},
        "hang-up": {"status": None, "ending": "close"},
        "silent": {"status": None, "ending": "stall"},
    }
    return replace(reply, **changes.get(fault, {}))


def _shifted(reply: Reply) -> dict[str, Any]:
    """Return the changes that send the first bytes of the payload in place of a later range."""
    span = range(len(reply.span))
    header = {"Content-Range": f"bytes 0-{span.stop - 1}/{reply.payload.size}"}
    return {"span": span, "headers": reply.headers | header}


_XML = {"Content-Type": "application/xml"}
_VIDEO = {"Content-Type": "video/mp4"}
_FAULTY_REPLIES: dict[Fault, Reply] = {
    "dead": canned(b"<Error><Code>NoSuchKey</Code></Error>", 404, _XML),
    "forbidden": canned(b"<Error><Message>Request has expired</Message></Error>", 403, _XML),
    "gone": canned(b"<Error><Code>Gone</Code></Error>", 410, _XML),
    "error": canned(b"<Error><Code>InternalError</Code></Error>", 500, _XML),
    "busy": canned(b"<Error><Code>SlowDown</Code></Error>", 503, _XML | {"Retry-After": "1"}),
    "throttled": canned(b"error code: 1015", 429, {"Content-Type": "text/plain"}),
    "html": page(200),
    "disguised": canned(PAGE, 200, _VIDEO),
    "json-error": canned(b'{"status":"error","message":"Not ready"}', 200, JSON),
    "empty": canned(b"", 200, _VIDEO),
}
