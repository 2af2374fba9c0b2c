"""Hostile and broken link hosts, a table: nothing false is archived, and no run hangs.

Each fault comes from a real socket, byte for byte (`raw_server.py`).
"""

import asyncio
import gzip
import logging
import re
import struct
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from archiver.emulator.clip import grown_clip
from archiver.emulator.scripts import LinkScript, Script
from archiver.outcomes import Archived, Failed
from tests.support.backups import Backups, generation
from tests.support.hostile import (
    BROKE,
    CLOSED,
    G263,
    GARBAGE,
    HTML,
    LONGEST_TRY,
    NOT_HTTP,
    SILENT,
    SLACK,
    TRIES,
    VIDEO,
    VIDEOS,
    assert_archived,
    assert_for_people,
    assert_no_trace,
    back_up_from,
    bounded,
    chunk,
    head,
    linked,
    redirect,
    sized,
)
from tests.support.marks import slow_except
from tests.support.raw_server import Close, Endless, Pause, RawServer, Steps, closed_port

INDEX_LAST = (VIDEOS / "moov-last.mp4").read_bytes()
LARGE = grown_clip(600_000, "hostile").whole()


def boxes(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the boxes at the top of an MP4, by name."""
    while data:
        (size,) = struct.unpack(">I", data[:4])
        yield data[4:8].decode(), data[:size]
        data = data[size:]


BOXES, BOXES_INDEX_LAST = dict(boxes(VIDEO)), dict(boxes(INDEX_LAST))
WITHOUT_MEDIA = b"".join(box for name, box in BOXES.items() if name != "mdat")
WITHOUT_INDEX = b"".join(box for name, box in BOXES_INDEX_LAST.items() if name != "moov")
LIVE, GIF = (VIDEOS / "live.webm").read_bytes(), (VIDEOS / "animated.gif").read_bytes()
TINY_BOXES, TINY_ELEMENTS = Endless(b"\0\0\0\x08free" * 8192), Endless(b"\xec\x80" * 32768)
ENDLESS_VIDEO = BOXES["ftyp"] + BOXES["moov"] + struct.pack(">I4sQ", 1, b"mdat", 1 << 50)


CHUNKED = head("Transfer-Encoding: chunked")
PARTIAL = "HTTP/1.1 206 Partial Content"
WHOLE_RANGE = f"Content-Range: bytes 0-{len(LARGE) - 1}/{len(LARGE)}"
TO_ITSELF = sized(b"", "Location: /a.mp4?again", "Connection: close", status="HTTP/1.1 302 Found")


@dataclass(frozen=True)
class Fault:
    """What a link host does, and the reason that people then read."""

    reason: str
    """A pattern that the reason matches."""
    steps: Steps = ()
    blindly: Steps | None = None
    """Steps that are taken without reading a request."""
    url: str = "http://{host}/a.mp4"
    tls: bool = False
    kept: bool = False
    """What arrived can be resumed."""
    heavy: bool = False
    """It sends very much, or without end: memory is measured."""

    @property
    def timeout(self) -> float:
        """The timeout; a short one where it is certain to pass."""
        return 0.5 if "silent" in self.reason else 1.0


TOO_LARGE = "the head of the response is too large"
NO_LINK = r"not an http\(s\) link"
NO_VIDEO = "not a|it has no|empty|ends|bytes came"

FAULTS = {
    # No connection
    "refused": Fault("Connection refused", url="http://127.0.0.1:{closed}/a.mp4"),
    "no such host": Fault("no such host", url="http://nowhere.invalid/a.mp4"),
    "port zero": Fault("no connection|not an address|not a link", url="http://127.0.0.1:0/a.mp4"),
    "TLS that fails to verify": Fault(
        r"certificate is not accepted \(.*self.signed", url="https://{host}/a.mp4", tls=True
    ),
    "plain HTTP on an https link": Fault(
        "no TLS", blindly=(sized(HTML, status="HTTP/1.1 400 Bad Request"),), url="https://{host}/a"
    ),
    "TLS on an http link": Fault(f"{BROKE}|{NOT_HTTP}", tls=True),
    "silent until the timeout, in place of TLS": Fault(
        SILENT, blindly=(Close.NEVER,), url="https://{host}/a.mp4"
    ),
    # No head
    "reset before the request is read": Fault(BROKE, blindly=(Close.RESET,)),
    "reset after the request is read": Fault(BROKE, (Close.RESET,)),
    "closed without a byte": Fault(CLOSED, ()),
    "silent until the timeout": Fault(SILENT, (Close.NEVER,)),
    "reset in the middle of the headers": Fault(
        BROKE, (b"HTTP/1.1 200 OK\r\nContent-Le", Pause(0.1), Close.RESET)
    ),
    "closed in the middle of the status line": Fault(f"{CLOSED}|{NOT_HTTP}", (b"HTTP/1.1 20",)),
    "closed in the middle of the headers": Fault(
        f"{CLOSED}|{NOT_HTTP}", (b"HTTP/1.1 200 OK\r\nContent-Le",)
    ),
    "silent in the middle of the headers": Fault(
        SILENT, (b"HTTP/1.1 200 OK\r\nContent-Le", Close.NEVER)
    ),
    "headers without end": Fault(
        TOO_LARGE, (b"HTTP/1.1 200 OK\r\n", Endless(b"X-Padding: %s\r\n" % (b"x" * 64) * 100)),
        heavy=True,
    ),
    "a header line without end": Fault(
        TOO_LARGE, (b"HTTP/1.1 200 OK\r\nX-Padding: ", Endless(b"x" * 65536)), heavy=True
    ),
    "a status line without end": Fault(TOO_LARGE, (b"HTTP/1.1 200 ", Endless(b"x" * 65536))),
    "headers that drip": Fault(
        "silent|too slow", (b"HTTP/1.1 200 OK\r\n", Endless(b"X-Drip: x\r\n", every=0.2))
    ),
    "100 Continue without end": Fault(
        TOO_LARGE,
        (Endless(head(status="HTTP/1.1 100 Continue") * 100),),
        heavy=True,
    ),
    "100 Continue that drips": Fault(
        "silent|too slow", (Endless(head(status="HTTP/1.1 100 Continue"), every=0.2),)
    ),
    "100 Continue and no more": Fault(CLOSED, (head(status="HTTP/1.1 100 Continue"),)),
    # No HTTP
    "bare bytes, as HTTP/0.9 had it": Fault(NOT_HTTP, (VIDEO,)),
    "bare HTML": Fault(NOT_HTTP, (HTML,)),
    "an SSH banner": Fault(NOT_HTTP, blindly=(b"SSH-2.0-OpenSSH_9.6\r\n",)),
    "HTTP/2 unasked": Fault(NOT_HTTP, (b"\0\0\x12\x04\0\0\0\0\0" + GARBAGE[:18],)),
    "zero bytes without end": Fault(NOT_HTTP, (Endless(bytes(65536)),), heavy=True),
    "a status line of another protocol": Fault(NOT_HTTP, (sized(VIDEO, status="ICY 200 OK"),)),
    "a status code of two digits": Fault(NOT_HTTP, (sized(VIDEO, status="HTTP/1.1 20 OK"),)),
    "a status code of four digits": Fault(NOT_HTTP, (sized(VIDEO, status="HTTP/1.1 2000 OK"),)),
    "a status code in words": Fault(NOT_HTTP, (sized(VIDEO, status="HTTP/1.1 OK 200"),)),
    "a negative status code": Fault(NOT_HTTP, (sized(VIDEO, status="HTTP/1.1 -200 OK"),)),
    "a header without a colon": Fault(NOT_HTTP, (sized(VIDEO, "X-Broken"),)),
    "a header with a NUL": Fault(NOT_HTTP, (sized(VIDEO, "X-Broken: a\0b"),)),
    "a header name with control characters": Fault(NOT_HTTP, (sized(VIDEO, "X-\x1b[2J: a"),)),
    # Another status
    "204": Fault("^204 No Content", (head(status="HTTP/1.1 204 No Content"),)),
    "206 unasked, of a part": Fault(
        "^206", (sized(VIDEO, f"Content-Range: bytes 0-{len(VIDEO) - 1}/{len(VIDEO) + 1}",
                       status=PARTIAL),),
    ),
    "206 unasked, of no range": Fault("^206", (sized(VIDEO, status=PARTIAL),)),
    "206 unasked, with less than it says": Fault(
        "206 does not go on with it", (sized(LARGE[:300_000], WHOLE_RANGE, status=PARTIAL),),
    ),
    "206 unasked, with less than it says, in chunks": Fault(
        "206 does not go on with it",
        (head(WHOLE_RANGE, "Transfer-Encoding: chunked", 'ETag: "v1"', status=PARTIAL),
         chunk(LARGE[:300_000]), b"0\r\n\r\n"),
    ),
    "304 unasked": Fault("^304", (head("ETag: \"a\"", status="HTTP/1.1 304 Not Modified"),)),
    "101 unasked": Fault(
        f"^101|{NOT_HTTP}",
        (head("Upgrade: websocket", "Connection: upgrade",
              status="HTTP/1.1 101 Switching Protocols"), VIDEO),
    ),
    "401": Fault("^401 Unauthorized", (sized(HTML, "WWW-Authenticate: Basic realm=\"\x1b\"",
                                             status="HTTP/1.1 401 Unauthorized"),)),
    "404 with a whole video": Fault(
        "^404 Not Found", (sized(VIDEO, status="HTTP/1.1 404 Not Found"),)
    ),
    "416 unasked": Fault("^416", (sized(b"", status="HTTP/1.1 416 Range Not Satisfiable"),)),
    "a status code of 999": Fault("^999", (sized(HTML, status="HTTP/1.1 999 Request denied"),)),
    "no reason phrase": Fault("^503$", (sized(HTML, status="HTTP/1.1 503"),)),
    "a reason phrase in Latin-1": Fault(
        "^404 .*trouv", (sized(HTML, status="HTTP/1.1 404 Non trouv\xe9"),)
    ),
    "a reason phrase with control characters": Fault(
        f"^404|{NOT_HTTP}", (sized(HTML, status="HTTP/1.1 404 \x1b[2J\x1b]0;owned\x07 \x08"),)
    ),
    "a reason phrase with a NUL": Fault(
        f"^404|{NOT_HTTP}", (sized(HTML, status="HTTP/1.1 404 Not\0Found"),)
    ),
    "a reason phrase of 8,000 letters": Fault(
        "^404 x+", (sized(HTML, status=f"HTTP/1.1 404 {'x' * 8000}"),)
    ),
    "a reason phrase that turns the line around": Fault(
        "^404", (sized(HTML, status="HTTP/1.1 404 \xe2\x80\xae\xe2\x81\xa6"),)
    ),
    # Redirects
    "a redirect loop": Fault("too many redirects", (TO_ITSELF,)),
    "a redirect loop that dawdles": Fault("silent|too slow", (Pause(0.25), TO_ITSELF)),
    "a redirect to file:": Fault(NO_LINK, (redirect("file:///etc/passwd"),)),
    "a redirect to ftp:": Fault(NO_LINK, (redirect("ftp://127.0.0.1/a.mp4"),)),
    "a redirect to javascript:": Fault(NO_LINK, (redirect("javascript:alert(1)"),)),
    "a redirect to data:": Fault(NO_LINK, (redirect("data:video/mp4;base64,AAAA"),)),
    "a redirect to ws:": Fault(NO_LINK, (redirect("ws://{host}/a.mp4"),)),
    "a redirect to an empty Location": Fault(f"too many redirects|{NO_LINK}|^302", (redirect(""),)),
    "a redirect without Location": Fault("^302 Found", (redirect(None),)),
    "a redirect to no host": Fault(f"{NO_LINK}|not an address", (redirect("http:///a.mp4"),)),
    "a redirect to half an address": Fault(f"{NO_LINK}|not an address", (redirect("http://[::1"),)),
    "a redirect to a port too high": Fault(
        f"{NO_LINK}|not an address", (redirect("http://127.0.0.1:99999/"),)
    ),
    "a redirect to bytes": Fault(
        f"{NO_LINK}|not an address|^404|no such host|too many|{NOT_HTTP}",
        (redirect("http://\xff\xfe\xc3(/"),),
    ),
    "a redirect to a closed port": Fault(
        "no connection", (redirect("http://127.0.0.1:{closed}/"),)
    ),
    "300 and a choice": Fault("^300", (sized(HTML, status="HTTP/1.1 300 Multiple Choices"),)),
    # 200, and no video
    "200 with HTML": Fault(NO_VIDEO, (sized(HTML, "Content-Type: text/html"),)),
    "200 with HTML labelled a video": Fault(NO_VIDEO, (sized(HTML, "Content-Type: video/mp4"),)),
    "200 with a JSON error": Fault(NO_VIDEO, (sized(b'{"status":"error","message":"expired"}'),)),
    "200 with XML": Fault(NO_VIDEO, (sized(b"<?xml version='1.0'?><Error><Code>NoSuchKey"),)),
    "empty 200": Fault(NO_VIDEO, (sized(b""),)),
    "empty 200 without a length": Fault(NO_VIDEO, (head(),)),
    "empty 200 in chunks": Fault(NO_VIDEO, (CHUNKED + b"0\r\n\r\n",)),
    "200 with zero bytes": Fault(NO_VIDEO, (sized(bytes(100_000)),)),
    "a really gzipped video": Fault(
        NO_VIDEO, (sized(gzip.compress(VIDEO), "Content-Encoding: gzip"),)
    ),
    "a zip bomb": Fault(
        NO_VIDEO, (sized(gzip.compress(bytes(200_000_000), 1), "Content-Encoding: gzip"),),
        heavy=True,
    ),
    "garbage labelled gzip": Fault(NO_VIDEO, (sized(GARBAGE, "Content-Encoding: gzip"),)),
    "garbage labelled deflate": Fault(NO_VIDEO, (sized(GARBAGE, "Content-Encoding: deflate"),)),
    "garbage labelled br": Fault(NO_VIDEO, (sized(GARBAGE, "Content-Encoding: br"),)),
    "garbage labelled zstd": Fault(NO_VIDEO, (sized(GARBAGE, "Content-Encoding: zstd"),)),
    "a video cut before its media": Fault(NO_VIDEO, (head(), WITHOUT_MEDIA)),
    "a video with a length that ends before its media": Fault(NO_VIDEO, (sized(WITHOUT_MEDIA),)),
    "a video cut before its index": Fault(NO_VIDEO, (head(), WITHOUT_INDEX)),
    "a video with a length that ends before its index": Fault(NO_VIDEO, (sized(WITHOUT_INDEX),)),
    "the first box of a video": Fault(NO_VIDEO, (sized(BOXES["ftyp"]),)),
    "a video and an error page after it": Fault(NO_VIDEO, (sized(VIDEO + HTML),)),
    # Cut
    "cut with Content-Length": Fault(CLOSED, (sized(LARGE)[:300_000],)),
    "cut with Content-Length and a validator": Fault(
        f"{CLOSED} after 299,", (sized(LARGE, 'ETag: "v1"')[:300_000], Pause(0.6)), kept=True
    ),
    "reset in the middle of the body": Fault(
        BROKE, (sized(LARGE)[:300_000], Pause(0.2), Close.RESET)
    ),
    "cut without Content-Length": Fault(NO_VIDEO, (head(), LARGE[:300_000])),
    "cut in a chunk": Fault(CLOSED, (CHUNKED, chunk(LARGE)[:300_000])),
    "cut in a chunk header": Fault(CLOSED, (CHUNKED, chunk(LARGE[:300_000]), b"1000")),
    "cut before the last chunk": Fault(CLOSED, (CHUNKED, chunk(LARGE))),
    "cut before the end of the trailers": Fault(CLOSED, (CHUNKED, chunk(LARGE), b"0\r\nX: y\r\n")),
    "stalled in the body until the timeout": Fault(
        SILENT, (sized(LARGE)[:300_000], Close.NEVER)
    ),
    "stalled after the whole body, without an end": Fault(SILENT, (head(), LARGE, Close.NEVER)),
    "stalled before the last chunk": Fault(SILENT, (CHUNKED, chunk(LARGE), Close.NEVER)),
    # With a length that is not true
    "Content-Length too long": Fault(CLOSED, (head(f"Content-Length: {len(VIDEO) + 1}"), VIDEO)),
    "Content-Length too long, and no end": Fault(
        SILENT, (head(f"Content-Length: {len(VIDEO) + 1}"), VIDEO, Close.NEVER)
    ),
    "Content-Length too short": Fault(
        f"{NO_VIDEO}|{NOT_HTTP}", (head(f"Content-Length: {len(VIDEO) - 1}"), VIDEO)
    ),
    "Content-Length too short, and a late rest": Fault(
        f"{NO_VIDEO}|{NOT_HTTP}", (sized(VIDEO[:-1]), Pause(0.2), VIDEO[-1:])
    ),
    "Content-Length too short by all": Fault(
        f"{NO_VIDEO}|{NOT_HTTP}", (sized(b""), Pause(0.2), VIDEO)
    ),
    "a page at once after the video": Fault(
        f"{NO_VIDEO}|{NOT_HTTP}", (sized(VIDEO) + HTML,)
    ),
    "two Content-Lengths": Fault(
        "contradicts itself", (head(f"Content-Length: {len(VIDEO)}", "Content-Length: 5"), VIDEO)
    ),
    "two Content-Lengths in one": Fault(
        "contradicts itself", (head(f"Content-Length: 5, {len(VIDEO)}"), VIDEO)
    ),
    "a negative Content-Length": Fault(NOT_HTTP, (head("Content-Length: -1"), VIDEO)),
    "a Content-Length in words": Fault(NOT_HTTP, (head("Content-Length: many"), VIDEO)),
    "a Content-Length of 1e9": Fault(NOT_HTTP, (head("Content-Length: 1e9"), VIDEO)),
    "a Content-Length of thirty digits": Fault(
        f"{NOT_HTTP}|--max-size", (head(f"Content-Length: {'9' * 30}"), VIDEO)
    ),
    "a Content-Length of 5,000 digits": Fault(
        f"{NOT_HTTP}|--max-size", (head(f"Content-Length: {'9' * 5000}"), VIDEO)
    ),
    "a Content-Length with Transfer-Encoding, cut": Fault(
        CLOSED,
        (head(f"Content-Length: {len(VIDEO)}", "Transfer-Encoding: chunked"), chunk(VIDEO)),
    ),
    "a chunk size in words": Fault(f"{NOT_HTTP}|{CLOSED}", (CHUNKED, b"many\r\n", VIDEO)),
    "a negative chunk size": Fault(f"{NOT_HTTP}|{CLOSED}", (CHUNKED, b"-5\r\n", VIDEO)),
    "a chunk size of 40 digits": Fault(
        f"{NOT_HTTP}|{CLOSED}|{SILENT}", (CHUNKED, b"f" * 40 + b"\r\n", VIDEO)
    ),
    "chunks that are none": Fault(f"{NOT_HTTP}|{CLOSED}", (CHUNKED, VIDEO)),
    # Without end
    "a body that never ends": Fault(
        "--max-size", (head(), ENDLESS_VIDEO, Endless(bytes(1 << 18))), heavy=True
    ),
    "a body that never ends, in chunks": Fault(
        "--max-size", (CHUNKED, chunk(ENDLESS_VIDEO), Endless(chunk(bytes(1 << 18)))), heavy=True
    ),
    "a body that never ends, in small chunks": Fault(
        "--max-size", (CHUNKED, chunk(ENDLESS_VIDEO), Endless(chunk(b"x" * 500) * 500)),
        heavy=True,
    ),
    "a body with a length of 4 exabytes": Fault(
        "--max-size", (head(f"Content-Length: {1 << 62}"), ENDLESS_VIDEO, Endless(bytes(1 << 18)))
    ),
    "boxes of nothing that never end": Fault("parts in its first", (head(), VIDEO, TINY_BOXES)),
    "an index of nothing that never ends": Fault(
        "parts in its first",
        (head(), BOXES["ftyp"] + struct.pack(">I4s", 2_000_000, b"moov"), TINY_BOXES),
    ),
    "elements of nothing that never end": Fault(
        "parts in its first", (head(), LIVE, TINY_ELEMENTS)
    ),
    "GIF extensions of nothing that never end": Fault(
        "parts in its first", (head(), GIF[:-1], Endless(b"!\xfe\0" * 20_000))
    ),
    "GIF sub-blocks of a few bytes that never end": Fault(
        "--max-size", (head(), GIF[:-1] + b"!\xfe", Endless(b"\x08hostile!" * 7000))
    ),
    "HTML that never ends": Fault(NO_VIDEO, (head(), Endless(HTML * 1000)), heavy=True),
    "one byte a second": Fault(
        f"too slow|{SILENT}", (sized(LARGE)[:1000], Endless(b"\0", every=1.0))
    ),
    "ten bytes a second": Fault("too slow", (head(), VIDEO[:1000], Endless(b"\0", every=0.1))),
    "a chunk extension that never ends": Fault(
        f"{NOT_HTTP}|{CLOSED}|{SILENT}", (CHUNKED, b"5;x=", Endless(b"x" * 65536)), heavy=True
    ),
    "trailers that never end": Fault(
        f"{NOT_HTTP}|{CLOSED}|{SILENT}",
        (CHUNKED, chunk(VIDEO), b"0\r\n", Endless(b"X-Trailer: x\r\n" * 1000)),
        heavy=True,
    ),
    "trailers that drip": Fault(
        f"{NOT_HTTP}|{CLOSED}|{SILENT}|too slow",
        (CHUNKED, chunk(VIDEO), b"0\r\n", Endless(b"X-Trailer: x\r\n", every=0.2)),
    ),
    "chunk headers that drip": Fault(
        f"{SILENT}|{CLOSED}|{NOT_HTTP}", (CHUNKED, chunk(VIDEO[:99]), Endless(b"0", every=0.2))
    ),
}  # fmt: skip

QUICK = [
    "refused", "silent until the timeout", "200 with HTML labelled a video",
    "cut with Content-Length", "bare HTML", "404 with a whole video", "a redirect loop",
    "a redirect to file:", "two Content-Lengths", "a chunk size in words",
    "elements of nothing that never end",
]  # fmt: skip
"""One fault of each kind that shows quickly."""

HARMLESS: dict[str, Steps] = {
    "a video without a length": (head(), VIDEO),
    "a video in chunks of seven bytes": (
        CHUNKED, *(chunk(VIDEO[at : at + 7]) for at in range(0, len(VIDEO), 7)), b"0\r\n\r\n",
    ),
    "a video wrongly labelled gzip": (sized(VIDEO, "Content-Encoding: gzip"),),
    "a video wrongly labelled br": (sized(VIDEO, "Content-Encoding: br"),),
    "206 unasked, with all": (
        sized(VIDEO, f"Content-Range: bytes 0-{len(VIDEO) - 1}/{len(VIDEO)}", status=PARTIAL),
    ),
    "206 unasked, with all, in chunks": (
        head(f"Content-Range: bytes 0-{len(VIDEO) - 1}/{len(VIDEO)}", "Transfer-Encoding: chunked",
             status=PARTIAL),
        chunk(VIDEO), b"0\r\n\r\n",
    ),
    "a Content-Length with Transfer-Encoding": (
        head(f"Content-Length: {len(VIDEO)}", "Transfer-Encoding: chunked"), chunk(VIDEO),
        b"0\r\n\r\n",
    ),
    "a video labelled HTML": (sized(VIDEO, "Content-Type: text/html"),),
    "bytes after the Content-Length": (sized(VIDEO), Pause(0.2), HTML),
    "a reset after the whole body": (sized(VIDEO), Pause(0.2), Close.RESET),
    "no close after the whole body": (sized(VIDEO), Close.NEVER),
    "100 Continue first": (head(status="HTTP/1.1 100 Continue") + sized(VIDEO),),
    "103 Early Hints first": (head("Link: </a>", status="HTTP/1.1 103 Early Hints"), sized(VIDEO)),
    "HTTP/1.0": (head(status="HTTP/1.0 200 OK"), VIDEO),
    "a byte at a time, quickly": (
        *(sized(VIDEO)[at : at + 1] for at in range(60)), sized(VIDEO)[60:],
    ),
    "headers in Latin-1": (sized(VIDEO, "X-Latin: \xe9\xff"),),
    "cookies and names with Latin-1": (sized(VIDEO, "Set-Cookie: \xe9=\xff; Domain=.com"),),
    "an extension on each chunk": (CHUNKED, chunk(VIDEO, b";a=b"), b"0\r\n\r\n"),
    "a trailer": (CHUNKED, chunk(VIDEO), b"0\r\nX: y\r\n\r\n"),
}  # fmt: skip
"""Strange replies, and yet a whole video."""


def faulty(fault: Fault, request: pytest.FixtureRequest) -> tuple[RawServer, str]:
    """Return the server of a fault, and a closed port for the links that need one."""
    tls = request.getfixturevalue("certificate").context() if fault.tls else None
    return RawServer(blindly=fault.blindly, tls=tls), str(closed_port())


def set_up(server: RawServer, fault: Fault, closed: str) -> str:
    """Give a running server its steps; return the link to it."""
    hosts = {b"{host}": server.host.encode(), b"{closed}": closed.encode()}
    server.paths["*"] = tuple(
        _with_hosts(step, hosts) if isinstance(step, bytes) else step for step in fault.steps
    )
    return _with_hosts(fault.url.encode(), hosts).decode()


def _with_hosts(text: bytes, hosts: dict[bytes, bytes]) -> bytes:
    for name, host in hosts.items():
        text = text.replace(name, host)
    return text


@pytest.mark.parametrize("name", slow_except(FAULTS, *QUICK))
async def test_a_fault_is_reported_and_leaves_no_trace(
    backups: Backups, name: str, request: pytest.FixtureRequest
) -> None:
    """The generation fails in bounded time and memory, for a reason that a person understands."""
    fault = FAULTS[name]
    server, closed = faulty(fault, request)
    async with server:
        url = set_up(server, fault, closed)
        with bounded(TRIES * LONGEST_TRY + SLACK, memory=fault.heavy):
            report, outcome = await back_up_from(backups, url, timeout=fault.timeout)
    assert isinstance(outcome, Failed)
    assert (report.failed, report.exit_status) == (1, 3)
    for found in outcome.faults:
        assert_for_people(found.reason)
        assert re.search(fault.reason, found.reason), found.reason
    assert outcome.faults
    assert_no_trace(backups, kept=fault.kept)


@pytest.mark.parametrize("name", slow_except(FAULTS, *QUICK[:4]))
async def test_a_healthy_proxy_makes_up_for_a_fault(
    backups: Backups, name: str, request: pytest.FixtureRequest
) -> None:
    """Whatever the primary's host does, the proxy's bytes are archived, and no others."""
    fault = FAULTS[name]
    server, closed = faulty(fault, request)
    async with server:
        url = set_up(server, fault, closed)
        with bounded(LONGEST_TRY + SLACK):
            report, outcome = await back_up_from(backups, url, LinkScript())
    assert isinstance(outcome, Archived)
    assert (report.archived, report.exit_status) == (1, 0)
    assert [found.role for found in outcome.faults] == ["primary"]
    assert_for_people(outcome.faults[0].reason)
    assert_archived(backups, backups.emulator.payload(G263).whole())


@pytest.mark.parametrize("name", slow_except(HARMLESS, "a video without a length", "a trailer"))
async def test_a_strange_server_may_yet_serve(backups: Backups, name: str) -> None:
    """From a strange reply with a whole video, the video is archived byte for byte."""
    async with RawServer({"*": HARMLESS[name]}) as server:
        with bounded(LONGEST_TRY + SLACK):
            report, _ = await back_up_from(backups, f"http://{server.host}/a.mp4")
    assert report.exit_status == 0
    assert_archived(backups, VIDEO)


async def test_many_tiny_parts_hold_up_no_other_download(backups: Backups) -> None:
    """While a host sends 12 MB that are slow to validate, others are archived as quickly as ever.

    The event loop, on which all timeouts and signals depend, is never busy for long.
    """
    others = [str(number) for number in range(1, 9)]
    backups.emulator.scripts |= {generation(other): Script() for other in others}
    hostile = sized(LIVE + b"\xec\x80" * 6_000_000)
    async with RawServer({"*": (hostile,)}) as server, busy_loop() as pauses:
        backups.emulator.scripts[G263] = linked(f"http://{server.host}/a.webm")
        with bounded(30):
            report = await backups.run("263", *others)
    assert (report.archived, report.failed) == (8, 1)
    assert max(busy for busy, _ in pauses) < 0.5
    assert sorted(took for _, took in pauses)[-3] < 2  # a machine may stop, but not all the time


@asynccontextmanager
async def busy_loop() -> AsyncIterator[list[tuple[float, float]]]:
    """Measure how long the event loop is busy at a time: in seconds of its own CPU, and in all."""
    pauses: list[tuple[float, float]] = []

    async def measure() -> None:
        while True:
            before = time.thread_time(), time.monotonic()
            await asyncio.sleep(0.01)
            pauses.append((time.thread_time() - before[0], time.monotonic() - before[1] - 0.01))

    task = asyncio.create_task(measure())
    yield pauses
    task.cancel()


async def test_audio_alone_is_archived_and_logged(
    backups: Backups, caplog: pytest.LogCaptureFixture
) -> None:
    """An MP4 without images may be all that ModelsLab has made: it is kept, and `-v` tells."""
    caplog.set_level(logging.INFO)
    audio = VIDEO.replace(b"vide", b"soun")
    async with RawServer({"*": (sized(audio),)}) as server:
        report, _ = await back_up_from(backups, f"http://{server.host}/a.mp4")
    assert report.exit_status == 0
    assert_archived(backups, audio)
    assert "v6/deepfake/263: its video has sound and no images" in caplog.text
