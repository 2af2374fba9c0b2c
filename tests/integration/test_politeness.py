"""The API and the link hosts are asked no more and no faster than was said or than they bear."""

import asyncio
import re
import time
from dataclasses import replace
from itertools import pairwise

import pytest
from yarl import URL

from archiver.download.bandwidth import ByteRate
from archiver.download.hosts import Hosts
from archiver.emulator.scripts import LinkScript, OutputScript, RawResponse, Script
from archiver.emulator.server import Seen
from archiver.generation import Generation
from archiver.outcomes import Failed
from archiver.pipeline.scheduler import Scheduler, Turn
from tests.support.backups import Backups, generation, quick_downloads
from tests.support.raw_server import RawServer

FAULTY = ("busy", "throttled")
"""503 with `Retry-After: 1`, and 429 that says nothing."""


def video(primary: LinkScript, proxy: LinkScript | None = None, size: int = 20_000) -> Script:
    return Script(outputs=(OutputScript(size=size, primary=primary, proxy=proxy),))


def elsewhere(name: str) -> Script:
    """A video whose only link leads to the other host."""
    url = f"http://{{proxy}}/generations/v6.deepfake.{name}.1.mp4"
    return video(LinkScript(url=url), LinkScript())


def at_hosts(backups: Backups, host: str) -> list[Seen]:
    return [seen for seen in backups.emulator.requests if seen.host == host]


# --- Rates and bounds


async def test_the_api_rate_holds(backups: Backups) -> None:
    """Twenty questions at twenty a second take about a second."""
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
    await backups.run(*names, download=quick_downloads(at_once=3))
    assert backups.emulator.busiest["primary"] == 3


async def test_downloads_from_one_host_are_bounded_apart(backups: Backups) -> None:
    """A host's bound is its own: the other host has as many downloads as are allowed in all."""
    here, there = [str(number) for number in range(6)], [f"b{number}" for number in range(6)]
    slow = LinkScript(seconds=0.2)
    backups.emulator.scripts |= {generation(name): video(slow) for name in here}
    for name in there:
        dead = LinkScript(url="http://{nobody}/")
        backups.emulator.scripts[generation(name)] = video(dead, slow)
    report = await backups.run(*here, *there, download=quick_downloads(at_once=8, per_host=2))
    assert (backups.emulator.busiest["primary"], backups.emulator.busiest["proxy"]) == (2, 2)
    assert report.archived == 12


async def test_the_byte_rate_holds(backups: Backups) -> None:
    """Downloads at once share the rate: together they take as long as their bytes need."""
    names = [str(number) for number in range(4)]
    backups.emulator.scripts |= {
        generation(name): video(LinkScript(), size=1_000_000) for name in names
    }
    report = await backups.run(*names, download=quick_downloads(limit_rate=2_000_000, timeout=10))
    assert report.archived == 4
    assert report.seconds >= 1.8  # 4 MB, a tenth of a second's worth at once


async def test_the_byte_rate_is_within_five_percent_and_fair() -> None:
    """Three downloads, one of which comes in large chunks, get a third of the rate each."""
    rate, got = ByteRate(10_000_000), [0, 0, 0]

    async def download(index: int, chunk: int) -> None:
        share = rate.share()
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


async def test_a_slow_rate_is_no_crawl(backups: Backups) -> None:
    """What is slow because we wait is not given up as a link that crawls."""
    backups.emulator.scripts[generation("1")] = video(LinkScript(), size=300_000)
    settings = quick_downloads(limit_rate=100_000, timeout=0.5)
    report = await backups.run("1", download=settings)
    assert (report.archived, backups.emulator.downloads()) == (1, 1)


# --- A host that throttles


@pytest.mark.parametrize("fault", FAULTY)
async def test_a_host_that_throttles_is_left_alone(backups: Backups, fault: str) -> None:
    """For as long as it says, or a second, nobody asks it for anything; then all is had."""
    names = [str(number) for number in range(10)]
    backups.emulator.scripts |= {generation(name): video(LinkScript()) for name in names}
    backups.emulator.scripts[generation("0")] = video(LinkScript(fault=fault, times=1))
    report = await backups.run(*names, download=quick_downloads(retries=1, at_once=1))
    assert (report.archived, report.exit_status) == (10, 0)
    times = [seen.at for seen in at_hosts(backups, "primary")]
    assert max(later - sooner for sooner, later in pairwise(times)) >= 0.95
    assert len(times) == 11


