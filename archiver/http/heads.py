"""Response heads: as large as curl takes them, with one length, or none beside chunks."""

import re
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

_IN_ALL = 300 << 10
_LINE = 100 << 10
"""In bytes. These limits are curl's."""
_LINES = 1000
_OF_THE_PARSER = {"max_line_size": _LINE, "max_field_size": _LINE, "max_headers": _LINES}
"""Its own limits are for what follows a body in chunks: a head never gets so far."""
_USUAL = 8 << 10
_LENGTH = b"content-length:"
_LENGTHS = re.compile(rb"\ncontent-length:[^\r\n]*,")
_CHUNKED = re.compile(rb"transfer-encoding:[ \t]*chunked[ \t]*\r?\n", re.IGNORECASE)
_VERSION = b"HTTP/"
_INFORMATIONAL = re.compile(rb"HTTP/[0-9]\.[0-9] 1")


class HeadTooLarge(aiohttp.ClientError):
    """The head of a response is larger than any that is meant well."""


class LengthsDiffer(aiohttp.ClientError):
    """The head of a response gives more than one length."""


class Head:
    """The head of one response, on its way to the parser.

    A Content-Length that is repeated is given once (RFC 9110, 8.6), and none beside chunks, which
    override it (RFC 9112, 6.3): parsers refuse either.
    """

    def __init__(self) -> None:
        self.ended = False
        self._size = self._lines = 0
        self._line = bytearray()
        self._passed = 0
        """How much of the line the parser has."""
        self._status = b""
        self._length: bytes | None = None
        self._chunked = False

    def feed(self, data: bytes) -> bytes:
        """Return what the parser is to read, now that this has come.

        Raises:
            HeadTooLarge: if it goes on for too long.
            LengthsDiffer: if it contradicts itself.
        """
        start, parsed = 0, bytearray()
        while start < len(data) and not self.ended:
            end = data.find(b"\n", start) + 1 or len(data)
            parsed += self._take(data[start:end])
            start = end
        return bytes(parsed) + data[start:]

    def _take(self, piece: bytes) -> bytes:
        """Take a line, or a piece of one."""
        self._line += piece
        self._size += len(piece)
        whole = piece.endswith(b"\n")
        self._lines += whole
        if not self._status and not _VERSION.startswith(self._line[: len(_VERSION)].strip()):
            self.ended = True  # it is none: the parser says what is wrong with it
            return piece
        if self._size > _IN_ALL or len(self._line) > _LINE or self._lines > _LINES:
            raise HeadTooLarge
        name = bytes(self._line[: len(_LENGTH)]).lower()
        if not whole and _LENGTH.startswith(name):
            return b""  # until it is whole
        rest = bytes(self._line[self._passed :])
        self._passed = len(self._line)
        if not whole:
            return rest
        line, self._line, self._passed = bytes(self._line), bytearray(), 0
        if name == _LENGTH:
            self._take_length(line)
            return b""
        return self._other(line, rest)

    def _other(self, line: bytes, rest: bytes) -> bytes:
        if not line.strip():
            return self._end() + rest
        if not self._status:
            self._status = line
        self._chunked = self._chunked or bool(_CHUNKED.fullmatch(line))
        return rest

    def _end(self) -> bytes:
        """End the head with the line for its length."""
        known = self._length is not None and not self._chunked
        line = b"Content-Length: %s\r\n" % self._length if known else b""
        self.ended = bool(self._status) and not _INFORMATIONAL.match(self._status)
        self._status, self._length, self._chunked = b"", None, False
        return line

    def _take_length(self, line: bytes) -> None:
        """Keep the length, until it is known that there is no other one."""
        lengths = {length.strip() for length in line[len(_LENGTH) :].split(b",")}
        length = lengths.pop()
        if lengths or self._length not in (None, length):
            raise LengthsDiffer
        self._length = length


def _is_usual(data: bytes) -> bool:
    """Return whether a head is here whole, is small, and says its length once or not at all."""
    if (end := data.find(b"\r\n\r\n", 0, _USUAL)) < 0:
        return False
    head = data[:end].lower()
    if not head.startswith(b"http/1.") or _INFORMATIONAL.match(data):
        return False
    lengths = head.count(b"\n" + _LENGTH) + head.count(b"\ntransfer-encoding:")
    return lengths < 2 and not _LENGTHS.search(head)


class Protocol(ResponseHandler):
    """Reads responses whose heads may be large, and say their length again and again.

    Its one timer for silences looks when something has come last: aiohttp's own is set anew with
    every piece of data.
    """

    _awaits_head = False
    _head: Head | None = None
    """What has come of one that is not usual."""
    _heard_at: float | None = None
    """When something has come last, or was asked for; None while nothing is to come."""

    def set_response_params(self, *args: Any, **params: Any) -> None:
        """Expect the next response."""
        self._awaits_head, self._head = True, None
        super().set_response_params(*args, **params | _OF_THE_PARSER)

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        if self._awaits_head:
            try:
                data = self._feed_head(data)
            except aiohttp.ClientError as error:
                if self.transport:
                    self.transport.close()
                self.set_exception(error)
                return
        super().data_received(data)

    def _feed_head(self, data: bytes) -> bytes:
        """Return what the parser is to read; most heads are usual, and come whole."""
        if not self._head and _is_usual(data):
            self._awaits_head = False
            return data
        self._head = self._head or Head()
        data = self._head.feed(data)
        self._awaits_head = not self._head.ended
        return data

    def connection_lost(self, exc: BaseException | None) -> None:
        """End with the connection."""
        super().connection_lost(exc)
        super()._drop_timeout()

    def _reschedule_timeout(self) -> None:
        self._heard_at = self._loop.time()
        if not self._read_timeout_handle and self._read_timeout:
            self._set_timer(self._read_timeout)

    def _drop_timeout(self) -> None:
        self._heard_at = None

    def _set_timer(self, seconds: float) -> None:
        self._read_timeout_handle = self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        self._read_timeout_handle = None
        if self._heard_at is None or not self._read_timeout:
            return
        left = self._heard_at + self._read_timeout - self._loop.time()
        if left > 0:
            self._set_timer(left)
        else:
            self._on_read_timeout()


class Connector(aiohttp.TCPConnector):
    """Makes connections on which such responses are read."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = lambda: Protocol(self._loop)  # type: ignore[assignment]
