"""A host that throttles is left alone, for as long as it asks; other hosts are not."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from archiver.download.hosts import Hosts
from tests.support.clock import MonotonicClock

ONE, OTHER = URL("http://a.example/1"), URL("http://a.example/2")
ELSEWHERE = URL("http://b.example/1")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> MonotonicClock:
    return MonotonicClock.of("archiver.download.hosts", monkeypatch)


@pytest.fixture
def hosts(clock: MonotonicClock) -> Hosts:
    return Hosts(8, 8)


# --- Pauses


def test_a_host_that_was_never_asked_is_not_paused(hosts: Hosts) -> None:
    """Neither is one that has served."""
    assert hosts.of(ONE).pause() == (0, "")
    hosts.of(ONE).served()
    assert hosts.of(ONE).pause() == (0, "")


def test_a_paused_host_is_left_alone_until_its_time_is_over(
    hosts: Hosts, clock: MonotonicClock
) -> None:
    """All its links, for the reason that it gave; links elsewhere are not concerned."""
    assert hosts.of(ONE).throttled(ONE, "429 Too Many Requests", 10) == 10
    assert hosts.of(OTHER).pause() == (10, "429 Too Many Requests")
    clock.now += 9
    assert hosts.of(ONE).pause()[0] == 1
    clock.now += 2
    assert hosts.of(ONE).pause()[0] == 0
    for url in (ELSEWHERE, URL("http://a.example:8080/1"), URL("https://a.example/1")):
        assert hosts.of(url).pause() == (0, "")


def test_without_a_hint_each_pause_is_twice_as_long(hosts: Hosts, clock: MonotonicClock) -> None:
    """Up to a minute, and from the beginning once the host has served something."""
    pauses = []
    for _ in range(9):
        pauses.append(hosts.of(ONE).throttled(ONE, "429", None))
        clock.now += pauses[-1]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    hosts.of(OTHER).served()
    assert hosts.of(ONE).throttled(ONE, "429", None) == 1


def test_downloads_that_are_refused_together_are_one_pause(
    hosts: Hosts, clock: MonotonicClock
) -> None:
    """Those of the same moment do not make it longer."""
    assert hosts.of(ONE).throttled(ONE, "429", None) == 1
    clock.now += 0.25
    assert hosts.of(OTHER).throttled(OTHER, "429", None) == 0.75
    clock.now += 0.75
    assert hosts.of(ONE).throttled(ONE, "429", None) == 2


def test_of_several_hints_the_longest_counts(hosts: Hosts) -> None:
    """A host that gives each link another wait is left alone for all of them."""
    assert hosts.of(ONE).throttled(ONE, "503", 20) == 20
    assert hosts.of(OTHER).throttled(OTHER, "503", 5) == 20
    assert hosts.of(OTHER).throttled(OTHER, "503", 40) == 40


def test_a_long_pause_must_be_asked_for_by_two_links(hosts: Hosts) -> None:
    """One link that is refused for an hour does not shut its host for an hour."""
    assert hosts.of(ONE).throttled(ONE, "503", 3600) == 60
    assert hosts.of(ONE).throttled(ONE, "503", 3600) == 60
    hosts.of(OTHER).served()
    assert hosts.of(ONE).throttled(ONE, "503", 3600) == 60
    assert hosts.of(OTHER).throttled(OTHER, "503", 3600) == 3600


@pytest.mark.parametrize("wait", [0.0, 1.0, None])
def test_a_host_may_throttle_for_ever(
    hosts: Hosts, clock: MonotonicClock, wait: float | None
) -> None:
    """However often it does: its hint is followed, and a wait of nothing is no hint."""
    pauses = []
    for _ in range(2000):
        pauses.append(hosts.of(ONE).throttled(ONE, "429", wait))
        clock.now += pauses[-1] + 0.1
    assert pauses[0] == 1.0
    assert pauses[-1] == pytest.approx(1.0 if wait else 60.0)


@given(
    st.lists(
        st.tuples(st.floats(0, 100), st.none() | st.just(0.0) | st.floats(0.1, 1e6), st.booleans())
    )
)
def test_a_pause_is_as_long_as_it_was_announced(
    steps: list[tuple[float, float | None, bool]],
) -> None:
    """Whatever comes: what `throttled` returns is what `pause` then shows, and never nothing."""
    with pytest.MonkeyPatch.context() as patch:
        clock = MonotonicClock.of("archiver.download.hosts", patch)
        hosts = Hosts(1, 1)
        for seconds, wait, first in steps:
            clock.now += seconds
            host, url = hosts.of(ONE), ONE if first else OTHER
            announced = host.throttled(url, "429", wait)
            assert announced > 0
            assert host.pause() == (announced, "429")


# --- Slots


async def most_at_once(hosts: Hosts, *urls: URL) -> dict[str, int]:
    """Download from all of these links; return how many ran at once, by host and in all."""
    running: list[URL] = []
    most: dict[str, int] = {}

    async def download(url: URL) -> None:
        async with hosts.of(url).slots, hosts.slots:
            running.append(url)
            for key in (url.host or "", "all"):
                now = len([one for one in running if key in ("all", one.host)])
                most[key] = max(most.get(key, 0), now)
            await asyncio.sleep(0)
            running.remove(url)

    await asyncio.gather(*map(download, urls))
    assert running == []
    return most


async def test_downloads_are_bounded_in_all() -> None:
    """However many hosts there are."""
    urls = [URL(f"http://{number % 4}.example/") for number in range(20)]
    assert (await most_at_once(Hosts(3, 8), *urls))["all"] == 3


async def test_downloads_are_bounded_for_each_host() -> None:
    """A host's bound is its own: another one's downloads do not count."""
    most = await most_at_once(Hosts(8, 2), *[ONE, ELSEWHERE] * 6)
    assert most == {"a.example": 2, "b.example": 2, "all": 4}


async def test_who_waits_for_a_host_takes_no_slot_from_another() -> None:
    """A slow host with a long queue leaves the slots of all to the others."""
    hosts = Hosts(2, 1)
    async with hosts.of(ONE).slots, hosts.slots:
        waiting = [asyncio.create_task(most_at_once(hosts, OTHER)) for _ in range(5)]
        for _ in range(10):
            await asyncio.sleep(0)
        async with asyncio.timeout(30), hosts.of(ELSEWHERE).slots, hosts.slots:
            assert not any(task.done() for task in waiting)
    await asyncio.gather(*waiting)


async def test_a_slot_is_free_again_after_an_error() -> None:
    """Or after a cancellation."""
    hosts = Hosts(1, 1)
    for error in (ValueError, asyncio.CancelledError):
        with pytest.raises(error):
            async with hosts.of(ONE).slots, hosts.slots:
                raise error
    async with asyncio.timeout(30), hosts.of(ONE).slots, hosts.slots:
        pass
