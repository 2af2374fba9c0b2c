"""Asks ModelsLab about one generation at a time, at a pace that it bears."""

import asyncio
import json
import logging
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias, assert_never

import aiohttp
from aiolimiter import AsyncLimiter

from archiver.errors import ApiUnreachable, KeyRejected
from archiver.generation import Generation
from archiver.http.retry import Backoff, with_backoff
from archiver.http.session import describe
from archiver.modelslab.responses import (
    BODY_LIMIT,
    AccessDenied,
    GenerationFailed,
    NotFound,
    Processing,
    RateLimited,
    Ready,
    Rejected,
    Reply,
    Response,
    ServerError,
    parse,
    read_response,
)
from archiver.settings import SHORT_PAUSE, ApiSettings
from archiver.units import format_duration

_LOG = logging.getLogger(__name__)
_JSON = {"Content-Type": "application/json"}
_UNSAID_PAUSE = 30.0
"""How long to pause when throttled without being told for how long, in seconds."""
_BURST = 0.1
"""The rate is held over this many seconds."""
_WHOLE_ANSWER = 2
"""A whole response may take this many times as long as a connection may be silent."""
_IN_A_ROW = 5
"""So many generations in a row, each asked again and again, are no accident."""
_BEHIND = 5.0
"""For so many seconds after a pause, others are asked about before the one that led to it."""


@dataclass(frozen=True, slots=True)
class NotAsked:
    """The endpoint has been given up for tonight; `message` says why."""

    message: str


Usable: TypeAlias = (
    Ready | Processing | GenerationFailed | NotFound | Rejected | ServerError | NotAsked
)
"""What `Api.ask` returns; throttling and a refused key it deals with itself."""


class ThrottledAway(Exception):
    """ModelsLab asks for a pause that is longer than this run may wait. Not an error of ours."""


class Pace:
    """When the next question may be put: a rate, and one shared pause when throttled."""

    def __init__(self, rate: float, patience: float) -> None:
        burst = max(1.0, rate * _BURST)
        self._limiter = AsyncLimiter(burst, burst / rate)
        self._patience = max(patience, SHORT_PAUSE)
        self._paused_since: float | None = None
        self._said = 0
        self._resume_at = 0.0
        self._why = ""

    async def turn(self, behind: float = 0.0) -> None:
        """Wait until a question may be put, and if a pause is to end, for so many seconds more.

        Raises:
            ThrottledAway: if that is not before the run's patience ends.
        """
        while (wait := self._resume_at + behind - time.monotonic()) > 0:
            self._check_patience()
            await asyncio.sleep(wait)
        await self._limiter.acquire()

    def pause(self, seconds: float | None, why: str, *, certain: bool) -> None:
        """Let nobody ask for so long, because ModelsLab said so.

        A pause that ends the night must be said twice with no response in between, or it may be
        about one generation; one that is not `certain` must be said several times to be long.

        Raises:
            ThrottledAway: if that is longer than the run may wait.
        """
        now, wait = time.monotonic(), _UNSAID_PAUSE if seconds is None else seconds
        if self._paused_since is None:
            self._paused_since, self._said = now, 0
        self._said += 1
        if not certain and self._said < _IN_A_ROW:
            wait = min(wait, _UNSAID_PAUSE)
        if wait > self._patience and self._said == 1:
            wait = _UNSAID_PAUSE
        self._why = why
        self._resume_at = max(self._resume_at, now + wait)
        self._check_patience()

    @property
    def pause_told(self) -> str:
        """Why nobody may ask just now, for people; "" where one may."""
        if (wait := self._resume_at - time.monotonic()) <= 0:
            return ""
        return f"throttled: ModelsLab asks to wait {format_duration(wait)} ({self._why})"

    def answered(self) -> None:
        """Note that a question was answered: the throttling is over."""
        self._paused_since = None

    def _check_patience(self) -> None:
        if self._paused_since is not None and self._resume_at - self._paused_since > self._patience:
            raise ThrottledAway(self.pause_told)


_Unthrottled: TypeAlias = (
    Ready | Processing | GenerationFailed | NotFound | Rejected | ServerError | AccessDenied
)


class _NoAnswer(Exception):
    """Carries trouble to the retrying."""

    def __init__(self, trouble: ServerError) -> None:
        super().__init__(trouble.message)
        self.trouble = trouble


