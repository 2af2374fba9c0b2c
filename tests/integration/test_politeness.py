"""The API and the link hosts get no more requests than is allowed, and none while they throttle."""

import asyncio
import re
from dataclasses import replace
from itertools import pairwise

import pytest

from archiver.emulator.scripts import Fault, LinkScript, OutputScript, RawResponse, Script
from archiver.emulator.server import Seen
from archiver.outcomes import Failed
from archiver.settings import Timings
from tests.support.backups import Backups, generation, quick_downloads
from tests.support.marks import slow
from tests.support.raw_server import RawServer

FAULTY: tuple[Fault, ...] = ("busy", "throttled")
"""503 with `Retry-After: 1`, and 429 without a hint."""


def video(primary: LinkScript, proxy: LinkScript | None = None, size: int = 20_000) -> Script:
    return Script(outputs=(OutputScript(size=size, primary=primary, proxy=proxy),))


def elsewhere(name: str) -> Script:
    """A video whose only link leads to the other host."""
    url = f"http://{{proxy}}/generations/v6.deepfake.{name}.1.mp4"
    return video(LinkScript(url=url), LinkScript())


def at_hosts(backups: Backups, host: str) -> list[Seen]:
    return [seen for seen in backups.emulator.requests if seen.host == host]


# --- Rates and bounds


@slow
async def test_the_api_rate_holds(backups: Backups) -> None:
    """Twenty requests at twenty a second take about a second."""
    names = [str(number) for number in range(20)]
    backups.emulator.scripts |= {generation(name): Script(response="failed") for name in names}
    await backups.run(*names, api_rate=20)
    times = [request.at for request in backups.emulator.requests]
    assert times[-1] - times[0] >= 0.7


async def test_downloads_are_bounded(backups: Backups) -> None:
    """No more videos are downloaded at once than allowed."""
    names = [str(number) for number in range(12)]
    slow = video(LinkScript(seconds=0.1))
    backups.emulator.scripts |= {generation(name): slow for name in names}
    await backups.run(*names, download=quick_downloads(concurrency=3))
    assert backups.emulator.busiest["primary"] == 3


@slow
async def test_downloads_from_one_host_are_bounded_apart(backups: Backups) -> None:
    """A host's bound is its own: the other host has as many downloads as are allowed in all."""
    here, there = [str(number) for number in range(6)], [f"b{number}" for number in range(6)]
    slow = LinkScript(seconds=0.2)
    backups.emulator.scripts |= {generation(name): video(slow) for name in here}
    for name in there:
        dead = LinkScript(url="http://{nobody}/")
        backups.emulator.scripts[generation(name)] = video(dead, slow)
    report = await backups.run(*here, *there, download=quick_downloads(concurrency=8, per_host=2))
    assert (backups.emulator.busiest["primary"], backups.emulator.busiest["proxy"]) == (2, 2)
    assert report.archived == 12


@slow
async def test_the_byte_rate_holds(backups: Backups) -> None:
    """Downloads at once share the rate: together they take as long as their bytes need."""
    names = [str(number) for number in range(4)]
    backups.emulator.scripts |= {
        generation(name): video(LinkScript(), size=1_000_000) for name in names
    }
    report = await backups.run(*names, download=quick_downloads(limit_rate=2_000_000, timeout=10))
    assert report.archived == 4
    assert report.seconds >= 1.8  # 4 MB, a tenth of a second's worth at once


@slow
async def test_a_slow_rate_is_no_crawl(backups: Backups) -> None:
    """What is slow because we wait is not given up as a link that crawls."""
    backups.emulator.scripts[generation("1")] = video(LinkScript(), size=300_000)
    settings = quick_downloads(limit_rate=100_000, timeout=1)
    report = await backups.run("1", download=settings)
    assert (report.archived, backups.emulator.downloads()) == (1, 1)


# --- A host that throttles


@slow
@pytest.mark.parametrize("fault", FAULTY)
async def test_a_host_that_throttles_is_left_alone(backups: Backups, fault: Fault) -> None:
    """For as long as it asks, or a second, it gets no requests; then all are archived."""
    names = [str(number) for number in range(10)]
    backups.emulator.scripts |= {generation(name): video(LinkScript()) for name in names}
    backups.emulator.scripts[generation("0")] = video(LinkScript(fault=fault, times=1))
    report = await backups.run(*names, download=quick_downloads(retries=1, concurrency=1))
    assert (report.archived, report.exit_status) == (10, 0)
    times = [seen.at for seen in at_hosts(backups, "primary")]
    assert max(later - sooner for sooner, later in pairwise(times)) >= 0.95
    assert len(times) == 11


