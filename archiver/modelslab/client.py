"""Client: asks the API for generations, within its rate limit."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TypeAlias, TypeVar, assert_never

import aiohttp
from aiohttp import BytesPayload
from yarl import URL

from archiver.errors import ArchiverError
from archiver.generation import LISTED, Generation
from archiver.http.errors import describe_error
from archiver.http.heads import HeadTooLarge
from archiver.http.retry import Backoff
from archiver.modelslab import inline
from archiver.modelslab.circuit_breaker import IN_A_ROW, CircuitBreaker
from archiver.modelslab.compressed import Plain
from archiver.modelslab.listing import PATHS, PER_PAGE, Page, Refusal, read_page
from archiver.modelslab.rate_limit import RateLimit
from archiver.modelslab.reading import LINK_FIELDS, parse_json, read_response
from archiver.modelslab.responses import (
    BODY_LIMIT,
    INLINE_LIMIT,
    AccessDenied,
    FinalResponse,
    GenerationFailed,
    HttpReply,
    NotFound,
    Processing,
    RateLimited,
    Ready,
    Rejected,
    Response,
    ServerError,
)
from archiver.run import Skipped, Stopped
from archiver.settings import ApiSettings
from archiver.threads import in_thread

_LOG = logging.getLogger(__name__)
_WHOLE_RESPONSE = 2
"""A whole response may take this many times as long as a connection may be silent."""
_LARGE_AT_ONCE = 2
"""This many responses with large inline payloads may be in memory at once."""
_PAUSES_AT_MOST = 10
"""No more pauses than this are waited out for one page."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class EndpointUnavailable:
    """Not requested: the endpoint has failed too often in this run."""

    reason: str


@dataclass(frozen=True, slots=True)
class Halt:
    """No generation can be requested any more in this run."""

    ended: Skipped | Stopped


@dataclass(frozen=True, slots=True)
class Throttled:
    """ModelsLab asks for a pause, in seconds, which may be about this generation alone."""

    message: str
    pause: float


Unready: TypeAlias = (
    Processing
    | GenerationFailed
    | NotFound
    | Rejected
    | ServerError
    | Throttled
    | EndpointUnavailable
    | Halt
)
ClientResult: TypeAlias = Ready | Unready
"""What a fetch returns: what the API reports, or why it could not be asked."""
NoPage: TypeAlias = GenerationFailed | NotFound | AccessDenied | Rejected | ServerError
PageResult: TypeAlias = Page | NoPage | Halt
"""A page of one's own generations, or why there is none."""