class Api:
    """The fetch endpoints. One generation's questions are put one after the other."""

    def __init__(self, session: aiohttp.ClientSession, settings: ApiSettings, pace: Pace) -> None:
        self._session = session
        self._settings = settings
        self._question = json.dumps({"key": settings.key.reveal()}).encode()
        self._pace = pace
        self._answers = 0
        self._denials: defaultdict[str, list[str]] = defaultdict(list)
        self._silences: list[str] = []
        self._troubles: defaultdict[str, list[str]] = defaultdict(list)

    async def ask(self, generation: Generation) -> Usable:
        """Ask about a generation, under its family's other name too before it is not found.

        ServerError is retried with backoff and jitter; throttling is waited out.

        Raises:
            ThrottledAway: if ModelsLab asks to wait longer than the run may.
            KeyRejected: if the key is not accepted or has no credit.
            ApiUnreachable: if several generations in a row got no reply at all.
        """
        endpoint = generation.endpoint
        if why := self._given_up(endpoint):
            return NotAsked(f"{endpoint} {why}")
        response = await self._ask_patiently(generation)
        match response:
            case AccessDenied(message, certain):
                self._denials[endpoint].append(message)
                if certain:
                    raise _refused(message)
                return Rejected(message)
            case ServerError(message):
                self._note_trouble(response, self._troubles[endpoint])
                return response
            case Ready() | Processing() | GenerationFailed() | NotFound() | Rejected():
                self._note_answer(endpoint)
                return response
            case _:
                assert_never(response)

    @property
    def pause_told(self) -> str:
        """Why nobody may ask just now, for people; "" where one may."""
        return self._pace.pause_told

    @property
    def has_answered(self) -> bool:
        """Whether there was any response at all so far tonight."""
        return self._answers > 0

    def check(self) -> None:
        """Look back on a night: one without a single response has a reason.

        Raises:
            ApiUnreachable: if all there was is trouble.
            KeyRejected: if all there was is refusal.
        """
        if self._answers:
            return
        for messages in self._denials.values():
            if messages:
                raise _refused(messages[-1])
        for messages in (self._silences, *self._troubles.values()):
            if messages:
                raise self._unreachable(messages[-1])

    def _given_up(self, endpoint: str) -> str:
        """Return why an endpoint is not asked any more tonight; "" if it is.

        A refusal may be about one generation; several in a row are about the endpoint, which the
        plan may not include, and if there is no other that answers, about the key.
        """
        denials, troubles = self._denials[endpoint], self._troubles[endpoint]
        if len(denials) >= _IN_A_ROW:
            return f"is refused: {denials[-1]}"
        if len(troubles) >= _IN_A_ROW:
            return f"gives no usable response: {troubles[-1]}"
        return ""

    def _note_trouble(self, trouble: ServerError, troubles: list[str]) -> None:
        """Without any reply the API is gone; with useless ones it may be this endpoint alone."""
        if trouble.silent:
            self._silences.append(trouble.message)
            if len(self._silences) >= _IN_A_ROW:
                raise self._unreachable(trouble.message)
        else:
            self._silences.clear()
            troubles.append(trouble.message)

    def _note_answer(self, endpoint: str) -> None:
        self._pace.answered()
        self._answers += 1
        for row in (self._denials[endpoint], self._silences, self._troubles[endpoint]):
            row.clear()

    def _unreachable(self, message: str) -> ApiUnreachable:
        return ApiUnreachable(
            f"{self._settings.url} gives no usable response: {message}. Check --api-url and the "
            "network"
        )

    async def _ask_patiently(self, generation: Generation) -> _Unthrottled:
        backoff = Backoff(self._settings.retries + 1, first=1.0, longest=30.0)
        try:
            return await with_backoff(
                lambda: self._ask_for_an_answer(generation), on=_retry_after, backoff=backoff
            )
        except _NoAnswer as failure:
            return failure.trouble

    async def _ask_for_an_answer(self, generation: Generation) -> _Unthrottled:
        response = await self._ask_either(generation)
        if isinstance(response, ServerError):
            raise _NoAnswer(response)
        return response

    async def _ask_either(self, generation: Generation) -> _Unthrottled:
        response = await self._ask_unthrottled(generation.fetch_path, generation.id)
        if isinstance(response, NotFound) and (other := generation.other_fetch_path):
            again = await self._ask_unthrottled(other, generation.id)
            if isinstance(again, Ready | Processing | GenerationFailed):
                return again
        return response

    async def _ask_unthrottled(self, path: str, id_: str) -> _Unthrottled:
        """Sit out throttling; what others are not told meanwhile is a message of its own."""
        alone, answers, behind = 0, self._answers, 0.0
        while True:
            await self._pace.turn(behind)
            response = await self._ask_once(path, id_)
            if not isinstance(response, RateLimited):
                return response
            alone = alone + 1 if self._answers > answers else 0
            if alone == _IN_A_ROW and not response.certain:
                return Rejected(response.message)
            answers, behind = self._answers, _BEHIND
            self._pace.pause(response.wait, response.message, certain=response.certain)

    async def _ask_once(self, path: str, id_: str) -> Response:
        settings, url = self._settings, f"{self._settings.url}/{path}"
        try:
            async with (
                asyncio.timeout(settings.timeout * _WHOLE_ANSWER),
                self._session.post(
                    url, data=self._question, headers=_JSON, allow_redirects=False
                ) as response,
            ):
                body = await _read(response)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            return ServerError(describe(error, settings.timeout), silent=True)
        if body is None:
            return ServerError(f"a response of more than {BODY_LIMIT:,} bytes")
        reply = Reply(response.status, body, response.headers.get("Retry-After"))
        try:
            document = settings.key.redact_json(parse(body))
        except ValueError as error:
            return Rejected(f"a response that is {error}")
        meaning = read_response(reply, document, id_, datetime.now(UTC))
        _LOG.debug("asked %s: HTTP %d, %s", path, reply.status, type(meaning).__name__)
        return meaning


def _refused(message: str) -> KeyRejected:
    said = message.rstrip(" .")
    return KeyRejected(f"ModelsLab refuses the API key: {said}. Check the key, its plan and credit")


async def _read(response: aiohttp.ClientResponse) -> bytes | None:
    """Return the body, or None if it is longer than a response can be."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > BODY_LIMIT:
            response.close()
            return None
    return bytes(body)


def _retry_after(error: Exception) -> bool | float:
    if not isinstance(error, _NoAnswer):
        return False
    return min(error.trouble.wait, SHORT_PAUSE) if error.trouble.wait else True
