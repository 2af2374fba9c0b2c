"""A proxy in front of a store, on loopback, which does the harm that it is instructed to do.

Requests pass through it unchanged, their `Host` too, so that signatures hold.
"""

import http.client
import re
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from email.message import Message
from email.utils import format_datetime, parsedate_to_datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeAlias, assert_never

import pytest

from tests.support.seaweed import SeaweedFS

_BLOCK = 1 << 16
_TICK = 0.02
_SILENCE = 60.0
"""No connection outlives a silence of this many seconds."""
_ERROR = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>instructed</Message></Error>"


@dataclass(frozen=True, slots=True)
class Respond:
    """Respond with an error, and do not pass the request on."""

    status: int
    code: str = ""
    """What S3 calls it; without one the body is no error document of S3's."""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CutRequest:
    """Reset the connection when this many bytes of the body have come; pass nothing on."""

    after: int = 0


@dataclass(frozen=True, slots=True)
class LoseResponse:
    """Pass the request on, and reset the connection where the response should come."""


@dataclass(frozen=True, slots=True)
class CutResponse:
    """Reset the connection after this many bytes of the response's body."""

    after: int = 0


@dataclass(frozen=True, slots=True)
class Stall:
    """Pass the request on, and send only this many bytes of the response's body, or nothing."""

    after: int | None = None


@dataclass(frozen=True, slots=True)
class StopReading:
    """Read this much of the request's body, then nothing more; reset it when the event is set."""

    after: int
    released: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class Hold:
    """Pass the request on only when the event is set."""

    released: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class Corrupt:
    """Change one byte of the response's body."""

    at: int = 0


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Replace headers of the response; an empty value removes one."""

    headers: Mapping[str, str]


Fault: TypeAlias = (
    Respond
    | CutRequest
    | StopReading
    | LoseResponse
    | CutResponse
    | Stall
    | Hold
    | Corrupt
    | Rewrite
)


@dataclass(slots=True)
class Instruction:
    """A fault, and the requests that it befalls: so many of those that fit."""

    fault: Fault
    method: str = ".*"
    target: str = ""
    """A regular expression that is found in the path or the query."""
    times: int = 1

    def fits(self, request: "Request") -> bool:
        """Return whether it is about a request."""
        fits = re.fullmatch(self.method, request.method) and re.search(self.target, request.target)
        return bool(self.times and fits)


@dataclass(slots=True)
class Request:
    """A request that came, and the status that was sent in response; 0 if none was."""

    method: str
    target: str
    """Path and query, as they were sent."""
    headers: Message
    """By their names, whose case does not matter."""
    when: float
    """By the monotonic clock, in seconds."""
    status: int = 0


class StoreProxy:
    """Passes requests on to a store; `instruct` says what to do otherwise."""

    def __init__(self, store: str) -> None:
        self.requests: list[Request] = []
        self.clock = timedelta()
        """By how much the store's clock seems to be fast: it moves the `Date` of responses."""
        self.closing = threading.Event()
        self.store = store
        self._instructions: list[Instruction] = []
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self

    @property
    def endpoint_url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def running(self) -> Iterator["StoreProxy"]:
        """Serve, in threads of its own."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield self
        finally:
            self.closing.set()
            self._server.shutdown()
            self._server.close_connections()
            self._server.server_close()
            thread.join()

    def instruct(
        self, fault: Fault, method: str = ".*", target: str = "", times: int = 1
    ) -> Instruction:
        """Let a fault befall the next requests that fit; earlier instructions come first."""
        instruction = Instruction(fault, method, target, times)
        with self._lock:
            self._instructions.append(instruction)
        return instruction

    def forget(self) -> None:
        """Pass on everything from now on, and forget what has come."""
        with self._lock:
            self._instructions.clear()
            self.requests.clear()

    def came(self, method: str = ".*", target: str = "") -> list[Request]:
        """Return the requests that have come and fit."""
        pattern = Instruction(Hold(), method, target)
        return [request for request in list(self.requests) if pattern.fits(request)]

    def receive(self, request: Request) -> Fault | None:
        """Record a request; return what befalls it."""
        with self._lock:
            self.requests.append(request)
            for instruction in self._instructions:
                if instruction.fits(request):
                    instruction.times -= 1
                    return instruction.fault
        return None


class _Server(ThreadingHTTPServer):
    proxy: StoreProxy
    daemon_threads = False
    block_on_close = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._open: set[socket.socket] = set()

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        connection, address = super().get_request()
        self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: object) -> None:
        """Close a connection; `shutdown` would send a FIN before a RST."""
        self.close_request(request)

    def close_request(self, request: object) -> None:
        self._open.discard(request)
        super().close_request(request)  # type: ignore[arg-type]

    def close_connections(self) -> None:
        """End what threads still wait for."""
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that leave, or of connections that were cut."""