class Client:
    """The *Fetch Queued Request* endpoints. It never raises for what the API or the network does.

    A request without a usable response is repeated `settings.retries` times, with a pause of 1 to
    30 seconds unless another `backoff` is given.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        settings: ApiSettings,
        rate_limit: RateLimit,
        backoff: Backoff | None = None,
    ) -> None:
        self._session = session
        self._settings = settings
        self._url = URL(settings.url)
        self._body = self._body_with({})
        self._rate_limit = rate_limit
        self._backoff = backoff or Backoff(settings.retries + 1, first=1.0, longest=30.0)
        self._breaker = CircuitBreaker(settings.url)
        self._limited: dict[Generation, int] = {}
        """How often each generation has met a rate limit, until it had another response."""
        self._large = asyncio.Semaphore(_LARGE_AT_ONCE)
        self._listing: tuple[str, ...] = PATHS
        """Where to ask for pages: of the two paths that which has answered with one."""

    async def fetch(self, generation: Generation) -> ClientResult:
        """Return what the API reports about a generation, as soon as it may be asked."""
        return await self._fetch(generation, listed=True)

    async def probe(self, generation: Generation) -> ClientResult:
        """Do as `fetch` does, for a generation that nobody listed.

        A denial is no verdict on the key then: the plan may not include that family.
        """
        return await self._fetch(generation, listed=False)

    async def _fetch(self, generation: Generation, *, listed: bool) -> ClientResult:
        if reason := self._breaker.given_up(generation.endpoint):
            return EndpointUnavailable(reason)
        match await self._request_by_any_name(generation):
            case Halt() as halt:
                return halt
            case RateLimited() as limited:
                return self._throttled(generation, limited)
            case AccessDenied() as denied if not listed:
                return self._recorded(generation, replace(denied, certain=False))
            case response:
                return self._recorded(generation, response)

    def _recorded(self, generation: Generation, response: FinalResponse) -> ClientResult:
        """Count a response; return it, or that no more can be expected."""
        if error := self._breaker.record(generation, response):
            return Halt(Stopped(error))
        match response:
            case AccessDenied(message):
                return Rejected(message)
            case ServerError():
                return response
            case Ready() | Processing() | GenerationFailed() | NotFound() | Rejected():
                self._rate_limit.responded()
                self._limited.pop(generation, None)
                return response
            case _:
                assert_never(response)

    async def page(self, kind: str, number: int) -> PageResult:
        """Return page `number`, from 1, of one's own generations of a kind: `video`, `image`.

        A refusal is no verdict on the key, which may be good for everything but this.
        """
        return await _repeated(
            partial(self._page_by_any_path, kind, number), self._backoff.pauses(), self._longest
        )

    async def _page_by_any_path(self, kind: str, number: int) -> PageResult:
        """Return the page of the first path that has one, else the refusal that says most."""
        refusals: list[NoPage] = []
        for path in self._listing:
            match await self._page(path, {"type": kind, "page": number}):
                case Page() as page:
                    self._listing = (path,)
                    self._rate_limit.responded()
                    return page
                case Halt() | ServerError(silent=True) as silence:
                    return silence
                case refusal:
                    refusals.append(refusal)
        return min(refusals, key=_how_little_it_says)

    async def _page(self, path: str, asked: Mapping[str, object]) -> PageResult:
        """Ask for a page, as often as ModelsLab asks for a pause."""
        send = partial(self._send_for_page, path, self._body_with({"per_page": PER_PAGE, **asked}))
        subject, message = Generation(LISTED, str(asked["type"])), ""
        for _ in range(_PAUSES_AT_MOST):
            match await self._allowed(send):
                case RateLimited(message) as limited:
                    pause = self._rate_limit.pause(limited, subject)
                    if isinstance(pause, Skipped):
                        return Halt(pause)
                case result:
                    return result
        return Rejected(message)

    @property
    def pause_reason(self) -> str:
        """Why no request may be sent now, for people; "" if one may."""
        return self._rate_limit.pause_reason

    @property
    def has_responded(self) -> bool:
        """Whether there was a usable response to anything so far."""
        return self._breaker.has_responded

    def verdict(self) -> ArchiverError | None:
        """Return what was wrong with a run without a single usable response, if that is known."""
        return self._breaker.verdict()

    async def _request_by_any_name(self, generation: Generation) -> Response | Halt:
        """Request a generation, by its family's other name too before it is not found."""
        pauses = iter(()) if self._breaker.is_open(generation.endpoint) else self._backoff.pauses()
        send = partial(self._send, generation.fetch_path, generation.id)
        response = await _repeated(partial(self._allowed, send), pauses, self._longest)
        if isinstance(response, NotFound) and (path := generation.other_fetch_path):
            other = await self._allowed(partial(self._send, path, generation.id))
            if isinstance(other, Ready | Processing | GenerationFailed | RateLimited | Halt):
                return other
        return response

    async def _allowed(self, send: Callable[[], Awaitable[T]]) -> T | Halt:
        """Send a request as soon as the rate limit allows it."""
        skipped = await self._rate_limit.acquire()
        return Halt(skipped) if skipped else await send()

    @property
    def _longest(self) -> float:
        """For how many seconds a server is obeyed that asks to wait."""
        return self._rate_limit.timings.short_pause

    def _throttled(
        self, generation: Generation, limited: RateLimited
    ) -> Throttled | Rejected | Halt:
        """Pause all requests; a rate limit that few generations meet again and again is theirs."""
        times = self._limited[generation] = self._limited.get(generation, 0) + 1
        pause = self._rate_limit.pause(limited, generation)
        if times >= IN_A_ROW and not self._rate_limit.is_general:
            return Rejected(limited.message)
        return Halt(pause) if isinstance(pause, Skipped) else Throttled(limited.message, pause)

    async def _send(self, path: str, id_: str) -> Response:
        with ExitStack() as memory:
            reply = await self._post(path, self._body, memory)
            if not isinstance(reply, HttpReply):
                return reply
            large = len(reply.body) > BODY_LIMIT
            response = (
                await in_thread(self._understand, reply, id_)
                if large
                else self._understand(reply, id_)
            )
            _LOG.debug("requested %s: HTTP %d, %s", path, reply.status, type(response).__name__)
            if large and isinstance(response, Ready):
                return replace(response, memory=memory.pop_all())
            return response

    async def _send_for_page(self, path: str, body: BytesPayload) -> Page | Refusal:
        with ExitStack() as memory:
            reply = await self._post(path, body, memory)
            if not isinstance(reply, HttpReply):
                return reply
            try:
                document = self._without_key(parse_json(reply.body), reply.body)
            except ValueError as error:
                return Rejected(f"it is {error}", usable=False)
            page = read_page(reply, document, datetime.now(UTC))
            _LOG.debug("requested %s: HTTP %d, %s", path, reply.status, type(page).__name__)
            return page

    def _body_with(self, fields: Mapping[str, object]) -> BytesPayload:
        document = {"key": self._settings.key.reveal(), **fields}
        return BytesPayload(json.dumps(document).encode(), content_type="application/json")

    def _without_key(self, document: object, body: bytes | bytearray) -> object:
        """Return a document without the key.

        Raises:
            ValueError: if it is nested too deeply.
        """
        key = self._settings.key
        return key.redact_json(document) if key.may_be_in(body) else document

    def _understand(self, reply: HttpReply, id_: str) -> Response:
        document = parse_json(reply.body)
        payloads: Mapping[str, bytes] = {}
        if inline.may_be_in(reply.body):
            extraction = inline.extract(document, LINK_FIELDS)
            document, payloads = extraction.document, extraction.payloads
        try:
            document = self._without_key(document, reply.body)
        except ValueError as error:
            return Rejected(f"it is {error}", usable=False)
        response = read_response(reply, document, id_, datetime.now(UTC))
        if payloads and isinstance(response, Ready):
            return replace(response, outputs=inline.attached(response.outputs, payloads))
        return response

    async def _post(
        self, path: str, request: BytesPayload, memory: ExitStack
    ) -> HttpReply | ServerError | Rejected:
        """Post a request with the key. No redirect is followed: it would take the key elsewhere.

        What the reply takes of the memory for large ones, `memory` gives back.
        """
        timeout, url = self._settings.timeout, URL(f"{self._url}/{path}", encoded=True)
        try:
            async with (
                asyncio.timeout(timeout * _WHOLE_RESPONSE) as deadline,
                self._session.post(url, data=request, allow_redirects=False) as response,
            ):
                body = await self._read(response, deadline, memory)
        except HeadTooLarge as error:  # the API is there: this is about one generation
            return Rejected(describe_error(error, timeout), usable=False)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            return ServerError(describe_error(error, timeout), silent=True)
        if not isinstance(body, bytearray):
            return body
        wait, reset = map(response.headers.get, ("Retry-After", "X-RateLimit-Reset"))
        return HttpReply(response.status, body, wait, reset)

    async def _read(
        self, response: aiohttp.ClientResponse, deadline: asyncio.Timeout, memory: ExitStack
    ) -> bytearray | ServerError | Rejected:
        """Return the body, unless it is longer than a response can be.

        One with inline payloads has more time, and waits until few others are in memory.
        """
        body, plain, allowed = bytearray(), Plain(), BODY_LIMIT
        loop, seconds = asyncio.get_running_loop(), self._settings.timeout * _WHOLE_RESPONSE
        while chunk := await response.content.readany():
            for piece in plain.take(chunk):
                body += piece
                while len(body) > allowed:
                    if too_large := _too_large(body):
                        response.close()
                        return too_large
                    if allowed == BODY_LIMIT:
                        deadline.reschedule(loop.time() + seconds * INLINE_LIMIT / BODY_LIMIT)
                        await self._large.acquire()
                        memory.callback(self._large.release)
                    allowed *= 2
                    deadline.reschedule(loop.time() + seconds * allowed / BODY_LIMIT)
        body += plain.rest
        return _too_large(body) or body


async def _repeated(send: Callable[[], Awaitable[T]], pauses: Iterator[float], longest: float) -> T:
    """Send a request; where nothing usable comes back, once more after each of the `pauses`.

    A server that asks to wait is waited for instead, but for no more than the `longest` time.
    """
    while True:
        match response := await send():
            case ServerError(wait=wait) if (pause := next(pauses, None)) is not None:
                await asyncio.sleep(min(wait, longest) if wait else pause)
            case _:
                return response


def _too_large(body: bytearray) -> ServerError | Rejected | None:
    """Return what a body is that is longer than a response can be, even one with payloads in it."""
    if len(body) <= BODY_LIMIT:
        return None
    if inline.size_outside(body) > BODY_LIMIT:
        return ServerError(f"a response of more than {BODY_LIMIT:,} bytes")
    if len(body) > INLINE_LIMIT:
        return Rejected(f"it has more than {INLINE_LIMIT:,} bytes", usable=False)
    return None


def _how_little_it_says(refusal: NoPage) -> int:
    """Return where a refusal stands among those of several paths, of which one may not exist."""
    match refusal:
        case AccessDenied():
            return 0
        case Rejected(usable=True) | ServerError(responded=True):
            return 1
        case _:
            return 2