async def test_other_hosts_go_on_meanwhile(backups: Backups) -> None:
    """Videos that lie elsewhere are had during the pause, however many are put off."""
    held_up, others = [str(number) for number in range(6)], [f"b{number}" for number in range(10)]
    busy = video(LinkScript(fault="busy", times=1))
    backups.emulator.scripts |= {generation(name): busy for name in held_up}
    backups.emulator.scripts |= {generation(name): elsewhere(name) for name in others}
    settings = quick_downloads(retries=1, at_once=2)
    report = await backups.run(*held_up, *others, download=settings)
    assert (report.archived, report.exit_status) == (16, 0)
    first, *_ = at_hosts(backups, "primary")
    assert at_hosts(backups, "proxy")[-1].at < first.at + 1


async def test_a_proxy_serves_while_the_primary_is_left_alone(backups: Backups) -> None:
    """A link on another host is tried at once, and no generation waits for its primary."""
    names = [str(number) for number in range(5)]
    backups.emulator.scripts |= {
        generation(name): video(LinkScript(fault="throttled"), LinkScript()) for name in names
    }
    report = await backups.run(*names, download=quick_downloads(retries=1, at_once=1))
    assert (report.archived, len(at_hosts(backups, "primary"))) == (5, 1)
    assert backups.emulator.asked() == 5


