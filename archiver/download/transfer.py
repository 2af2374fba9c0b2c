"""A transfer: one try at one link, from where an earlier try has stopped."""

import asyncio
from contextlib import nullcontext

import aiohttp
from yarl import URL

from archiver.apikey import ApiKey
from archiver.archive.disk_space import DiskSpace
from archiver.archive.fitting import DoesNotFit
from archiver.archive.partial_file import Origin, PartialFile, Payload
from archiver.download.faults import THROTTLING, TransferError, check_status, is_final
from archiver.download.hosts import Host, Hosts
from archiver.download.links import parse, shown
from archiver.download.received import Crawl, Received
from archiver.download.resume import (
    WORTH_RESUMING,
    content_range,
    continues,
    is_all,
    origin_of,
    range_headers,
)
from archiver.download.sink import Sink
from archiver.http import redirects
from archiver.http.bandwidth import Bandwidth
from archiver.http.errors import describe_error
from archiver.media.reader import NotWhole
from archiver.outcomes import LinkFault
from archiver.outputs import Link
from archiver.progress import ByteProgress
from archiver.settings import DownloadSettings
from archiver.threads import in_thread
from archiver.units import format_duration, format_size, printable

_HEAD = 2
"""The head, redirects included, may take this many times as long as a connection may be silent."""
_PARTS = 1000
"""A payload that comes in more parts than this is left to the next try."""
_PIECE = 1 << 20
"""An inline payload is written in pieces of this many bytes."""


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
        key: ApiKey | None = None,
    ) -> None:
        self._session = session
        self._key = key
        self._settings = settings
        self._space = space
        self._progress = progress
        self._hosts = Hosts(settings.concurrency, settings.per_host)
        self._bandwidth = Bandwidth(settings.limit_rate)
        self.under_way = 0
        """How many payloads are being downloaded: others wait for their turn."""

    async def run(self, link: Link, partial: PartialFile) -> Payload | LinkFault:
        """Fetch the payload at `link`, proven whole; a fault is a value.

        What has come stays in the partial file, if it can be resumed.

        Raises:
            StorageError: if the disk fails, or has no space for anything.
        """
        try:
            if link.url.startswith("data:"):
                return await self._take_inline(link, partial)
            url = parse(link)
            host = self._hosts.of(url)
            async with host.slots, self._hosts.slots:
                self.under_way += 1
                try:
                    return await self._ask(host, url, partial)
                finally:
                    self.under_way -= 1
        except DoesNotFit as error:
            await self._space.require_after(error)
            reason = printable(str(error))
            return LinkFault(link.role, shown(link), reason, pause=error.pause, no_space=True)
        except TransferError as error:
            if error.useless:
                await _reset(partial)
            pause = error.pause
            if error.status in THROTTLING:
                pause = host.throttled(url, str(error), pause)
            reason = printable(str(error))
            return LinkFault(link.role, shown(link), reason, error.status, error.transient, pause)

    async def _take_inline(self, link: Link, partial: PartialFile) -> Payload:
        """Complete the partial file with a payload that came with the response itself."""
        data = link.inline.data if link.inline else None
        if data is None:
            raise TransferError("a data: URL that cannot be decoded")
        if len(data) > self._settings.max_size:
            raise TransferError(f"{format_size(len(data))}, more than --max-size allows")
        await _reset(partial)
        small = partial.fits_in_memory(len(data))
        try:
            async with nullcontext() if small else self._space.claim(partial, len(data)):
                payload = await _completed_with(partial, data)
        except NotWhole as error:
            await _reset(partial)
            raise TransferError(str(error)) from None
        self._progress.expected(len(data))
        self._progress.received(len(data))
        return payload

    async def _ask(self, host: Host, url: URL, partial: PartialFile) -> Payload:
        if silence := self._hosts.silence(partial.name, url):
            raise TransferError(f"{silence}; not tried again on this run")
        pause, reason = host.pause()
        if pause:
            wait = format_duration(pause)
            raise TransferError(
                f"not tried: its host asked for a pause ({reason}), which ends in {wait}",
                pause=pause,
            )
        payload = await self._fetch(url, partial)
        host.served()
        return payload

    async def _fetch(self, url: URL, partial: PartialFile) -> Payload:
        """Fetch the rest of a partial file or, where that leads nowhere, the whole."""
        if partial.bytes:
            try:
                return await self._receive(url, partial)
            except (_Mismatch, NotWhole) as error:
                partial.log_unresumed(str(error))
                await _reset(partial)
        try:
            return await self._receive(url, partial)
        except (_Mismatch, NotWhole) as error:
            await _reset(partial)
            raise TransferError(str(error)) from None

    async def _receive(self, url: URL, partial: PartialFile) -> Payload:
        """Request what is missing, and complete the partial file with it."""
        for parts in range(_PARTS):
            if payload := await self._request(url, partial, parts):
                return payload
        raise TransferError("it comes in too many parts", transient=True)

    async def _request(self, url: URL, partial: PartialFile, parts: int) -> Payload | None:
        """Make one request; return the payload, or None if the response was but a part of it.

        Only after `parts` that came just now can nothing be missing: a partial file of full length
        that an earlier try has left is not believed.
        """
        received = Received(self._progress)
        try:
            async with await self._head(url, partial) as response:
                if parts and is_all(response, partial):
                    return await _complete(partial, b"", response, partial.bytes)
                length = await self._agree(response, partial, url)
                small = partial.fits_in_memory(length or 1 << 20)
                async with nullcontext() if small else self._space.claim(partial, length):
                    received.begin(length, partial.bytes)
                    rest = await self._take_body(response, partial, received)
                    if _is_part(response, received, length):
                        await _write(partial, rest)
                        received.expect_again()
                        return None
                    return await _complete(partial, rest, response, length)
        except BaseException as error:  # also when cancelled, or the bars would be ahead
            received.undo()
            if isinstance(error, NotWhole):
                raise
            if isinstance(error, aiohttp.ClientError | TimeoutError | ValueError):
                if not partial.origin and received.total >= WORTH_RESUMING:
                    partial.log_unresumed("its host gave no strong validator")
                reason = describe_error(error, self._settings.timeout) + received.so_far()
                raise TransferError(reason, transient=not is_final(error)) from None
            raise

    async def _head(self, url: URL, partial: PartialFile) -> aiohttp.ClientResponse:
        """Wait for the head of a response; one that drips in without end is given up.

        A link that is silent is not tried again on this run: each try costs a timeout.
        """
        try:
            async with asyncio.timeout(self._settings.timeout * _HEAD):
                headers = range_headers(partial, url)
                return await redirects.get(self._session, url, headers, self._key)
        except TimeoutError as error:
            reason = describe_error(error, self._settings.timeout)
            self._hosts.was_silent(partial.name, url, reason)
            raise TransferError(reason) from None

    async def _agree(
        self, response: aiohttp.ClientResponse, partial: PartialFile, url: URL
    ) -> int | None:
        """Find out whether a response goes on with the partial file or begins anew.

        Return the length of the whole payload, where it is announced.
        """
        if partial.bytes and continues(response, partial):
            length = _whole_length(response, partial)
        else:
            if partial.bytes and response.status in (206, 416):
                raise _Mismatch(f"HTTP {response.status} does not go on with it")
            check_status(response)
            if partial.bytes and partial.origin:
                asked = "Range" in response.request_info.headers
                whole, other = "its host sends the whole file", "another link has another date"
                partial.log_unresumed(whole if asked else other)
            span = content_range(response)
            length = span.total if span else response.content_length
            origin = origin_of(response, url)
            if partial.bytes or partial.origin or origin:
                await _reset(partial, origin)
        if length is not None and length > self._settings.max_size:
            reason = f"{format_size(length)}, more than --max-size allows"
            raise TransferError(reason, useless=True)
        return length

    async def _take_body(
        self, response: aiohttp.ClientResponse, partial: PartialFile, received: Received
    ) -> bytes:
        """Write the body to the partial file, but for its last block, which is returned."""
        crawl, share = Crawl(self._settings.timeout), self._bandwidth.share()
        content = response.content
        async with Sink(partial, self._space) as sink:
            while not content.at_eof() and (chunk := await self._some(response)):
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

    async def _some(self, response: aiohttp.ClientResponse) -> bytes:
        """Return what there is of the body; bytes that are no body do not count as progress."""
        if response.content_length is not None:  # then all bytes are body
            return await response.content.readany()
        async with asyncio.timeout(self._settings.timeout):
            return await response.content.readany()


def _whole_length(response: aiohttp.ClientResponse, partial: PartialFile) -> int | None:
    """Return the length of the whole that a response goes on with, where it was ever given."""
    span = content_range(response)
    return (span and span.total) or (partial.origin and partial.origin.length) or None


def _is_part(response: aiohttp.ClientResponse, received: Received, length: int | None) -> bool:
    """Return whether a body that has come to its end was less than the rest of the payload.

    Raises:
        _Mismatch: if it had not the bytes that it was said to have.
    """
    span = content_range(response)
    if not span or received.total == length:
        return False
    if not span.start < received.total <= span.stop:
        raise _Mismatch("the response had not the bytes that it promised")
    return True


async def _write(partial: PartialFile, data: bytes) -> None:
    if partial.fits_in_memory(len(data)):
        partial.write(data)
    else:
        await in_thread(partial.write, data)


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


async def _completed_with(partial: PartialFile, data: bytes) -> Payload:
    """Complete an empty partial file with all of its bytes."""

    def complete() -> Payload:
        for begin in range(0, len(data), _PIECE):
            partial.write(memoryview(data)[begin : begin + _PIECE])
        return partial.complete(len(data), delimited=True)

    return complete() if partial.fits_in_memory(len(data)) else await in_thread(complete)
