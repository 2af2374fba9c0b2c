"""Brings the payload of one output from its links into a staged file, proven whole."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

import aiohttp
import stamina
from aiofiles.threadpool import wrap
from yarl import URL

from archiver.answer import Link, Output
from archiver.network import describe
from archiver.outcome import LinkFault
from archiver.secret import ApiKey
from archiver.staging import PayloadFile, Slot, StagedFile, Staging
from archiver.video import NotWhole, Proof
from archiver.worker_thread import finished, in_thread

_GATHER = 2 << 20
"""So many bytes are gathered from the socket before one thread writes, hashes and proves them."""
_CRAWL = 1024
"""Slower than this many bytes a second, over the time a connection may be silent, is a crawl."""
_GONE = (403, 404, 410)
_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
_LONGEST_WAIT = 30.0
_FINAL = (
    ValueError,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
    aiohttp.TooManyRedirects,
    aiohttp.ClientConnectorCertificateError,
)
"""Failures that trying again does not cure."""


class Meter(Protocol):
    """Is told how many bytes are expected and have come."""

    def expected(self, count: int) -> None:
        """So many bytes more are to come; fewer, if negative."""

    def received(self, count: int) -> None:
        """So many bytes have come."""


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A payload staged and proven whole."""

    file: StagedFile
    served_by: str
    faults: tuple[LinkFault, ...]
    """What was wrong with the links tried before."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """No link gave the payload."""

    faults: tuple[LinkFault, ...]


class _LinkFailed(Exception):
    def __init__(
        self, reason: str, *, gone: bool = False, transient: bool = False, wait: float | None = None
    ) -> None:
        super().__init__(reason)
        self.gone = gone
        self.transient = transient
        self.wait = wait


@dataclass(frozen=True, slots=True)
class DownloadSettings:
    """How to download: `timeout` in seconds; the key, only so as not to give it to a link host."""

    key: ApiKey
    timeout: float = 30.0
    retries: int = 2


class Downloader:
    """Downloads from links; each download is independent of the others."""

    def __init__(
        self, session: aiohttp.ClientSession, settings: DownloadSettings, meter: Meter
    ) -> None:
        self._session = session
        self._settings = settings
        self._meter = meter

    async def fetch(self, output: Output, staging: Staging, slot: Slot) -> Downloaded | Unavailable:
        """Stage the payload of `output` from the first of its links that gives it whole.

        Raises:
            DiskTrouble: if it cannot be written.
        """
        if staged := await in_thread(staging.find, slot):
            return Downloaded(staged, "an earlier try", ())
        faults: list[LinkFault] = []
        for link in output.links:
            try:
                staged = await self._from_link(link, staging, slot)
            except _LinkFailed as failure:
                faults.append(LinkFault(link.role, _shown(link), str(failure), failure.gone))
            else:
                return Downloaded(staged, f"{link.role} {_shown(link)}", tuple(faults))
        return Unavailable(tuple(faults))

    async def _from_link(self, link: Link, staging: Staging, slot: Slot) -> StagedFile:
        url = self._url(link)
        async for attempt in stamina.retry_context(
            on=_backoff,
            attempts=self._settings.retries + 1,
            timeout=None,
            wait_initial=0.5,
        ):
            with attempt:
                return await self._try(url, staging, slot)
        raise AssertionError("the last attempt returns or raises")

    def _url(self, link: Link) -> URL:
        if self._settings.key.redact(link.url) != link.url:
            raise _LinkFailed("not followed: the link contains the API key")
        try:
            # A link that is already encoded may be signed: it is sent to the letter.
            url = URL(link.url, encoded=link.url.isascii() and " " not in link.url)
            followable = url.scheme in ("http", "https") and url.host
        except ValueError:
            raise _LinkFailed("not a link") from None
        if not followable:
            raise _LinkFailed("not an http(s) link")
        return url

    async def _try(self, url: URL, staging: Staging, slot: Slot) -> StagedFile:
        part = await in_thread(staging.create, slot)
        try:
            proof = await self._receive(url, part)
        except BaseException:
            await in_thread(staging.discard, part)
            raise
        return await in_thread(staging.keep, slot, part, proof)

    async def _receive(self, url: URL, part: PayloadFile) -> Proof:
        transfer = _Transfer(self._meter)
        try:
            async with self._session.get(url) as response:
                _check_status(response)
                transfer.begin(response.content_length)
                return await self._take_body(response, part, transfer)
        except BaseException as error:
            transfer.undo()
            if isinstance(error, NotWhole):
                raise _LinkFailed(str(error)) from None
            if isinstance(error, aiohttp.ClientError | TimeoutError | ValueError):
                reason = describe(error, self._settings.timeout) + transfer.so_far()
                raise _LinkFailed(reason, transient=not isinstance(error, _FINAL)) from None
            raise

    async def _take_body(
        self, response: aiohttp.ClientResponse, part: PayloadFile, transfer: "_Transfer"
    ) -> Proof:
        stream, writing = wrap(part), None
        try:
            async with aclosing(self._blocks(response.content, transfer)) as blocks:
                async for block in blocks:
                    if writing:
                        await finished(writing)
                    writing = asyncio.ensure_future(stream.write(block))
        finally:
            if writing:
                await finished(writing)
        return _proven(part, framed=transfer.length is not None or _is_chunked(response))

    async def _blocks(
        self, content: aiohttp.StreamReader, transfer: "_Transfer"
    ) -> AsyncGenerator[bytes, None]:
        """Gather what the socket gives into blocks; a body that crawls is given up."""
        gathered: list[bytes] = []
        size = since = 0
        started = time.monotonic()
        while chunk := await content.readany():
            gathered.append(chunk)
            size += len(chunk)
            since += len(chunk)
            transfer.received(len(chunk))
            if (spent := time.monotonic() - started) >= self._settings.timeout:
                if since < _CRAWL * spent:
                    raise _LinkFailed(f"crawling: {since:,} bytes in {spent:.0f} s", transient=True)
                started, since = time.monotonic(), 0
            if size >= _GATHER:
                yield b"".join(gathered)
                gathered, size = [], 0
        if gathered:
            yield b"".join(gathered)


class _Transfer:
    """One try at a body, told to the meter, and taken back if it comes to nothing."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._received = 0
        self.length: int | None = None

    def begin(self, length: int | None) -> None:
        self.length = length
        self._meter.expected(length or 0)

    def received(self, count: int) -> None:
        self._received += count
        self._meter.received(count)

    def undo(self) -> None:
        self._meter.expected(-(self.length or 0))
        self._meter.received(-self._received)

    def so_far(self) -> str:
        """How much had come, for the reason."""
        if self.length is not None:
            return f" after {self._received:,} of {self.length:,} bytes"
        return f" after {self._received:,} bytes" if self._received else ""


