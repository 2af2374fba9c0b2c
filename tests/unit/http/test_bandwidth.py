"""A limit on the bytes of all downloads together, which they share fairly."""

import asyncio
import time

import pytest

from archiver.http.bandwidth import Bandwidth
from tests.support.marks import slow


@slow
async def test_the_rate_is_within_five_percent_and_fair() -> None:
    """Three downloads, one of which comes in large chunks, get a third of the rate each."""
    bandwidth, got = Bandwidth(10_000_000), [0, 0, 0]

    async def download(index: int, chunk: int) -> None:
        share = bandwidth.share()
        while True:
            if share.take(chunk):
                await share.wait()
            got[index] += chunk

    tasks = [asyncio.create_task(download(*one)) for one in enumerate((20_000, 64_000, 250_000))]
    await asyncio.sleep(0.5)
    before, began = list(got), time.monotonic()
    await asyncio.sleep(2)
    came = [now - then for now, then in zip(got, before, strict=True)]
    speed = sum(came) / (time.monotonic() - began)
    for task in tasks:
        task.cancel()
    assert speed == pytest.approx(10_000_000, rel=0.05)
    assert all(each == pytest.approx(sum(came) / 3, rel=0.15) for each in came)


@pytest.mark.parametrize("rate", [None, 0])
async def test_without_a_limit_nobody_waits(rate: float | None) -> None:
    """However many bytes come."""
    share = Bandwidth(rate).share()
    assert not share.take(10**15)
    assert not share.take(10**15)


async def test_small_chunks_are_gathered_before_anybody_waits() -> None:
    """A download waits once a hundredth of a second's bytes have come, not for each chunk."""
    share = Bandwidth(100_000).share()
    assert [share.take(400) for _ in range(4)] == [False, False, True, True]
    await share.wait()
    assert [share.take(200), share.take(200)] == [False, True]


async def test_a_share_is_its_own() -> None:
    """What another download has taken is not waited for by this one."""
    bandwidth = Bandwidth(100_000)
    assert bandwidth.share().take(1000)
    assert not bandwidth.share().take(999)