async def test_a_video_that_is_never_served_holds_up_no_others(
    backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its host is left alone each time, as it says, but it is asked for it less and less often."""
    monkeypatch.setattr("archiver.pipeline.scheduler._SOONEST", 0.05)
    monkeypatch.setattr("archiver.pipeline.scheduler.SHORT_PAUSE", 6.0)
    names = [str(number) for number in range(30)]
    backups.emulator.scripts |= {
        generation(name): video(LinkScript(seconds=0.02)) for name in names
    }
    backups.emulator.scripts[generation("5")] = video(LinkScript(fault="busy"))
    report = await backups.run(*names, download=quick_downloads(retries=1, at_once=2))
    assert (report.archived, report.failed) == (29, 1)
    requests = at_hosts(backups, "primary")
    in_vain = [seen.at for seen in requests if seen.path.endswith("v6.deepfake.5.1.mp4")]
    assert 3 <= len(in_vain) <= 4
    assert in_vain[2] - in_vain[1] >= 1.9
    last_of_the_others = max(seen.at for seen in requests if seen.at not in in_vain)
    assert last_of_the_others < in_vain[2]


async def test_a_pause_that_is_too_long_is_told(backups: Backups) -> None:
    """A generation whose host asks to wait longer than the run may fails, with the reason."""
    names = ("1", "2")
    backups.emulator.scripts |= {generation(n): video(LinkScript(fault="busy")) for n in names}
    report = await backups.run(*names, download=quick_downloads(retries=0, at_once=1))
    assert (report.failed, report.exit_status) == (2, 3)
    why = [failed.why for failed in backups.outcomes if isinstance(failed, Failed)]
    assert all(
        re.search(
            "a host asks to be left alone: tried again next night; primary http.* 503 Service", w
        )
        for w in why
    )
    assert "not asked: its host says 503" in "".join(why)
    assert backups.emulator.downloads() == 1


# --- What comes first


class Lists:
    """A night's list of so many, those never tried first."""

    def __init__(self, *rows: tuple[str, bool]) -> None:
        self.rows = [(generation(name), first) for name, first in rows]

    def take(self, count: int) -> list[tuple[Generation, bool]]:
        """Give the next of them."""
        taken, self.rows = self.rows[:count], self.rows[count:]
        return taken


async def test_what_is_ready_and_was_put_off_comes_before_all_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As soon as its pause is over, which is a few seconds at least: its links may die."""
    monkeypatch.setattr("archiver.pipeline.scheduler._SOONEST", 0.05)
    scheduler = Scheduler(Lists(("1", True), ("2", True)).take, wait=60)
    first = await scheduler.next()
    assert first
    assert scheduler.put_off(first, 0, refused=True)
    assert scheduler.left_alone() == [generation("1")]
    second = await scheduler.next()
    assert second
    assert second.generation == generation("2")
    scheduler.done()
    third = await scheduler.next()
    assert third
    assert third.generation == generation("1")
    scheduler.done()
    assert await scheduler.next() is None


async def test_a_turn_is_put_off_no_longer_than_there_is_time() -> None:
    """A minute is always sat out; more only if the run may wait so long, counted in all."""
    scheduler = Scheduler(Lists(("1", True)).take, wait=0)
    turn = await scheduler.next()
    assert turn
    assert not scheduler.put_off(turn, 61, refused=True)
    patient = Scheduler(Lists(("1", True)).take, wait=100)
    turn = await patient.next()
    assert turn
    assert patient.put_off(turn, 99, refused=True)
    late = Turn(generation("1"), first=True, sit_out_until=0.5)
    assert not patient.put_off(late, 1, refused=True)
    polled = Turn(generation("1"), first=True, give_up_at=0.5)
    assert patient.put_off(polled, 1, refused=True)


def test_a_long_pause_must_be_said_of_two_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """One link that is refused for an hour does not shut its host for so long."""
    monkeypatch.setattr("archiver.download.hosts.time.monotonic", lambda: 0.0)
    hosts = Hosts(8, 8)
    one, other = URL("http://a.example/1"), URL("http://a.example/2")
    assert hosts.throttled(one, "503", 3600) == 60
    assert hosts.throttled(one, "503", 3600) == 60
    hosts.served(other)
    assert hosts.throttled(one, "503", 3600) == 60
    assert hosts.throttled(other, "503", 3600) == 3600


# --- Hosts that throttle without end


@pytest.mark.parametrize("wait", [0.0, 1.0, None])
def test_a_host_may_throttle_for_ever(monkeypatch: pytest.MonkeyPatch, wait: float | None) -> None:
    """However often it does: a wait that it gives is taken, and none at all is no wait."""
    now = [0.0]
    monkeypatch.setattr("archiver.download.hosts.time.monotonic", lambda: now[0])
    hosts, url = Hosts(8, 8), URL("http://a.example/")
    pauses = []
    for _ in range(2000):
        pauses.append(hosts.throttled(url, "429", wait))
        now[0] += pauses[-1] + 0.1
    assert pauses[0] == 1.0
    assert pauses[-1] == (1.0 if wait else 60.0)


async def test_a_pause_of_nothing_is_not_tried_again_at_once(backups: Backups) -> None:
    """`Retry-After` with a date that is past, as of a clock that is wrong, is no invitation."""
    past = "Wed, 01 Jan 2020 00:00:00 GMT"
    head = f"HTTP/1.1 429 x\r\nRetry-After: {past}\r\nContent-Length: 0\r\n\r\n".encode()
    async with RawServer({"*": (head,)}) as busy:
        backups.emulator.scripts[generation("1")] = video(LinkScript(url=f"http://{busy.host}/"))
        report = await backups.run("1", max_time=4.0, download=quick_downloads(retries=2))
        assert len(busy.heads) <= 3
    assert (report.exit_status, report.failed) == (3, 1)
    assert backups.emulator.asked() <= 3


async def test_an_api_that_says_to_wait_for_nothing_is_given_time(backups: Backups) -> None:
    """Its `Retry-After: 0` does not take the backoff away: it may be back in a few seconds."""
    backups.emulator.scripts[generation("1")] = Script()
    page = RawResponse("<html>", 503, {"Retry-After": "0"})
    backups.emulator.api = replace(backups.emulator.api, always=page)
    asyncio.get_running_loop().call_later(
        2, lambda: setattr(backups.emulator, "api", replace(backups.emulator.api, always=None))
    )
    report = await backups.run("1", api=replace(backups.settings().api, retries=3))
    assert report.archived == 1
