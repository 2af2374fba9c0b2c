"""Asks ModelsLab about one generation at a time, at a pace that it bears."""

import asyncio
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeAlias, assert_never

import aiohttp
import stamina
from aiolimiter import AsyncLimiter

from archiver.answer import (
    BODY_LIMIT,
    Answer,
    GenerationFailed,
    NotFound,
    Processing,
    Ready,
    Refused,
    Rejected,
    Reply,
    Throttled,
    Trouble,
    read_answer,
)
from archiver.errors import ApiUnreachable, KeyRefused
from archiver.generation import Generation
from archiver.network import describe
from archiver.quantity import format_duration
from archiver.secret import ApiKey

_UNSAID_PAUSE = 30.0
"""How long to pause when throttled without being told for how long, in seconds."""
_SHORT_PAUSE = 60.0
"""A pause up to this long is always sat out, in seconds."""
_BURST = 0.1
"""The rate is held over this many seconds."""
_TROUBLES_IN_A_ROW = 5
"""So many generations in a row without an answer, each asked again and again: it is gone."""


Usable: TypeAlias = Ready | Processing | GenerationFailed | NotFound | Rejected | Trouble
"""What `Api.ask` returns; throttling and a refused key it deals with itself."""


class ThrottledAway(Exception):
    """ModelsLab asks for a pause that is longer than this run may wait. Not an error of ours."""


class Pace:
    """When the next question may be put: a rate, and one shared pause when throttled."""

    def __init__(self, rate: float, patience: float) -> None:
        burst = max(1.0, rate * _BURST)
        self._limiter = AsyncLimiter(burst, burst / rate)
        self._patience = max(patience, _SHORT_PAUSE)
        self._paused_since: float | None = None
        self._resume_at = 0.0
        self._why = ""

    async def turn(self) -> None:
        """Wait until a question may be put.

        Raises:
            ThrottledAway: if that is not before the run's patience ends.
        """
        while (wait := self._resume_at - time.monotonic()) > 0:
            self._check_patience()
            await asyncio.sleep(wait)
        await self._limiter.acquire()

    def pause(self, seconds: float | None, why: str) -> None:
        """Let nobody ask for so long, because ModelsLab said so.

        Raises:
            ThrottledAway: if that is longer than the run may wait.
        """
        now = time.monotonic()
        if self._paused_since is None:
            self._paused_since = now
        self._why = why
        self._resume_at = max(
            self._resume_at, now + (_UNSAID_PAUSE if seconds is None else seconds)
        )
        self._check_patience()

    def answered(self) -> None:
        """Note that a question was answered: the throttling is over."""
        self._paused_since = None

    def _check_patience(self) -> None:
        if self._paused_since is not None and self._resume_at - self._paused_since > self._patience:
            wait = format_duration(self._resume_at - time.monotonic())
            raise ThrottledAway(f"throttled: ModelsLab asks to wait {wait} ({self._why})")


class _NoAnswer(Exception):
    """Carries trouble to the retrying."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.message)
        self.trouble = trouble


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """Where and how to ask: `timeout` in seconds, `retries` after trouble."""

    url: str
    key: ApiKey
    timeout: float = 30.0
    retries: int = 6


class Api:
    """The fetch endpoints. One generation's questions are put one after the other."""

    def __init__(self, session: aiohttp.ClientSession, settings: ApiSettings, pace: Pace) -> None:
        self._session = session
        self._settings = settings
        self._pace = pace
        self._troubles_in_a_row = 0
        self._answers = 0

    async def ask(self, generation: Generation) -> Usable:
        """Ask about a generation, under its family's other name too before it is not found.

        Trouble is retried with backoff and jitter; throttling is waited out.

        Raises:
            ThrottledAway: if ModelsLab asks to wait longer than the run may.
            KeyRefused: if the key is not accepted or has no credit.
            ApiUnreachable: if several generations in a row got no answer.
        """
        answer = await self._ask_path(generation.fetch_path, generation)
        if isinstance(answer, NotFound) and (other := generation.other_fetch_path):
            again = await self._ask_path(other, generation)
            answer = answer if isinstance(again, Trouble | Rejected) else again
        return answer

    @property
    def never_answered(self) -> bool:
        """Whether there was trouble and not one answer."""
        return self._troubles_in_a_row > 0 and not self._answers

    async def _ask_path(self, path: str, generation: Generation) -> Usable:
        while True:
            answer = await self._ask_patiently(path, generation)
            match answer:
                case Throttled(message, wait):
                    self._pace.pause(wait, message)
                case Refused(message):
                    raise KeyRefused(
                        f"ModelsLab refuses the API key: {message}. Check the key and its credit"
                    )
                case Trouble(message):
                    self._note_trouble(message)
                    return answer
                case Ready() | Processing() | GenerationFailed() | NotFound() | Rejected():
                    self._note_answer()
                    return answer
                case _:
                    assert_never(answer)

    def _note_trouble(self, message: str) -> None:
        self._troubles_in_a_row += 1
        if self._troubles_in_a_row >= _TROUBLES_IN_A_ROW:
            raise ApiUnreachable(f"{self._settings.url} gives no usable answer: {message}")

    def _note_answer(self) -> None:
        self._pace.answered()
        self._answers += 1
        self._troubles_in_a_row = 0

    async def _ask_patiently(self, path: str, generation: Generation) -> Answer:
        try:
            async for attempt in stamina.retry_context(
                on=_backoff,
                attempts=self._settings.retries + 1,
                timeout=None,
                wait_initial=1.0,
                wait_max=30.0,
            ):
                with attempt:
                    await self._pace.turn()
                    return _answered(await self._ask_once(path, generation.id))
        except _NoAnswer as failure:
            return failure.trouble
        raise AssertionError("the last attempt returns or raises")

    async def _ask_once(self, path: str, id_: str) -> Answer:
        key, url = self._settings.key, f"{self._settings.url.rstrip('/')}/{path}"
        try:
            async with self._session.post(
                url, json={"key": key.reveal()}, allow_redirects=False
            ) as response:
                body = await _read(response)
        except (aiohttp.ClientError, TimeoutError) as error:
            return Trouble(describe(error, self._settings.timeout))
        if body is None:
            return Trouble(f"an answer of more than {BODY_LIMIT:,} bytes")
        reply = Reply(response.status, body, response.headers.get("Retry-After"))
        return _redacted(read_answer(reply, id_, datetime.now(UTC)), key)


async def _read(response: aiohttp.ClientResponse) -> bytes | None:
    """Return the body, or None if it is longer than an answer can be."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > BODY_LIMIT:
            response.close()
            return None
    return bytes(body)


def _answered(answer: Answer) -> Answer:
    if isinstance(answer, Trouble):
        raise _NoAnswer(answer)
    return answer


def _redacted(answer: Answer, key: ApiKey) -> Answer:
    """Take the key out of whatever the server echoed, before anybody reads it."""
    match answer:
        case Ready():
            document = key.redact_json(answer.document)
            return replace(answer, document=document) if isinstance(document, dict) else answer
        case Processing():
            return answer
        case _:
            return replace(answer, message=key.redact(answer.message))


def _backoff(error: Exception) -> bool | float:
    if not isinstance(error, _NoAnswer):
        return False
    return True if error.trouble.wait is None else min(error.trouble.wait, _SHORT_PAUSE)
