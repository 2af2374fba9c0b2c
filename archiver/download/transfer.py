"""One try at one link: a request, and its body into a part, from where an earlier try stopped."""

import asyncio
import hashlib
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Self

import aiohttp
from aiofiles.base import wrap
from yarl import URL

from archiver.archive.partial_file import Origin, Part, this_boot
from archiver.archive.staging import StagedFile, Staging
from archiver.download.bandwidth import ByteRate
from archiver.errors import StorageError
from archiver.http.session import KeyInRedirect, describe
from archiver.media.validator import NotWhole
from archiver.modelslab.responses import header_seconds
from archiver.progress import ByteProgress
from archiver.settings import DownloadSettings
from archiver.threads import finished, in_thread
from archiver.units import format_size

_GATHER = 1 << 20
"""So many bytes are gathered from the socket before one thread writes, hashes and proves them."""
_CRAWL = 1024
"""Slower than this many bytes a second, over the time a connection may be silent, is a crawl."""
_WHOLE_HEAD = 2
"""The head, redirects included, may take this many times as long as a connection may be silent."""
_WORTH_RESUMING = 256 << 10
"""A file of fewer bytes is fetched anew: asking for its rest costs as much."""
_SURELY_OLDER = timedelta(seconds=60)
"""A Last-Modified this long before Date is a strong validator (RFC 9110, 8.8.2.2)."""
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
"""Failures that trying again does not cure."""


class LinkFailed(Exception):
    """A link did not give the payload; the text says why, for people."""

    def __init__(self, reason: str, *, status: int = 0, transient: bool = False) -> None:
        super().__init__(reason)
        self.status = status
        self.transient = transient


class LinkThrottled(LinkFailed):
    """The host asks to be left alone, for `wait` seconds if it says so."""

    def __init__(self, reason: str, *, status: int = 0, wait: float | None = None) -> None:
        super().__init__(reason, status=status)
        self.wait = wait


class _StartOver(Exception):
    """What there is of the file is of no use; it is to be asked for from its beginning."""


class Transfer:
    """Fetches from a link into a part."""

    def __init__(
        self, session: aiohttp.ClientSession, settings: DownloadSettings, progress: ByteProgress
    ) -> None:
        self._session = session
        self._settings = settings
        self._progress = progress
        self._rate = ByteRate(settings.limit_rate)

    async def run(self, url: URL, staging: Staging, part: Part) -> StagedFile:
        """Stage the payload at `url`, going on from where an earlier try has stopped.

        Raises:
            LinkFailed: if it cannot be had from there; what has come stays, if it can be used.
            StorageError: if it cannot be written.
        """
        if part.bytes:
            try:
                return await self._receive(url, staging, part)
            except (_StartOver, NotWhole):
                await in_thread(part.restart)
        try:
            return await self._receive(url, staging, part)
        except NotWhole as error:
            await in_thread(part.restart)
            raise LinkFailed(str(error)) from None

    async def _receive(self, url: URL, staging: Staging, part: Part) -> StagedFile:
        progress = _Progress(self._progress)
        try:
            async with await self._head(url, _range(part, url)) as response:
                total = await self._agree(response, part, url)
                staging.make_sure_of_room((total or 0) - part.bytes, self._settings.min_free)
                progress.begin(total, part.bytes)
                blocks = await self._take_body(response, staging, part, progress)
                frame = _Frame(total, framed=total is not None or _is_chunked(response))
                if staging.may_hold(part, blocks):
                    part.hold(blocks)
                    return _conclude(staging, part, frame)
                return await in_thread(_write_and_conclude, staging, part, blocks, frame)
        except BaseException as error:
            progress.undo()
            if isinstance(error, NotWhole | LinkFailed | _StartOver):
                raise
            if isinstance(error, aiohttp.ClientError | TimeoutError | ValueError):
                reason = describe(error, self._settings.timeout) + progress.told()
                raise LinkFailed(reason, transient=not _is_final(error)) from None
            raise

    async def _head(self, url: URL, headers: dict[str, str]) -> aiohttp.ClientResponse:
        """Wait for the head of a response; one that drips in without end is given up."""
        async with asyncio.timeout(self._settings.timeout * _WHOLE_HEAD):
            return await self._session.get(url, headers=headers)

    async def _agree(self, response: aiohttp.ClientResponse, part: Part, url: URL) -> int | None:
        """Make out from the head of a response whether it goes on with the part or begins anew.

        Return the length of the whole file, where that is said.
        """
        if part.bytes and _goes_on(response, part):
            total = _range_total(response)
        else:
            if part.bytes and response.status in (206, 416):
                raise _StartOver
            _check_status(response)
            total = response.content_length
            origin = _origin(response, url)
            if part.bytes or part.origin or origin:
                await in_thread(part.restart, origin)
        if total is not None and total > self._settings.max_size:
            raise LinkFailed(f"{format_size(total)}, more than --max-size allows")
        return total

    async def _take_body(
        self, response: aiohttp.ClientResponse, staging: Staging, part: Part, progress: "_Progress"
    ) -> list[bytes]:
        """Write the body to the part, but for its last blocks, which are returned."""
        crawl, share = _Crawl(self._settings.timeout), self._rate.share()
        async with _Sink(part) as sink:
            content = response.content
            while not content.at_eof() and (chunk := await self._some(content)):
                progress.received(len(chunk))
                crawl.check(len(chunk))
                if share.take(len(chunk)):
                    await share.wait()
                if progress.bytes_here > self._settings.max_size:
                    raise LinkFailed("it goes on beyond what --max-size allows")
                if sink.take(chunk):
                    staging.make_sure_of_room(0, self._settings.min_free)
                    await sink.write()
            return await sink.end()

    async def _some(self, content: aiohttp.StreamReader) -> bytes:
        """Return what there is of the body; other bytes are no sign that it goes on."""
        async with asyncio.timeout(self._settings.timeout):
            return await content.readany()


