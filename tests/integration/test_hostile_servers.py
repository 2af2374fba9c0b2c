"""Hostile and broken servers, a table: nothing false is archived, and no night hangs on them.

Each fault comes from a real socket, byte for byte (`raw_server.py`).
"""

import gzip
import json
import logging
import re
import shutil
import socket
import ssl
import struct
import subprocess
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from archiver.apikey import ApiKey
from archiver.emulator.clip import grown_clip
from archiver.emulator.scripts import LinkScript, OutputScript, Script
from archiver.errors import ConfigurationError
from archiver.http import address_guard, session
from archiver.http.address_guard import is_public
from archiver.outcomes import Archived, Failed, Outcome
from archiver.pipeline.report import Report
from archiver.settings import ApiSettings
from tests.support.backups import KEY, Backups, assert_true_bag, generation, quick_downloads
from tests.support.raw_server import (
    Close,
    Endless,
    ForwardProxy,
    Pause,
    RawServer,
    Steps,
    closed_port,
)

VIDEOS = Path(__file__).parents[1] / "videos"
VIDEO = (VIDEOS / "faststart.mp4").read_bytes()
INDEX_LAST = (VIDEOS / "moov-last.mp4").read_bytes()
LARGE = grown_clip(600_000, "hostile").whole()
G263 = generation("263")
ASKED = "/v6/deepfake/fetch/263"

LARGEST = 20_000_000
"""`--max-size` in all of these tests."""
MEMORY = 64 << 20
TRIES = 2
"""A night asks once for fresh links, and tries those too."""
LONGEST_TRY = 2.0
"""A head may take twice the second that a connection may be silent; no body takes as long."""
SLACK = 2.0

OK = "HTTP/1.1 200 OK"
HTML = b"<!DOCTYPE html><html><body><h1>Just a moment...</h1></body></html>"
NOT_PYTHON = re.compile(
    r"(?:Error|Exception|Exceeded|Redirects)\b|Traceback|\bErrno\b|\bNone\b|\bobject at\b"
    r"|\bb['\"]|\(['\"]|<[A-Za-z_.]+ |aiohttp|asyncio|yarl|\(\)|__"
)
"""What the words of a program look like, not those of a person."""


