"""A transfer: one try at one link, from where an earlier try has stopped."""

import asyncio
import re
import time
from contextlib import nullcontext
from datetime import UTC, datetime
from http import HTTPStatus

import aiohttp
from yarl import URL

from archiver.apikey import REDACTED
from archiver.archive.disk_space import DiskSpace, DoesNotFit
from archiver.archive.partial_file import Origin, PartialFile, Payload
from archiver.download.bandwidth import Bandwidth
from archiver.download.hosts import Hosts
from archiver.download.resume import continues, origin_of, range_headers, total_length
from archiver.download.sink import Sink
from archiver.http.errors import KeyInRedirect, describe_error
from archiver.http.retry_after import parse_retry_after
from archiver.media import NotWhole
from archiver.outcomes import LinkFault
from archiver.outputs import Link
from archiver.progress import ByteProgress
from archiver.settings import DownloadSettings
from archiver.threads import in_thread
from archiver.units import format_duration, format_size, printable

_CRAWL = 1024
"""Slower than this many bytes a second, over the time a connection may be silent, is a crawl."""
_HEAD = 2
"""The head, redirects included, may take this many times as long as a connection may be silent."""
_TRANSIENT = (408, 425, 500, 502, 504)
_THROTTLING = (429, 503)
_FINAL = (
    ValueError,
    KeyInRedirect,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
    aiohttp.TooManyRedirects,
    aiohttp.ClientConnectorCertificateError,
)
"""Errors that another try does not cure."""


