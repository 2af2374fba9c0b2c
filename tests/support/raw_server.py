"""A raw TCP server with a script: the bytes to send, when to pause and how to close.

It knows no HTTP, so it can send whatever a broken or hostile server may send.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Self, TypeAlias

_TURNS = 5
"""Of the event loop: after these an accepted socket has its transport."""
_LONGEST_HEAD = 1 << 20
_BLOCK = 1 << 16
_ANY_PATH = "*"


class Close(Enum):
    """How a connection ends; after its last step, by default, with a FIN."""

    RESET = "RST"
    NEVER = "never"
    """It stays open until the client leaves or the server stops."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Send nothing for some seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Endless:
    """Send these bytes again and again, `every` few seconds, until the client leaves."""

    data: bytes
    every: float = 0.0


Step: TypeAlias = bytes | Pause | Endless | Close
Steps: TypeAlias = tuple[Step, ...]


class _Listener:
    """Listens on a free port of a loopback address."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, address: str = "127.0.0.1") -> None:
        self.heads: list[str] = []
        """The head of each request, as it was read."""
        self.connections = 0
        self._tls = tls
        self._address = address
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._accept, self._address, 0, ssl=self._tls, limit=_LONGEST_HEAD
        )
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        for listening in self._server.sockets:
            asyncio.get_running_loop().remove_reader(listening.fileno())
        for _turn in range(_TURNS):  # what was just accepted becomes a connection, to be closed
            await asyncio.sleep(0)
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def host(self) -> str:
        """Address and port, as in a URL."""
        return f"{self._address}:{self.port}"

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # Also where it is cancelled before it has begun.
        task.add_done_callback(lambda _: writer.transport.abort())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._converse(reader, writer)
            writer.close()
            await writer.wait_closed()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the client has left, as it may
        finally:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError

    async def _read_head(self, reader: asyncio.StreamReader) -> str:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        self.heads.append(head)
        return head


class RawServer(_Listener):
    """Reads one request per connection, and responds with the steps for its path in `paths`.

    `*` stands for any other path. Steps given as `blindly` are taken at once, without reading a
    request.
    """

    def __init__(
        self,
        paths: Mapping[str, Steps] | None = None,
        *,
        blindly: Steps | None = None,
        tls: ssl.SSLContext | None = None,
        address: str = "127.0.0.1",
    ) -> None:
        super().__init__(tls=tls, address=address)
        self.paths = dict(paths or {})
        self._blindly = blindly

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        steps = self._blindly
        if steps is None:
            head = await self._read_head(reader)
            await reader.readexactly(_content_length(head))
            steps = self.paths.get(head.split(" ")[1], self.paths.get(_ANY_PATH, ()))
        for step in steps:
            await _take(step, reader, writer)


class ForwardProxy(_Listener):
    """An HTTP proxy: it forwards requests for absolute URLs, and opens tunnels for CONNECT.

    With a `refusal`, it sends that in response to every request instead.
    """

    def __init__(self, refusal: bytes = b"") -> None:
        super().__init__()
        self._refusal = refusal

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await self._read_head(reader)
        if self._refusal:
            writer.write(self._refusal)
            return
        method, target, rest = head.split(" ", 2)
        host, _, path = target.removeprefix("http://").partition("/")
        name, _, port = host.rpartition(":")
        there, onward = await asyncio.open_connection(name, int(port))
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        else:
            onward.write(f"{method} /{path} {rest}".encode("latin-1"))
        try:
            await asyncio.gather(_pump(there, writer), _pump(reader, onward))
        finally:
            onward.transport.abort()
            with suppress(OSError):
                await onward.wait_closed()


async def _take(step: Step, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    match step:
        case bytes():
            writer.write(step)
            await writer.drain()
        case Pause(seconds):
            await asyncio.sleep(seconds)
        case Endless(data, every):
            while True:
                await _take(data, reader, writer)
                await asyncio.sleep(every)
        case Close.RESET:
            reset(writer)
        case Close.NEVER:
            while await reader.read(_BLOCK):
                pass


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on all bytes, then the end of the stream."""
    with suppress(OSError):
        while block := await reader.read(_BLOCK):
            writer.write(block)
            await writer.drain()
    writer.close()


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST: unsent bytes are dropped (socket(7), SO_LINGER)."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


def closed_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _content_length(head: str) -> int:
    for line in head.split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            return int(value)
    return 0