def boxes(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the boxes at the top of an MP4, by name."""
    while data:
        (size,) = struct.unpack(">I", data[:4])
        yield data[4:8].decode(), data[:size]
        data = data[size:]


BOXES, BOXES_INDEX_LAST = dict(boxes(VIDEO)), dict(boxes(INDEX_LAST))
WITHOUT_MEDIA = b"".join(box for name, box in BOXES.items() if name != "mdat")
WITHOUT_INDEX = b"".join(box for name, box in BOXES_INDEX_LAST.items() if name != "moov")
ENDLESS_VIDEO = BOXES["ftyp"] + BOXES["moov"] + struct.pack(">I4sQ", 1, b"mdat", 1 << 50)


def head(*lines: str, status: str = OK) -> bytes:
    """Return the head of a response, in Latin-1, as HTTP once had it."""
    return "\r\n".join([status, *lines, "", ""]).encode("latin-1")


def sized(body: bytes, *lines: str, status: str = OK) -> bytes:
    """Return a response that says how long it is."""
    return head(f"Content-Length: {len(body)}", *lines, status=status) + body


def chunk(data: bytes, extension: bytes = b"") -> bytes:
    """Return a chunk (RFC 9112, 7.1)."""
    return b"%x%s\r\n%s\r\n" % (len(data), extension, data)


def response(**fields: object) -> bytes:
    """Return what the API says when a generation is ready."""
    document = {"status": "success", "id": 263} | fields
    return sized(json.dumps(document).encode(), "Content-Type: application/json")


def redirect(location: str | None, status: str = "302 Found") -> bytes:
    """Return a redirect, to nowhere if there is no `location`."""
    to = () if location is None else (f"Location: {location}",)
    return sized(b"", *to, status=f"HTTP/1.1 {status}")


GARBAGE = bytes(range(256)) * 16
CHUNKED = head("Transfer-Encoding: chunked")
TO_ITSELF = sized(b"", "Location: /a.mp4?again", "Connection: close", status="HTTP/1.1 302 Found")


@dataclass(frozen=True)
class Fault:
    """What a link's server does, and what people then read of it."""

    reason: str
    """A pattern that the reason matches."""
    steps: Steps = ()
    blindly: Steps | None = None
    """Instead of steps that response a request: what is sent before any is read."""
    url: str = "http://{host}/a.mp4"
    tls: bool = False
    kept: bool = False
    """What has come may be gone on with."""
    heavy: bool = False
    """It sends without end, or very much: memory is measured."""

    @property
    def timeout(self) -> float:
        """Where waiting is in vain, half a second of it shows as much."""
        return 0.5 if "silent" in self.reason else 1.0


CLOSED = "closed early"
NOT_HTTP = "not HTTP"
SILENT = r"silent for (1|0\.5) s"
BROKE = "the connection broke|closed early"
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
    "silent in place of TLS": Fault(SILENT, blindly=(Close.NEVER,), url="https://{host}/a.mp4"),
    # No head
    "reset before the request is read": Fault(BROKE, blindly=(Close.RESET,)),
    "reset after the request is read": Fault(BROKE, (Close.RESET,)),
    "closed without a byte": Fault(CLOSED, ()),
    "silent": Fault(SILENT, (Close.NEVER,)),
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
        NOT_HTTP, (b"HTTP/1.1 200 OK\r\n", Endless(b"X-Padding: %s\r\n" % (b"x" * 64) * 100)),
        heavy=True,
    ),
    "a header line without end": Fault(
        NOT_HTTP, (b"HTTP/1.1 200 OK\r\nX-Padding: ", Endless(b"x" * 65536)), heavy=True
    ),
    "a status line without end": Fault(NOT_HTTP, (b"HTTP/1.1 200 ", Endless(b"x" * 65536))),
    "headers that drip": Fault(
        "silent|too slow", (b"HTTP/1.1 200 OK\r\n", Endless(b"X-Drip: x\r\n", every=0.2))
    ),
    "100 Continue without end": Fault(
        "silent|too slow|not HTTP",
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
    "206 unasked": Fault(
        "^206", (sized(VIDEO, f"Content-Range: bytes 0-{len(VIDEO) - 1}/{len(VIDEO)}",
                       status="HTTP/1.1 206 Partial Content"),),
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
    "a redirect to nothing": Fault(f"too many redirects|{NO_LINK}|^302", (redirect(""),)),
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
    "a video cut where its media would begin": Fault(NO_VIDEO, (head(), WITHOUT_MEDIA)),
    "a video said to end where its media would begin": Fault(NO_VIDEO, (sized(WITHOUT_MEDIA),)),
    "a video cut before its index": Fault(NO_VIDEO, (head(), WITHOUT_INDEX)),
    "a video said to end before its index": Fault(NO_VIDEO, (sized(WITHOUT_INDEX),)),
    "the first box of a video": Fault(NO_VIDEO, (sized(BOXES["ftyp"]),)),
    "a video and an error page after it": Fault(NO_VIDEO, (sized(VIDEO + HTML),)),
    # Cut
    "cut with Content-Length": Fault(CLOSED, (sized(LARGE)[:300_000],)),
    "cut with Content-Length and a validator": Fault(
        f"{CLOSED} after 299,", (sized(LARGE, 'ETag: "v1"')[:300_000], Pause(0.2)), kept=True
    ),
    "reset in the middle of the body": Fault(
        BROKE, (sized(LARGE)[:300_000], Pause(0.2), Close.RESET)
    ),
    "cut without Content-Length": Fault(NO_VIDEO, (head(), LARGE[:300_000])),
    "cut in a chunk": Fault(CLOSED, (CHUNKED, chunk(LARGE)[:300_000])),
    "cut in a chunk header": Fault(CLOSED, (CHUNKED, chunk(LARGE[:300_000]), b"1000")),
    "cut before the last chunk": Fault(CLOSED, (CHUNKED, chunk(LARGE))),
    "cut before the end of the trailers": Fault(CLOSED, (CHUNKED, chunk(LARGE), b"0\r\nX: y\r\n")),
    "stalled in the body": Fault(SILENT, (sized(LARGE)[:300_000], Close.NEVER)),
    "stalled after the whole body, without an end": Fault(SILENT, (head(), LARGE, Close.NEVER)),
    "stalled before the last chunk": Fault(SILENT, (CHUNKED, chunk(LARGE), Close.NEVER)),
    # Said to be longer or shorter than it is
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
        NOT_HTTP, (head(f"Content-Length: {len(VIDEO)}", "Content-Length: 5"), VIDEO)
    ),
    "two Content-Lengths in one": Fault(
        NOT_HTTP, (head(f"Content-Length: 5, {len(VIDEO)}"), VIDEO)
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
    "a Content-Length with Transfer-Encoding": Fault(
        NOT_HTTP,
        (head(f"Content-Length: {len(VIDEO)}", "Transfer-Encoding: chunked"), chunk(VIDEO),
         b"0\r\n\r\n"),
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
    "a body said to be endless": Fault(
        "--max-size", (head(f"Content-Length: {1 << 62}"), ENDLESS_VIDEO, Endless(bytes(1 << 18)))
    ),
    "HTML that never ends": Fault(NO_VIDEO, (head(), Endless(HTML * 1000)), heavy=True),
    "one byte a second": Fault(
        f"crawling|{SILENT}", (sized(LARGE)[:1000], Endless(b"\0", every=1.0))
    ),
    "ten bytes a second": Fault("crawling", (head(), VIDEO[:1000], Endless(b"\0", every=0.1))),
    "a chunk extension that never ends": Fault(
        f"{NOT_HTTP}|{CLOSED}|{SILENT}", (CHUNKED, b"5;x=", Endless(b"x" * 65536)), heavy=True
    ),
    "trailers that never end": Fault(
        f"{NOT_HTTP}|{CLOSED}|{SILENT}",
        (CHUNKED, chunk(VIDEO), b"0\r\n", Endless(b"X-Trailer: x\r\n" * 1000)),
        heavy=True,
    ),
    "trailers that drip": Fault(
        f"{NOT_HTTP}|{CLOSED}|{SILENT}|crawling",
        (CHUNKED, chunk(VIDEO), b"0\r\n", Endless(b"X-Trailer: x\r\n", every=0.2)),
    ),
    "chunk headers that drip": Fault(
        f"{SILENT}|{CLOSED}|{NOT_HTTP}", (CHUNKED, chunk(VIDEO[:99]), Endless(b"0", every=0.2))
    ),
}  # fmt: skip

HARMLESS: dict[str, Steps] = {
    "a video without a length": (head(), VIDEO),
    "a video in chunks of seven bytes": (
        CHUNKED, *(chunk(VIDEO[at : at + 7]) for at in range(0, len(VIDEO), 7)), b"0\r\n\r\n",
    ),
    "a video wrongly labelled gzip": (sized(VIDEO, "Content-Encoding: gzip"),),
    "a video wrongly labelled br": (sized(VIDEO, "Content-Encoding: br"),),
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
"""Strange, and yet a whole video."""


@dataclass(frozen=True)
class Certificate:
    """A certificate that nobody has signed, for 127.0.0.1."""

    path: Path

    def context(self) -> ssl.SSLContext:
        """Return what a server needs to show it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path)
        return context


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    if not shutil.which("openssl"):
        pytest.skip("openssl is not on this machine")
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
            "subjectAltName=IP:127.0.0.1", "-keyout", path, "-out", f"{path}.crt",
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    with path.open("ab") as file:
        file.write(Path(f"{path}.crt").read_bytes())
    return Certificate(path)


@contextmanager
def bounded(seconds: float, *, memory: bool = False) -> Iterator[None]:
    """What is done takes no longer, and no more than 64 MiB if that is measured."""
    if memory:
        seconds *= 3  # every allocation is written down meanwhile, which takes its time
        tracemalloc.start()
    started = time.monotonic()
    try:
        yield
        spent = time.monotonic() - started
        peak = tracemalloc.get_traced_memory()[1] if memory else 0
    finally:
        tracemalloc.stop()
    assert spent < seconds
    assert peak < MEMORY


def assert_for_people(text: str) -> None:
    """It is a short printable line in plain words."""
    assert text.isprintable()
    assert 2 < len(text) < 300, len(text)
    assert not NOT_PYTHON.search(text), text


def assert_no_trace(backups: Backups, *, kept: bool = False) -> None:
    """Nothing is under `data/`, and on its way only what a later night can go on with."""
    assert backups.held() == {}
    left = [p for p in (backups.archive / ".archiver/incoming").rglob("*") if p.is_file()]
    endings = {"".join(path.suffixes[-2:]) for path in left}
    assert endings == ({".json", ".part", ".part.json"} if kept else set())
    assert_true_bag(backups.archive)


def assert_archived(backups: Backups, video: bytes) -> None:
    assert backups.held()["data/v6/deepfake/263.mp4"] == video
    assert_true_bag(backups.archive)


def linked(url: str, proxy: LinkScript | None = None) -> Script:
    """Return the script of a generation whose primary link is `url`."""
    return Script(outputs=(OutputScript(primary=LinkScript(url=url), proxy=proxy),))


def faulty(fault: Fault, request: pytest.FixtureRequest) -> tuple[RawServer, str]:
    """Return the server of a fault, and its closed port for the links that need one."""
    tls = request.getfixturevalue("certificate").context() if fault.tls else None
    return RawServer(blindly=fault.blindly, tls=tls), str(closed_port())


def set_up(server: RawServer, fault: Fault, closed: str) -> str:
    """Tell a running server its steps; return the link to it."""
    places = {b"{host}": server.host.encode(), b"{closed}": closed.encode()}
    server.paths["*"] = tuple(
        _placed(step, places) if isinstance(step, bytes) else step for step in fault.steps
    )
    return _placed(fault.url.encode(), places).decode()


def _placed(text: bytes, places: dict[bytes, bytes]) -> bytes:
    for name, place in places.items():
        text = text.replace(name, place)
    return text


async def night(
    backups: Backups, url: str, proxy: LinkScript | None = None, **changes: object
) -> tuple[Report, Outcome]:
    """Back up one generation with this primary link, and return its outcome."""
    backups.emulator.scripts[G263] = linked(url, proxy)
    download = quick_downloads(max_size=LARGEST, **changes)
    report = await backups.run("263", download=download)
    (outcome,) = backups.outcomes
    return report, outcome


@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_is_told_and_leaves_no_trace(
    backups: Backups, name: str, request: pytest.FixtureRequest
) -> None:
    """The generation fails in bounded time and memory, for a reason that a person understands."""
    fault = FAULTS[name]
    server, closed = faulty(fault, request)
    async with server:
        url = set_up(server, fault, closed)
        with bounded(TRIES * LONGEST_TRY + SLACK, memory=fault.heavy):
            report, outcome = await night(backups, url, timeout=fault.timeout)
    assert isinstance(outcome, Failed)
    assert (report.failed, report.exit_status) == (1, 3)
    for told in outcome.faults:
        assert_for_people(told.reason)
        assert re.search(fault.reason, told.reason), told.reason
    assert outcome.faults
    assert_no_trace(backups, kept=fault.kept)


@pytest.mark.parametrize("name", FAULTS)
async def test_a_healthy_proxy_makes_up_for_a_fault(
    backups: Backups, name: str, request: pytest.FixtureRequest
) -> None:
    """Whatever the primary's server does, the proxy's bytes are archived, whole and alone."""
    fault = FAULTS[name]
    server, closed = faulty(fault, request)
    async with server:
        url = set_up(server, fault, closed)
        with bounded(LONGEST_TRY + SLACK):
            report, outcome = await night(backups, url, LinkScript())
    assert isinstance(outcome, Archived)
    assert (report.archived, report.exit_status) == (1, 0)
    assert [told.role for told in outcome.faults] == ["primary"]
    assert_for_people(outcome.faults[0].reason)
    assert_archived(backups, backups.emulator.payload(G263).whole())


@pytest.mark.parametrize("name", HARMLESS)
async def test_a_strange_server_may_yet_serve(backups: Backups, name: str) -> None:
    """What is no more than strange costs nothing: the video is archived, byte for byte."""
    async with RawServer({"*": HARMLESS[name]}) as server:
        with bounded(LONGEST_TRY):
            report, _ = await night(backups, f"http://{server.host}/a.mp4")
    assert report.exit_status == 0
    assert_archived(backups, VIDEO)


# The API's side.


@dataclass(frozen=True)
class ApiFault:
    """What stands in the place of the API does, and what becomes of the night."""

    exit_status: int
    reason: str
    steps: Steps = ()
    blindly: Steps | None = None
    heavy: bool = False


def nested(depth: int, innermost: bytes = b"") -> bytes:
    """Return JSON in so many lists."""
    return b"[" * depth + innermost + b"]" * depth


DEEP = b'{"status":"success","id":263,"output":%s}'
HUGE = json.dumps({"status": "success", "id": 263, "output": [], "tip": "x" * (5 << 20)}).encode()

API_FAULTS = {
    "reset before the request is read": ApiFault(69, BROKE, blindly=(Close.RESET,)),
    "closed without a byte": ApiFault(69, CLOSED, ()),
    "silent": ApiFault(69, SILENT, (Close.NEVER,)),
    "not HTTP": ApiFault(69, NOT_HTTP, (GARBAGE,)),
    "headers that never end": ApiFault(
        69, NOT_HTTP, (b"HTTP/1.1 200 OK\r\n", Endless(b"X: %s\r\n" % (b"x" * 999))), heavy=True
    ),
    "headers that drip": ApiFault(
        69, "silent|too slow", (b"HTTP/1.1 200 OK\r\n", Endless(b"X-Drip: x\r\n", every=0.2))
    ),
    "a body that drips": ApiFault(
        69, "silent|too slow", (head(), b'{"status":', Endless(b" ", every=0.2))
    ),
    "a zip bomb": ApiFault(
        69,
        "not JSON",
        (sized(gzip.compress(bytes(200_000_000), 1), "Content-Encoding: gzip"),),
        heavy=True,
    ),
    "a zip bomb labelled deflate": ApiFault(
        69,
        "not JSON",
        (sized(zlib.compress(b"[" * 50_000_000, 1), "Content-Encoding: deflate"),),
        heavy=True,
    ),
    "JSON nested 100,000 deep": ApiFault(
        69, "not JSON|nested", (sized(nested(100_000)),), heavy=True
    ),
    "JSON nested 100,000 deep, unclosed": ApiFault(69, "not JSON|nested", (sized(b"[" * 100_000),)),
    "links nested 100,000 deep": ApiFault(
        69, "not JSON|nested", (sized(DEEP % nested(100_000, b'"http://a/"')),), heavy=True
    ),
    "links nested 900 deep": ApiFault(3, "nested", (sized(DEEP % nested(900, b'"http://a/"')),)),
    "objects nested 40 deep": ApiFault(
        0, "", (sized(DEEP % (b'{"a":' * 40 + b'"http://a/"' + b"}" * 40)),)
    ),
    "JSON of 5 MiB": ApiFault(69, "more than 1,048,576 bytes", (sized(HUGE),), heavy=True),
    "JSON that never ends": ApiFault(
        69,
        "more than 1,048,576 bytes",
        (head(), b'{"status":"success","output":[', Endless(b'"http://a/",' * 5000)),
        heavy=True,
    ),
    "JSON said to be 8 exabytes": ApiFault(
        69, f"more than 1,048,576 bytes|{CLOSED}", (head(f"Content-Length: {1 << 62}"), b"{")
    ),
    "JSON that is cut": ApiFault(69, CLOSED, (head("Content-Length: 500"), b'{"status":"succ')),
    "a number of 100,000 digits": ApiFault(
        69, "not JSON", (sized(b'{"status":"processing","eta":%s}' % (b"9" * 100_000)),)
    ),
    "an eta of 1e999": ApiFault(0, "", (sized(b'{"status":"processing","eta":1e999}'),)),
    "JSON in UTF-16": ApiFault(
        0, "", (sized('{"status":"processing","id":263}'.encode("utf-16")),)
    ),
    "JSON that is not UTF-8": ApiFault(69, "not JSON", (sized(b'{"status":"\xff\xfe"}'),)),
    "ten thousand links": ApiFault(
        3,
        "10,000 links",
        (response(output=[f"http://127.0.0.1:9/{n}.mp4" for n in range(10_000)]),),
        heavy=True,
    ),
    "ten thousand proxy links": ApiFault(
        3,
        "10,000 links",
        (response(output=["http://127.0.0.1:9/"],
                proxy_links=[f"http://127.0.0.1:9/{n}.mp4" for n in range(10_000)]),),
    ),
    "a message of 900 kB": ApiFault(3, "x{50}", (sized(
        json.dumps({"status": "error", "message": "x" * 900_000}).encode()),)),
    "a message with control characters": ApiFault(3, "ModelsLab responded", (sized(
        json.dumps({"status": "error", "message": "Bad \x1b[2J\r\n\0\u202e \ud800"}).encode()),)),
    "a status that is a list": ApiFault(3, "unknown status", (sized(
        json.dumps({"status": ["success"] * 1000, "message": {"a": [None]}}).encode()),)),
    "a message of many parts": ApiFault(3, "ModelsLab responded", (sized(
        json.dumps({"status": "error", "message": {"a": [["x" * 500] * 20] * 20}}).encode()),)),
    "an ID of 100 kB": ApiFault(3, "is about generation", (response(id="\ud800" * 16_000),)),
    "a redirect": ApiFault(69, "", (redirect("/elsewhere", "307 Temporary Redirect"),)),
    "a status code of 999": ApiFault(69, "999", (sized(HTML, status="HTTP/1.1 999 \x07"),)),
}  # fmt: skip


def from_raw_api(server: RawServer) -> dict[str, object]:
    """Return the settings of a night that asks a raw server in place of ModelsLab."""
    api = ApiSettings(ApiKey(KEY), f"http://{server.host}", timeout=1, retries=0)
    return {"api": api, "download": quick_downloads(max_size=LARGEST)}


@pytest.mark.parametrize("name", API_FAULTS)
async def test_a_fault_of_the_api_is_told_and_leaves_no_trace(backups: Backups, name: str) -> None:
    """Whatever answers for ModelsLab: the night ends in bounded time and memory, and says why."""
    fault = API_FAULTS[name]
    async with RawServer({"*": fault.steps}, blindly=fault.blindly) as server:
        with bounded(LONGEST_TRY + SLACK, memory=fault.heavy):
            report = await backups.run("263", **from_raw_api(server))
    assert report.exit_status == fault.exit_status
    _, *told = report.lines()
    assert bool(told) == bool(fault.exit_status)
    for line in told:
        assert line.isprintable()
        assert len(line) < 1000
        assert not NOT_PYTHON.search(line), line
    assert re.search(fault.reason, "".join(told))
    assert_no_trace(backups)


async def raw_night(backups: Backups, server: RawServer, reply: bytes) -> Report:
    """Back up one generation whose response and links both come from a raw server."""
    server.paths |= {ASKED: (reply,)}
    with bounded(LONGEST_TRY + SLACK):
        return await backups.run("263", **from_raw_api(server))


@pytest.mark.parametrize(
    "link",
    [
        "http://{host}/a b.mp4",
        "  http://{host}/a.mp4\n",
        "http://{host}/vidéo/☃.mp4",
        "http://{host}/a.mp4?x=a b&y=é#frag ment",
        "http://{host}/%2e%2e/%zz/a%00.mp4",
        "http://{host}/../../../etc/passwd",
        "http://{host}//a//b.mp4?",
        "HTTP://{host}/A.MP4",
        "http://{host}",
        "http://{host}/" + "a" * 7000,
        "http://me:s3cret@{host}/a.mp4",
        "http://me%40home:s3cret%2F@{host}/a.mp4",
    ],
)
async def test_an_awkward_link_is_followed(backups: Backups, link: str) -> None:
    """Spaces, unicode, dots, encodings and a user are no fault, and name nothing in the archive."""
    async with RawServer({"*": (sized(VIDEO),)}) as server:
        report = await raw_night(backups, server, response(output=[link.format(host=server.host)]))
    assert report.exit_status == 0
    assert set(backups.held()) == {"data/v6/deepfake/263.mp4", "data/v6/deepfake/263.json"}
    assert_archived(backups, VIDEO)


@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)", "data:video/mp4;base64,AAAA", "ftp://{host}/a.mp4",
        "file:///etc/passwd", "ws://{host}/a.mp4", "http://", "http:///a.mp4", "https://:443/a.mp4",
        "http:a.mp4", "//{host}/a.mp4", "/a.mp4", "http://[::1", "http://[zz]/a.mp4",
        "http://{host}0000000/a.mp4", "http://127.0.0.1:-1/a.mp4", "http://127.0.0.1:1e3/a.mp4",
        "http://%00/a.mp4", "http://a\0b.invalid/", "http://a\r\nX-Injected: 1/a.mp4",
        "http://\ud800.invalid/a.mp4", "http://{host}/\ud800.mp4", "\ud800\udfff",
        "http://{bad}/\x1b[2J", "http://" + "a" * 100_000, "http://a..b.invalid/", "http://.../",
        "http://xn--/", "http://{host}@/", "{}", "\u202e", "http://ex\u2044ample.invalid/",
    ],
)  # fmt: skip
async def test_a_link_that_is_none_is_a_fault_like_any_other(backups: Backups, link: str) -> None:
    """No host, another scheme, a lone surrogate: the generation fails, and it is said why."""
    async with RawServer({"*": (sized(HTML, status="HTTP/1.1 404 Not Found"),)}) as server:
        url = link.replace("{host}", server.host)
        report = await raw_night(backups, server, response(output=[url]))
        assert not any("injected" in head.lower() for head in server.heads)
    assert (report.failed, report.exit_status) == (1, 3)
    (outcome,) = backups.outcomes
    assert isinstance(outcome, Failed)
    for told in outcome.faults:
        assert_for_people(told.reason)
        assert told.link.isprintable()
        assert len(told.link) <= 300
    assert_no_trace(backups)
    json.dumps(report.as_json(), ensure_ascii=False).encode()


async def test_a_link_given_many_times_is_asked_for_once(backups: Backups) -> None:
    """The same link over and over, among primaries and proxies, is one output with one link."""
    async with RawServer({"*": (sized(VIDEO),)}) as server:
        url = f"http://{server.host}/a.mp4"
        reply = response(output=[url] * 90, proxy_links=[url] * 5000)
        report = await raw_night(backups, server, reply)
    assert (report.archived, len(server.heads)) == (1, 2)
    assert_archived(backups, VIDEO)


async def test_many_links_are_no_more_than_a_hundred_requests(backups: Backups) -> None:
    """A hundred proxies for one output are all there ever are; each is tried twice a night."""
    async with RawServer({"*": (sized(HTML, status="HTTP/1.1 502 Broken"),)}) as server:
        urls = [f"http://{server.host}/{number}.mp4" for number in range(100)]
        report = await raw_night(backups, server, response(output=urls[:1], proxy_links=urls))
    assert report.exit_status == 3
    assert len(server.heads) == TRIES * (1 + 100)


@pytest.mark.parametrize(
    "link",
    [
        "http://me:s3cret@{host}/a.mp4",
        "http://me:s3cret@{host}/a.mp4?x=me:s3cret@b",
        "http://s3cret@{host}/a.mp4",
        "http://me:s3cret@nowhere.invalid/a.mp4",
        "http://me:s3cret@[::1/a.mp4",
        "http://me:s3cret/word@{host}/a.mp4",
        "http://me:s3cret?word@{host}/a.mp4",
        "http://me:s3cret#word@{host}/a.mp4",
        "ftp://me:s3cret@{host}/a.mp4",
        "me:s3cret@{host}/a.mp4",
        "//me:s3cret@{host}/a.mp4",
        "http:/me:s3cret@{host}/a.mp4",
        "http:\\\\me:s3cret@{host}/a.mp4",
    ],
)
async def test_the_password_in_a_link_is_not_shown(
    backups: Backups, caplog: pytest.LogCaptureFixture, link: str
) -> None:
    """However a link is written that has a user and a password: neither report nor log has it."""
    caplog.set_level(logging.DEBUG)
    async with RawServer({"*": (sized(HTML, status="HTTP/1.1 404 Not Found"),)}) as server:
        reply = response(output=[link.format(host=server.host)])
        report = await raw_night(backups, server, reply)
    shown = [*report.lines(), json.dumps(report.as_json()), repr(backups.outcomes), caplog.text]
    assert (report.failed, "s3cret" in "".join(shown)) == (1, False)


async def test_the_password_in_a_link_goes_to_its_host_alone(backups: Backups) -> None:
    """A redirect to another host does not carry it there."""
    async with RawServer({"*": (sized(VIDEO),)}) as other, RawServer() as server:
        server.paths["/a.mp4"] = (redirect(f"http://{other.host}/b.mp4"),)
        report = await raw_night(
            backups, server, response(output=[f"http://me:s3cret@{server.host}/a.mp4"])
        )
    assert report.archived == 1
    assert "Authorization: Basic" in server.heads[-1]
    assert "Authorization" not in other.heads[0]


# Links may not lead inside.

INSIDE = [
    "http://127.0.0.1:{port}/a.mp4",
    "https://127.0.0.1:{port}/a.mp4",
    "http://localhost:{port}/a.mp4",
    "http://me:s3cret@127.0.0.1:{port}/a.mp4",
    "http://[::1]:{port}/a.mp4",
    "http://[::]:{port}/a.mp4",
    "http://0.0.0.0:{port}/a.mp4",
    "http://\uff11\uff12\uff17.0.0.1:{port}/a.mp4",
    "http://[::ffff:127.0.0.1]:{port}/a.mp4",
    "http://[64:ff9b::7f00:1]:{port}/a.mp4",
    "http://10.0.0.1/a.mp4",
    "http://192.168.1.1/a.mp4",
    "http://100.64.0.1/a.mp4",
    "http://169.254.169.254/latest/meta-data/",
    "http://[fe80::1]/a.mp4",
    "http://[fd00::1]/a.mp4",
]
OUTSIDE_ONLY: dict[str, object] = {"download": quick_downloads(allow_private=False)}


def assert_refused(report: Report, outcomes: list[Outcome]) -> None:
    """The generation failed because its links lead inside, and it is told what allows that."""
    (outcome,) = outcomes
    assert isinstance(outcome, Failed)
    assert outcome.faults
    for told in outcome.faults:
        assert "--allow-private-links" in told.reason, told.reason
        assert_for_people(told.reason)
    assert report.exit_status == 3


@pytest.mark.parametrize("url", INSIDE)
async def test_a_link_may_not_lead_inside(backups: Backups, url: str) -> None:
    """Whichever way an inside address is written, no connection is made to it."""
    async with RawServer({"*": (sized(VIDEO),)}) as server:
        backups.emulator.scripts[G263] = linked(url.format(port=server.port))
        with bounded(LONGEST_TRY):
            report = await backups.run("263", **OUTSIDE_ONLY)
        assert server.connections == 0
    assert_refused(report, backups.outcomes)
    assert_no_trace(backups)


@pytest.mark.parametrize(
    "host", ["0", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1",
             "127.0.0.1.", "localhost.", "127.0.0.1%00.example.com"],
)  # fmt: skip
async def test_an_odd_spelling_of_an_address_leads_nowhere(backups: Backups, host: str) -> None:
    """The shorthands of `inet_aton` are refused as addresses inside, or as no links at all."""
    async with RawServer({"*": (sized(VIDEO),)}) as server:
        backups.emulator.scripts[G263] = linked(f"http://{host}:{server.port}/a.mp4")
        with bounded(LONGEST_TRY):
            report = await backups.run("263", **OUTSIDE_ONLY)
        assert server.connections == 0
    (outcome,) = backups.outcomes
    assert isinstance(outcome, Failed)
    assert re.search("--allow-private|not an? |no such host", outcome.faults[0].reason)
    assert report.exit_status == 3
    assert_no_trace(backups)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """A DNS that knows what the test tells it, and for the rest the real one."""
    known: dict[str, list[str]] = {}
    real = socket.getaddrinfo

    def look_up(host: object, port: object, *rest: object, **named: object) -> list[object]:
        addresses = known.get(str(host), [host])
        return [one for at in addresses for one in real(at, port, *rest, **named)]  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known


async def test_a_name_may_not_lead_inside(backups: Backups, names: dict[str, list[str]]) -> None:
    """What counts is where the DNS leads, with each of a name's addresses."""
    names["videos.example"] = ["10.0.0.1", "127.0.0.1", "169.254.169.254"]
    async with RawServer({"*": (sized(VIDEO),)}) as server:
        backups.emulator.scripts[G263] = linked(f"http://videos.example:{server.port}/a.mp4")
        report = await backups.run("263", **OUTSIDE_ONLY)
        assert server.connections == 0
    assert_refused(report, backups.outcomes)


@pytest.mark.usefixtures("near_is_outside")
async def test_of_a_names_addresses_the_public_ones_serve(
    backups: Backups, names: dict[str, list[str]]
) -> None:
    """An address inside among them is passed over."""
    names["videos.example"] = ["10.0.0.1", "127.0.0.1"]
    async with RawServer({"*": (sized(VIDEO),)}) as server:
        backups.emulator.scripts[G263] = linked(f"http://videos.example:{server.port}/a.mp4")
        assert (await backups.run("263", **OUTSIDE_ONLY)).archived == 1


@pytest.mark.usefixtures("near_is_outside")
async def test_a_name_with_a_dead_and_an_inside_address_is_told_in_words(
    backups: Backups, names: dict[str, list[str]]
) -> None:
    """Several failures to connect make one reason for people."""
    names["videos.example"] = ["127.0.0.1", "10.0.0.1"]
    backups.emulator.scripts[G263] = linked(f"http://videos.example:{closed_port()}/a.mp4")
    assert (await backups.run("263", **OUTSIDE_ONLY)).failed == 1
    (outcome,) = backups.outcomes
    assert isinstance(outcome, Failed)
    assert_for_people(outcome.faults[0].reason)


async def test_a_link_may_lead_inside_where_that_is_allowed(backups: Backups) -> None:
    """With `--allow-private-links` the same server serves."""
    async with RawServer({"*": (sized(VIDEO),)}) as server:
        report, _ = await night(backups, f"http://localhost:{server.port}/a.mp4")
    assert report.archived == 1


@pytest.fixture
def near_is_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let 127.0.0.1 count as public, and no other loopback address."""
    monkeypatch.setattr(address_guard, "is_public", lambda ip: ip == "127.0.0.1" or is_public(ip))


@pytest.mark.usefixtures("near_is_outside")
@pytest.mark.parametrize(
    "target",
    ["http://127.0.0.2:{port}/", "http://[::1]:{port}/",
     "https://127.0.0.2:{port}/", "//127.0.0.2:{port}/", "http://10.0.0.1/",
     "http://169.254.169.254/"],
)  # fmt: skip
async def test_a_redirect_may_not_lead_inside(backups: Backups, target: str) -> None:
    """A public server that redirects inside leads nowhere."""
    async with (
        RawServer({"*": (sized(VIDEO),)}, address="127.0.0.2") as inside,
        RawServer() as outside,
    ):
        outside.paths["*"] = (redirect(target.format(port=inside.port)),)
        backups.emulator.scripts[G263] = linked(f"http://{outside.host}/a.mp4")
        report = await backups.run("263", **OUTSIDE_ONLY)
        assert (outside.connections, inside.connections) == (TRIES, 0)
    assert_refused(report, backups.outcomes)
    assert_no_trace(backups)


@pytest.mark.usefixtures("near_is_outside")
async def test_a_redirect_may_lead_outside(backups: Backups) -> None:
    """The guard asks of each hop where it leads, and no more."""
    async with RawServer({"*": (sized(VIDEO),)}) as there, RawServer() as here:
        here.paths["*"] = (redirect(f"http://{there.host}/"),)
        backups.emulator.scripts[G263] = linked(f"http://{here.host}/a.mp4")
        report = await backups.run("263", **OUTSIDE_ONLY)
    assert report.archived == 1


# Proxies of the environment.


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxies that this machine has are none of these tests'."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY"])
async def test_a_proxy_of_the_environment_is_exempt(
    backups: Backups, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """Where a proxy stands between, it decides where links may lead: all requests go through it."""
    async with ForwardProxy() as proxy, RawServer({"*": (sized(VIDEO),)}) as server:
        monkeypatch.setenv(variable, f"http://{proxy.host}")
        backups.emulator.scripts[G263] = linked(f"http://{server.host}/a.mp4")
        report = await backups.run("263", **OUTSIDE_ONLY)
    assert report.archived == 1
    assert f"GET http://{server.host}/a.mp4 HTTP/1.1" in "".join(proxy.heads)
    assert_archived(backups, VIDEO)


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY"])
async def test_https_goes_through_a_tunnel(
    backups: Backups, monkeypatch: pytest.MonkeyPatch, certificate: Certificate, variable: str
) -> None:
    """An https link is asked for through CONNECT; the certificate of its own host is verified."""
    monkeypatch.setenv("SSL_CERT_FILE", f"{certificate.path}.crt")
    tls = certificate.context()
    async with ForwardProxy() as proxy, RawServer({"*": (sized(VIDEO),)}, tls=tls) as server:
        monkeypatch.setenv(variable, f"http://{proxy.host}")
        backups.emulator.scripts[G263] = linked(f"https://{server.host}/a.mp4")
        report = await backups.run("263", **OUTSIDE_ONLY)
    assert report.archived == 1
    assert [head.split("\r\n")[0] for head in proxy.heads] == [f"CONNECT {server.host} HTTP/1.1"]
    assert "Authorization" not in "".join(proxy.heads)


async def test_a_tunnel_does_not_excuse_a_certificate(
    backups: Backups, monkeypatch: pytest.MonkeyPatch, certificate: Certificate
) -> None:
    """Behind a proxy as elsewhere, a certificate that nobody has signed is not accepted."""
    tls = certificate.context()
    async with ForwardProxy() as proxy, RawServer({"*": (sized(VIDEO),)}, tls=tls) as server:
        monkeypatch.setenv("https_proxy", f"http://{proxy.host}")
        _, outcome = await night(backups, f"https://{server.host}/a.mp4")
    assert isinstance(outcome, Failed)
    assert "certificate is not accepted" in outcome.faults[0].reason


@pytest.mark.parametrize("variable", ["no_proxy", "NO_PROXY"])
async def test_what_goes_past_the_proxy_is_not_exempt(
    backups: Backups, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """Hosts that `NO_PROXY` names are asked directly, and so may not be inside."""
    async with ForwardProxy() as proxy, RawServer({"*": (sized(VIDEO),)}) as server:
        monkeypatch.setenv("http_proxy", f"http://{proxy.host}")
        monkeypatch.setenv(variable, "127.0.0.1")
        backups.emulator.scripts[G263] = linked(f"http://{server.host}/a.mp4")
        report = await backups.run("263", **OUTSIDE_ONLY)
        assert (proxy.connections, server.connections) == (0, 0)
    assert_refused(report, backups.outcomes)


@pytest.mark.parametrize("proxy", ["localhost:3128", "nonsense", "http://", "socks5://[::1"])
async def test_a_proxy_that_cannot_be_used_is_said_at_once(
    backups: Backups, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    """A proxy without a scheme or a host is a mistake to be told, not to be tried all night."""
    monkeypatch.setenv("http_proxy", proxy)
    backups.emulator.scripts[G263] = linked("http://127.0.0.1:9/a.mp4")
    with pytest.raises(ConfigurationError, match="http_proxy"):
        await backups.run("263", **OUTSIDE_ONLY)


@pytest.mark.parametrize("proxy", ["localhost:3128", "nonsense", "http://", "socks5://[::1"])
async def test_a_proxy_that_is_none_exempts_nothing(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    """A proxy without a host opens no door to this machine."""
    monkeypatch.setenv("ftp_proxy", proxy)
    exempt = await session._proxy_addresses()
    assert not any(port in (80, 443) for _, port in exempt)


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (sized(HTML, status="HTTP/1.1 403 Forbidden"), "proxy.*403"),
        (sized(HTML, status="HTTP/1.1 407 Proxy Authentication Required"), "proxy.*407"),
        (GARBAGE, NOT_HTTP),
    ],
)
async def test_a_proxy_that_refuses_a_tunnel_is_told(
    backups: Backups, monkeypatch: pytest.MonkeyPatch, refusal: bytes, reason: str
) -> None:
    """What the proxy said is not taken for the link host's words."""
    async with ForwardProxy(refusal) as proxy:
        monkeypatch.setenv("https_proxy", f"http://me:s3cret@{proxy.host}")
        report, outcome = await night(backups, "https://127.0.0.1:9/a.mp4")
    assert isinstance(outcome, Failed)
    assert_for_people(outcome.faults[0].reason)
    assert re.search(reason, outcome.faults[0].reason), outcome.faults[0].reason
    assert "s3cret" not in "".join(report.lines())


async def test_a_proxy_that_is_gone_is_told(
    backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that nobody answers at is a fault like any other, and its password not shown."""
    monkeypatch.setenv("https_proxy", f"http://me:s3cret@127.0.0.1:{closed_port()}")
    report, outcome = await night(backups, "https://127.0.0.1:9/a.mp4")
    assert isinstance(outcome, Failed)
    assert "proxy" in outcome.faults[0].reason
    assert "s3cret" not in "".join(report.lines())