class TransferError(Exception):
    """A link did not give the payload; the text is the reason, for people."""

    def __init__(
        self,
        reason: str,
        *,
        status: int = 0,
        transient: bool = False,
        pause: float | None = None,
        useless: bool = False,
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.transient = transient
        self.pause = pause
        self.useless = useless
        """What has come is of no use: to go on with it would only take more space."""


class _Mismatch(Exception):
    """The response does not go on with the partial file: fetch the whole."""


class Transfer:
    """Fetches payloads from links into partial files, and minds their hosts."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        settings: DownloadSettings,
        space: DiskSpace,
        progress: ByteProgress,
    ) -> None:
        self._session = session
        self._settings = settings
        self._space = space
        self._progress = progress
        self._hosts = Hosts(settings.concurrency, settings.per_host)
        self._bandwidth = Bandwidth(settings.limit_rate)

    async def run(self, link: Link, partial: PartialFile) -> Payload | LinkFault:
        """Fetch the payload at `link`, proven whole; a fault is a value.

        What has come stays in the partial file, if it can be resumed.

        Raises:
            StorageError: if the disk fails, or has no space for anything.
        """
        try:
            url = _parse(link)
            async with self._hosts.slot(url):
                return await self._ask_host(url, partial)
        except DoesNotFit as error:
            await self._space.require_after(error)
            reason = printable(str(error))
            return LinkFault(link.role, shown(link), reason, pause=error.pause, no_space=True)
        except TransferError as error:
            if error.useless:
                await _reset(partial)
            pause = error.pause
            if error.status in _THROTTLING:
                pause = self._hosts.throttled(url, str(error), pause)
            reason = printable(str(error))
            return LinkFault(link.role, shown(link), reason, error.status, error.transient, pause)

    async def _ask_host(self, url: URL, partial: PartialFile) -> Payload:
        pause, reason = self._hosts.pause(url)
        if pause:
            wait = format_duration(pause)
            raise TransferError(
                f"not tried: its host asked for a pause ({reason}), which ends in {wait}",
                pause=pause,
            )
        payload = await self._fetch(url, partial)
        self._hosts.served(url)
        return payload

    async def _fetch(self, url: URL, partial: PartialFile) -> Payload:
        """Fetch the rest of a partial file or, where that leads nowhere, the whole."""
        if partial.bytes:
            try:
                return await self._receive(url, partial)
            except (_Mismatch, NotWhole):
                await _reset(partial)
        try:
            return await self._receive(url, partial)
        except NotWhole as error:
            await _reset(partial)
            raise TransferError(str(error)) from None

    async def _receive(self, url: URL, partial: PartialFile) -> Payload:
        """Make one request, and complete the partial file with its body."""
        received = _Received(self._progress)
        try:
            async with await self._head(url, range_headers(partial, url)) as response:
                length = await self._agree(response, partial, url)
                small = partial.fits_in_memory(length or 1 << 20)
                async with nullcontext() if small else self._space.claim(partial, length):
                    received.begin(length, partial.bytes)
                    rest = await self._take_body(response, partial, received)
                    return await _complete(partial, rest, response, length)
        except BaseException as error:  # also when cancelled, or the bars would be ahead
            received.undo()
            if isinstance(error, NotWhole):
                raise
            if isinstance(error, aiohttp.ClientError | TimeoutError | ValueError):
                reason = describe_error(error, self._settings.timeout) + received.so_far()
                raise TransferError(reason, transient=not _is_final(error)) from None
            raise

    async def _head(self, url: URL, headers: dict[str, str]) -> aiohttp.ClientResponse:
        """Wait for the head of a response; one that drips in without end is given up."""
        async with asyncio.timeout(self._settings.timeout * _HEAD):
            return await self._session.get(url, headers=headers)

    async def _agree(
        self, response: aiohttp.ClientResponse, partial: PartialFile, url: URL
    ) -> int | None:
        """Find out whether a response goes on with the partial file or begins anew.

        Return the length of the whole payload, where it is announced.
        """
        if partial.bytes and continues(response, partial):
            length = total_length(response)
        else:
            if partial.bytes and response.status in (206, 416):
                raise _Mismatch
            _check_status(response)
            length = response.content_length
            origin = origin_of(response, url)
            if partial.bytes or partial.origin or origin:
                await _reset(partial, origin)
        if length is not None and length > self._settings.max_size:
            reason = f"{format_size(length)}, more than --max-size allows"
            raise TransferError(reason, useless=True)
        return length

    async def _take_body(
        self, response: aiohttp.ClientResponse, partial: PartialFile, received: "_Received"
    ) -> bytes:
        """Write the body to the partial file, but for its last block, which is returned."""
        crawl, share = _Crawl(self._settings.timeout), self._bandwidth.share()
        content = response.content
        async with Sink(partial, self._space) as sink:
            while not content.at_eof() and (chunk := await self._some(content)):
                received.add(len(chunk))
                crawl.check(len(chunk))
                if share.take(len(chunk)):
                    await share.wait()
                if received.total > self._settings.max_size:
                    reason = "it goes on beyond what --max-size allows"
                    raise TransferError(reason, useless=True)
                if sink.take(chunk):
                    await sink.write()
            return await sink.rest()

    async def _some(self, content: aiohttp.StreamReader) -> bytes:
        """Return what there is of the body; bytes that are no body do not count as progress."""
        async with asyncio.timeout(self._settings.timeout):
            return await content.readany()


class _Crawl:
    """Gives up a body that comes more slowly than a person would wait for."""

    def __init__(self, window: float) -> None:
        self._window = window
        self._since = 0
        self._started = time.monotonic()

    def check(self, count: int) -> None:
        self._since += count
        if (spent := time.monotonic() - self._started) < self._window:
            return
        if self._since < _CRAWL * spent:
            reason = f"too slow: {self._since:,} bytes in {spent:.0f} s"
            raise TransferError(reason, transient=True)
        self._since, self._started = 0, time.monotonic()


class _Received:
    """The bytes of one try, shown as progress, and taken back if it comes to nothing."""

    def __init__(self, progress: ByteProgress) -> None:
        self._progress = progress
        self._before = 0
        self._count = 0
        self._length: int | None = None

    def begin(self, length: int | None, before: int) -> None:
        """Expect a payload of `length` bytes, of which `before` are there."""
        self._length, self._before = length, before
        self._progress.expected((length or before) - before)

    def add(self, count: int) -> None:
        self._count += count
        self._progress.received(count)

    def undo(self) -> None:
        self._progress.expected(self._before - (self._length or self._before))
        self._progress.received(-self._count)

    @property
    def total(self) -> int:
        """How many bytes of the payload there are now."""
        return self._before + self._count

    def so_far(self) -> str:
        """How much had come, for the reason."""
        if self._length is not None:
            return f" after {self.total:,} of {self._length:,} bytes"
        return f" after {self.total:,} bytes" if self.total else ""


def _parse(link: Link) -> URL:
    if REDACTED in link.url:
        raise TransferError("not followed: the link contains the API key")
    try:
        # A link that is already encoded may be signed: it is sent to the letter.
        url = URL(link.url, encoded=link.url.isascii() and " " not in link.url)
        followable = url.scheme in ("http", "https") and url.host
    except ValueError:
        raise TransferError("not a link") from None
    if not followable:
        raise TransferError("not an http(s) link")
    return url


def shown(link: Link) -> str:
    """Return the link for people: without its query, user and password."""
    scheme, colon, rest = link.url.partition(":")
    slashes = rest[: len(rest) - len(rest.lstrip("/\\"))]
    place = rest.removeprefix(slashes).rpartition("@")[2]
    plain = re.split("[?#]", f"{scheme}{colon}{slashes}{place}")[0]
    return printable(plain[:300])


def _check_status(response: aiohttp.ClientResponse) -> None:
    status = response.status
    if status == HTTPStatus.OK:
        return
    reason = f"{status} {(response.reason or '')[:100]}".rstrip()
    pause = None
    if status in _THROTTLING:
        pause = parse_retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
    raise TransferError(reason, status=status, transient=status in _TRANSIENT, pause=pause)


def _is_final(error: Exception) -> bool:
    if isinstance(error, _FINAL):
        return True
    refused = isinstance(error, aiohttp.ClientConnectorError) and error.os_error
    return isinstance(refused, PermissionError)


async def _reset(partial: PartialFile, origin: Origin | None = None) -> None:
    if partial.on_disk:
        await in_thread(partial.reset, origin)
    else:
        partial.reset(origin)


async def _complete(
    partial: PartialFile, rest: bytes, response: aiohttp.ClientResponse, length: int | None
) -> Payload:
    """Complete the partial file; what fits in memory needs no thread."""
    chunked = response.headers.get("Transfer-Encoding", "").lower() == "chunked"

    def complete() -> Payload:
        partial.write(rest)
        return partial.complete(length, delimited=length is not None or chunked)

    return complete() if partial.fits_in_memory(len(rest)) else await in_thread(complete)