class _Cut(Exception):
    """The connection ends here, with a reset."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _SILENCE
    server: _Server

    def handle_expect_100(self) -> bool:
        """Ask for no body yet: see `_ask_for_body`."""
        return True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the library's name)
        """Print nothing: requests are recorded."""

    def do_any(self) -> None:
        """Pass a request on, or do what was instructed."""
        request = Request(self.command, self.path, self.headers, time.monotonic())
        fault = self.server.proxy.receive(request)
        try:
            self._handle(request, fault)
        except (_Cut, OSError, http.client.HTTPException):
            self._reset()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_any  # noqa: N815 (the library's names)

    def _handle(self, request: Request, fault: Fault | None) -> None:
        match fault:
            case Respond():
                self._respond(request, fault)
                return
            case CutRequest(after):
                self._ask_for_body()
                self.rfile.read(min(after, self._length()))
                raise _Cut
            case StopReading(after, released):
                self._ask_for_body()
                self.rfile.read(min(after, self._length()))
                _wait(released, self.server.proxy.closing)
                raise _Cut
            case Hold(released):
                _wait(released, self.server.proxy.closing)
            case LoseResponse() | CutResponse() | Stall() | Corrupt() | Rewrite() | None:
                pass
            case _:
                assert_never(fault)
        self._pass_on(request, fault)

    def _respond(self, request: Request, fault: Respond) -> None:
        """Respond instead of the store; the body is read, or the client might not see it."""
        self._ask_for_body()
        self.rfile.read(self._length())
        body = _ERROR.format(code=fault.code).encode() if fault.code else b"<html>no</html>"
        self.send_response(fault.status)
        for name, value in {"Content-Length": str(len(body)), **fault.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        request.status = fault.status

    def _pass_on(self, request: Request, fault: Fault | None) -> None:
        onward = http.client.HTTPConnection(self.server.proxy.store, timeout=_SILENCE)
        try:
            self._send(onward)
            response = onward.getresponse()
            self._return(request, response, fault)
        finally:
            onward.close()

    def _send(self, onward: http.client.HTTPConnection) -> None:
        onward.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() != "expect":
                onward.putheader(name, value)
        onward.endheaders()
        self._ask_for_body()
        left = self._length()
        while left and (block := self.rfile.read(min(left, _BLOCK))):
            onward.send(block)
            left -= len(block)
        if left:
            raise _Cut

    def _return(
        self, request: Request, response: http.client.HTTPResponse, fault: Fault | None
    ) -> None:
        if isinstance(fault, LoseResponse):
            response.read()
            raise _Cut
        if fault == Stall():
            self._stay_silent()
        whole = response.read() if response.chunked else None
        self.send_response_only(response.status, response.reason)
        for name, value in self._headers(response, whole, fault).items():
            self.send_header(name, value)
        self.end_headers()
        request.status = response.status
        blocks = iter(partial(response.read, _BLOCK), b"") if whole is None else iter([whole])
        self._return_body(blocks, fault)

    def _headers(
        self, response: http.client.HTTPResponse, whole: bytes | None, fault: Fault | None
    ) -> dict[str, str]:
        headers = dict(response.getheaders())
        if whole is not None:
            del headers["Transfer-Encoding"]
            headers["Content-Length"] = str(len(whole))
        date = parsedate_to_datetime(headers["Date"]) + self.server.proxy.clock
        headers["Date"] = format_datetime(date, usegmt=True)
        rewritten = fault.headers if isinstance(fault, Rewrite) else {}
        replaced = {name.lower() for name in rewritten}
        kept = {name: value for name, value in headers.items() if name.lower() not in replaced}
        return kept | {name: value for name, value in rewritten.items() if value}

    def _return_body(self, blocks: Iterator[bytes], fault: Fault | None) -> None:
        sent = 0
        for block in blocks:
            match fault:
                case CutResponse(after) | Stall(int(after)) if sent + len(block) > after:
                    self.wfile.write(block[: after - sent])
                    if isinstance(fault, Stall):
                        self._stay_silent()
                    raise _Cut
                case Corrupt(at) if sent <= at < sent + len(block):
                    changed = bytearray(block)
                    changed[at - sent] ^= 0xFF
                    self.wfile.write(changed)
                case _:
                    self.wfile.write(block)
            sent += len(block)

    def _length(self) -> int:
        return int(self.headers.get("Content-Length", 0))

    def _ask_for_body(self) -> None:
        """Ask for the body where the client waits for that (RFC 9110, 10.1.1)."""
        if "Expect" in self.headers:
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _stay_silent(self) -> None:
        """Wait until the client leaves, or the proxy ends."""
        while not self.server.proxy.closing.is_set():
            readable, _, _ = select.select([self.connection], [], [], _TICK)
            if readable and not self.connection.recv(1, socket.MSG_PEEK):
                break
        raise _Cut

    def _reset(self) -> None:
        """Close with RST: unsent bytes are dropped (socket(7), SO_LINGER)."""
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True


def _wait(released: threading.Event, closing: threading.Event) -> None:
    while not released.wait(_TICK):
        if closing.is_set():
            raise _Cut


@pytest.fixture
def proxy(seaweed: SeaweedFS) -> Iterator[StoreProxy]:
    """A proxy in front of the server."""
    with StoreProxy(seaweed.host).running() as running:
        yield running