@slow
async def test_other_hosts_go_on_meanwhile(backups: Backups) -> None:
    """Videos on another host are downloaded during the pause, however many are deferred."""
    deferred, others = [str(number) for number in range(6)], [f"b{number}" for number in range(10)]
    busy = video(LinkScript(fault="busy", times=1))
    backups.emulator.scripts |= {generation(name): busy for name in deferred}
    backups.emulator.scripts |= {generation(name): elsewhere(name) for name in others}
    settings = quick_downloads(retries=1, concurrency=2)
    report = await backups.run(*deferred, *others, download=settings)
    assert (report.archived, report.exit_status) == (16, 0)
    first, *_ = at_hosts(backups, "primary")
    assert at_hosts(backups, "proxy")[-1].at < first.at + 10


async def test_a_proxy_serves_while_the_primary_is_left_alone(backups: Backups) -> None:
    """A link on another host is tried at once, and no generation waits for its primary."""
    names = [str(number) for number in range(5)]
    backups.emulator.scripts |= {
        generation(name): video(LinkScript(fault="throttled"), LinkScript()) for name in names
    }
    report = await backups.run(*names, download=quick_downloads(retries=1, concurrency=1))
    assert (report.archived, len(at_hosts(backups, "primary"))) == (5, 1)
    assert backups.emulator.asked() == 5


@slow
async def test_a_video_that_is_never_served_delays_no_others(
    backups: Backups,
) -> None:
    """Its host is left alone each time, as it asks, but it is tried less and less often."""
    names = [str(number) for number in range(30)]
    backups.emulator.scripts |= {
        generation(name): video(LinkScript(seconds=0.02)) for name in names
    }
    backups.emulator.scripts[generation("5")] = video(LinkScript(fault="busy"))
    timings = Timings(poll_min=0.05, short_pause=6.0)
    download = quick_downloads(retries=1, concurrency=2)
    report = await backups.run(*names, download=download, timings=timings)
    assert (report.archived, report.failed) == (29, 1)
    requests = at_hosts(backups, "primary")
    in_vain = [seen.at for seen in requests if seen.path.endswith("v6.deepfake.5.1.mp4")]
    assert 3 <= len(in_vain) <= 5
    assert in_vain[2] - in_vain[1] >= 1.9
    last_of_the_others = max(seen.at for seen in requests if seen.at not in in_vain)
    assert last_of_the_others < in_vain[2]


async def test_a_pause_that_is_too_long_is_a_failure(backups: Backups) -> None:
    """A generation whose host asks for more time than the run has fails, with the reason."""
    names = ("1", "2")
    backups.emulator.scripts |= {generation(n): video(LinkScript(fault="busy")) for n in names}
    report = await backups.run(*names, download=quick_downloads(retries=0, concurrency=1))
    assert (report.failed, report.exit_status) == (2, 3)
    why = [failed.why for failed in backups.outcomes if isinstance(failed, Failed)]
    assert all(
        re.search(r"host asked for a pause, retried on the next run: primary http.*: .*503 Ser", w)
        for w in why
    )
    assert (
        "not tried: its host asked for a pause (503 Service Unavailable), which ends in"
        in "".join(why)
    )
    assert backups.emulator.downloads() == 1


# --- Hosts that throttle without end


@slow
async def test_after_a_pause_of_nothing_it_is_not_tried_again_at_once(backups: Backups) -> None:
    """A `Retry-After` in the past, as of a clock that is wrong, is no invitation."""
    past = "Wed, 01 Jan 2020 00:00:00 GMT"
    head = f"HTTP/1.1 429 x\r\nRetry-After: {past}\r\nContent-Length: 0\r\n\r\n".encode()
    async with RawServer({"*": (head,)}) as busy:
        backups.emulator.scripts[generation("1")] = video(LinkScript(url=f"http://{busy.host}/"))
        report = await backups.run("1", max_time=4.0, download=quick_downloads(retries=2))
        assert len(busy.heads) <= 3
    assert (report.exit_status, report.failed) == (3, 1)
    assert backups.emulator.asked() <= 3


@slow
async def test_an_api_that_asks_for_no_pause_is_given_time(backups: Backups) -> None:
    """Its `Retry-After: 0` does not take the backoff away: it may be back in a few seconds."""
    backups.emulator.scripts[generation("1")] = Script()
    page = RawResponse("<html>", 503, {"Retry-After": "0"})
    backups.emulator.api = replace(backups.emulator.api, always=page)
    asyncio.get_running_loop().call_later(
        2, lambda: setattr(backups.emulator, "api", replace(backups.emulator.api, always=None))
    )
    report = await backups.run("1", api=replace(backups.settings().api, retries=3))
    assert report.archived == 1