class _Sink:
    """Gathers what the socket gives into blocks; a thread writes one while the next is gathered.

    What came before a connection broke is written too, if it can be gone on with.
    """

    def __init__(self, part: Part) -> None:
        self._part = part
        self._write = wrap(part.writelines)
        self._gathered: list[bytes] = []
        self._size = 0
        self._writing: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, _error: object, _traceback: object
    ) -> None:
        await self._written()
        if kind and self._part.origin and not issubclass(kind, NotWhole | StorageError):
            await in_thread(self._part.writelines, self._gathered)

    def take(self, chunk: bytes) -> bool:
        """Gather a chunk; return whether there is enough to be written."""
        self._gathered.append(chunk)
        self._size += len(chunk)
        return self._size >= _GATHER

    async def write(self) -> None:
        """Begin to write what is gathered, once what was before is written."""
        await self._written()
        block, self._gathered, self._size = self._gathered, [], 0
        self._writing = asyncio.ensure_future(self._write(block))

    async def end(self) -> list[bytes]:
        """Return what is gathered and not given to the thread, which is idle then."""
        await self._written()
        return self._gathered

    async def _written(self) -> None:
        writing, self._writing = self._writing, None
        if writing:
            await finished(writing)


class _Crawl:
    """Gives up a body that comes slower than a person would wait for."""

    def __init__(self, window: float) -> None:
        self._window = window
        self._since = 0
        self._started = time.monotonic()

    def check(self, count: int) -> None:
        self._since += count
        if (spent := time.monotonic() - self._started) < self._window:
            return
        if self._since < _CRAWL * spent:
            raise LinkFailed(f"crawling: {self._since:,} bytes in {spent:.0f} s", transient=True)
        self._since, self._started = 0, time.monotonic()


class _Progress:
    """One try at a body, told to the progress, and taken back if it comes to nothing."""

    def __init__(self, progress: ByteProgress) -> None:
        self._progress = progress
        self._before = 0
        self._received = 0
        self.total: int | None = None

    def begin(self, total: int | None, before: int) -> None:
        """A body of `total` bytes is to come, of which there are so many from `before`."""
        self.total, self._before = total, before
        self._progress.expected((total or before) - before)

    def received(self, count: int) -> None:
        self._received += count
        self._progress.received(count)

    def undo(self) -> None:
        self._progress.expected(self._before - (self.total or self._before))
        self._progress.received(-self._received)

    @property
    def bytes_here(self) -> int:
        """How many bytes of the file there are now."""
        return self._before + self._received

    def told(self) -> str:
        """How much had come, for the reason."""
        if self.total is not None:
            return f" after {self.bytes_here:,} of {self.total:,} bytes"
        return f" after {self.bytes_here:,} bytes" if self.bytes_here else ""


