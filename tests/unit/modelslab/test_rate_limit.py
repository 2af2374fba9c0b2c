"""Rate limit: a rate, and one pause for all requests when ModelsLab asks for it."""

import asyncio
import time
from collections.abc import Awaitable
from typing import TypeVar

import pytest

from archiver.generation import Generation
from archiver.modelslab.rate_limit import RateLimit
from archiver.modelslab.responses import RateLimited
from archiver.run import Skipped
from archiver.settings import Timings
from tests.support.marks import slow

T = TypeVar("T")
G1 = Generation("v6/deepfake", "1")
QUICK = Timings(short_pause=0.6, default_pause=0.2, after_pause=0.1)
"""A run that may not wait longer than the pauses that are always waited out."""


def limit(max_wait: float = 0.0, rate: float = 1000.0) -> RateLimit:
    return RateLimit(rate, max_wait, QUICK)


async def timed(work: Awaitable[T]) -> tuple[T, float]:
    """Return what some work returns, and how many seconds it took."""
    began = time.monotonic()
    result = await work
    return result, time.monotonic() - began


def test_without_a_pause_there_is_no_reason() -> None:
    """At first nothing is waited for."""
    assert limit().pause_reason == ""


async def test_the_rate_is_kept() -> None:
    """Of ten requests at twenty a second the last may be sent after nearly half a second."""
    rate_limit = limit(rate=20)

    async def ten() -> None:
        for _ in range(10):
            assert await rate_limit.acquire() is None

    _, seconds = await timed(ten())
    assert seconds >= 0.35


async def test_a_short_pause_is_waited_out_by_all_requests() -> None:
    """One request is rate-limited; none is sent before the pause is over."""
    rate_limit = limit()
    rate_limit.pause(RateLimited("Slow down", 0.3), G1)
    assert rate_limit.pause_reason == "rate-limited, retry in 0 s (Slow down)"
    results = await asyncio.gather(*(timed(rate_limit.acquire()) for _ in range(3)))
    assert all(result is None and seconds >= 0.29 for result, seconds in results)
    assert rate_limit.pause_reason == ""


async def test_a_pause_of_unknown_length_is_the_default() -> None:
    """Where the response gives no wait."""
    rate_limit = limit()
    rate_limit.pause(RateLimited("Slow down"), G1)
    _, seconds = await timed(rate_limit.acquire())
    assert 0.19 <= seconds < 60


async def test_a_pause_too_long_to_wait_for_is_believed_when_it_is_repeated() -> None:
    """At first only the default pause is made: it may be about one generation."""
    rate_limit, long = limit(), RateLimited("Try again in 30 minutes", 1800)
    assert rate_limit.pause(long, G1) == pytest.approx(0.2, abs=0.01)
    result, seconds = await timed(rate_limit.acquire())
    assert result is None
    assert 0.19 <= seconds < 60
    skipped = Skipped("rate-limited, retry in 30 min (Try again in 30 minutes)")
    assert rate_limit.pause(long, G1) == skipped
    assert await rate_limit.acquire() == skipped
    assert rate_limit.pause_reason == skipped.reason


@slow
async def test_a_response_in_between_makes_it_the_first_again() -> None:
    """Others get responses: then a long pause is not about the account."""
    rate_limit = limit()
    for _ in range(3):
        rate_limit.pause(RateLimited("Try again in 30 minutes", 1800), G1)
        rate_limit.responded()
        assert await rate_limit.acquire() is None


async def test_a_long_pause_is_waited_out_where_the_run_may() -> None:
    """What the run may wait decides, not what is short."""
    rate_limit = RateLimit(1000, 3600, QUICK)
    rate_limit.pause(RateLimited("Slow down", 1800), G1)
    assert rate_limit.pause_reason == "rate-limited, retry in 30 min (Slow down)"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await rate_limit.acquire()


@slow
async def test_pauses_without_a_response_in_between_add_up() -> None:
    """Short pauses without end are as good as a long one."""
    rate_limit, results = limit(), []
    for _ in range(9):
        rate_limit.pause(RateLimited("Slow down", 0.25), G1)
        results.append(await rate_limit.acquire())
        if results[-1]:
            break
    assert results[0] is None
    assert results[-1] == Skipped("rate-limited, retry in 0 s (Slow down)")


@slow
async def test_pauses_that_end_in_a_response_do_not_add_up() -> None:
    """The waiting is counted anew from each response."""
    rate_limit = limit()
    for _ in range(4):
        rate_limit.pause(RateLimited("Slow down", 0.25), G1)
        assert await rate_limit.acquire() is None
        rate_limit.responded()


async def test_a_long_pause_in_words_alone_needs_five_generations() -> None:
    """With HTTP 200 it may be one generation's message: until then pauses are the default."""
    timings = Timings(short_pause=10, default_pause=0.02)
    rate_limit, words = RateLimit(1000, 0, timings), RateLimited("Wait 2 hours", 7200, False)
    for number in range(4):
        assert not isinstance(rate_limit.pause(words, Generation("v6/video", f"{number}")), Skipped)
        assert not rate_limit.is_general
        assert await rate_limit.acquire() is None
    rate_limit.pause(words, Generation("v6/video", "4"))
    assert rate_limit.is_general
    assert await rate_limit.acquire() == Skipped("rate-limited, retry in 2 h (Wait 2 hours)")


async def test_one_generation_never_ends_a_run_by_its_words() -> None:
    """However often it has them, and however long the pauses are that it asks for."""
    timings = Timings(short_pause=0.1, default_pause=0.02)
    rate_limit, words = RateLimit(1000, 0, timings), RateLimited("Wait 2 hours", 7200, False)
    for _ in range(20):
        assert not isinstance(rate_limit.pause(words, G1), Skipped)
        assert await rate_limit.acquire() is None


@slow
async def test_a_shorter_pause_does_not_cut_a_longer_one() -> None:
    """Requests that were under way may each come back with a pause of their own."""
    rate_limit = limit()
    rate_limit.pause(RateLimited("Long", 0.4), G1)
    rate_limit.pause(RateLimited("Short", 0.0), G1)
    _, seconds = await timed(rate_limit.acquire())
    assert seconds >= 0.39