def _check_status(response: aiohttp.ClientResponse) -> None:
    status = response.status
    if status == HTTPStatus.OK:
        return
    wait = response.headers.get("Retry-After", "")
    raise _LinkFailed(
        f"{status} {response.reason or ''}".rstrip(),
        gone=status in _GONE,
        transient=status in _TRANSIENT,
        wait=float(wait) if wait.isdecimal() and wait.isascii() else None,
    )


def _is_chunked(response: aiohttp.ClientResponse) -> bool:
    return response.headers.get("Transfer-Encoding", "").lower() == "chunked"


def _proven(part: PayloadFile, *, framed: bool) -> Proof:
    """Return the proof; where the format has no end of its own, HTTP must have said where it is."""
    proof = part.finish()
    if proof.open_ended and not framed:
        raise _LinkFailed(
            f"nobody said how long it is, and a .{proof.extension} of this kind does not tell "
            "where it ends"
        )
    return proof


def _shown(link: Link) -> str:
    """The link for people: without its query, user and password."""
    shown = link.url.partition("?")[0].partition("#")[0]
    scheme, slashes, rest = shown.partition("://")
    host, slash, path = rest.partition("/")
    shown = f"{scheme}{slashes}{host.rpartition('@')[2]}{slash}{path}"
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in shown)[:300]


def _backoff(error: Exception) -> bool | float:
    if not isinstance(error, _LinkFailed) or not error.transient:
        return False
    if error.wait is None:
        return True
    return min(error.wait, _LONGEST_WAIT)