def _range(part: Part, url: URL) -> dict[str, str]:
    """Ask for the rest of a part, if it is still of the same file (RFC 9110, 13.1.5)."""
    if not part.origin or not part.bytes or part.origin.place not in ("", _place(url)):
        return {}
    return {"Range": f"bytes={part.bytes}-", "If-Range": part.origin.validator}


def _goes_on(response: aiohttp.ClientResponse, part: Part) -> bool:
    """Tell whether a response is just the rest of what is here: its range and its validator fit."""
    if response.status != HTTPStatus.PARTIAL_CONTENT or not part.origin:
        return False
    total, headers = _range_total(response), response.headers
    expected = f"bytes {part.bytes}-{(total or 0) - 1}/{total}"
    if headers.getall("Content-Range", []) != [expected]:
        return False
    if part.origin.length not in (None, total) or "Content-Encoding" in headers:
        return False
    tags, dates = headers.getall("ETag", []), headers.getall("Last-Modified", [])
    if part.origin.place:  # the host that gave a date need not repeat it; another one is another
        return not tags and dates in ([], [part.origin.validator])
    return tags == [part.origin.validator]


def _range_total(response: aiohttp.ClientResponse) -> int | None:
    content_range = response.headers.get("Content-Range", "").strip()
    match = re.fullmatch(r"bytes [0-9]+-[0-9]+/([0-9]{1,18})", content_range)
    return int(match[1]) if match else None


def _origin(response: aiohttp.ClientResponse, url: URL) -> Origin | None:
    """Return what a part of this response can be continued by, if by anything (RFC 9110, 8.8)."""
    length = response.content_length
    if length is not None and length < _WORTH_RESUMING:
        return None
    if response.headers.get("Accept-Ranges", "").strip().lower() == "none":
        return None
    tag = response.headers.get("ETag", "")
    if re.fullmatch(r'"[\x21\x23-\x7e\x80-\xff]*"', tag):
        return Origin(tag, "", length, this_boot())
    modified = response.headers.get("Last-Modified", "")
    if _is_strong_date(modified, response.headers.get("Date", "")):
        return Origin(modified, _place(url), length, this_boot())
    return None


def _is_strong_date(modified: str, date: str) -> bool:
    try:
        return parsedate_to_datetime(date) - parsedate_to_datetime(modified) >= _SURELY_OLDER
    except (ValueError, TypeError, OverflowError):
        return False


def _place(url: URL) -> str:
    return hashlib.sha256(str(url.with_query(None)).encode()).hexdigest()[:16]


def _check_status(response: aiohttp.ClientResponse) -> None:
    status = response.status
    if status == HTTPStatus.OK:
        return
    said = f"{status} {(response.reason or '')[:100]}".rstrip()
    if status in _THROTTLING:
        wait = header_seconds(response.headers.get("Retry-After"), datetime.now(UTC))
        raise LinkThrottled(said, status=status, wait=wait)
    raise LinkFailed(said, status=status, transient=status in _TRANSIENT)


def _is_final(error: Exception) -> bool:
    if isinstance(error, _FINAL):
        return True
    refused = isinstance(error, aiohttp.ClientConnectorError) and error.os_error
    return isinstance(refused, PermissionError)


def _is_chunked(response: aiohttp.ClientResponse) -> bool:
    return response.headers.get("Transfer-Encoding", "").lower() == "chunked"


@dataclass(frozen=True, slots=True)
class _Frame:
    """What HTTP said about where a body ends: its length, or at least that there is an end."""

    total: int | None
    framed: bool


def _write_and_conclude(
    staging: Staging, part: Part, rest: Sequence[bytes], frame: _Frame
) -> StagedFile:
    part.writelines(rest)
    return _conclude(staging, part, frame)


def _conclude(staging: Staging, part: Part, frame: _Frame) -> StagedFile:
    """Keep the part, if it is whole.

    Where the format has no end of its own, HTTP must have said where it is.
    """
    if frame.total is not None and part.bytes != frame.total:
        raise NotWhole(f"{part.bytes:,} bytes came of {frame.total:,}")
    proof = part.finish()
    if proof.open_ended and not frame.framed:
        raise NotWhole(
            f"nobody said how long it is, and a .{proof.extension} of this kind does not tell "
            "where it ends"
        )
    return staging.keep(part, proof)
