"""Backoff: as many pauses as there are tries to come, which grow, with jitter, up to a bound."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.http.retry import Backoff

SECONDS = st.floats(0.001, 100)


@pytest.mark.parametrize("tries", [1, 2, 4, 7])
def test_there_is_a_pause_between_any_two_tries(tries: int) -> None:
    """The first try included, there are as many tries as the backoff allows."""
    assert len(list(Backoff(tries, 1.0, 30.0).pauses())) == tries - 1


def test_one_try_is_one() -> None:
    """Where nothing is to be retried there is no pause."""
    assert list(Backoff(1, 1.0, 30.0).pauses()) == []


@given(st.integers(1, 2000), SECONDS, SECONDS)
def test_no_pause_is_longer_than_the_longest(tries: int, first: float, longest: float) -> None:
    """However often it is tried, and however the jitter falls."""
    assert all(0 < pause <= longest for pause in Backoff(tries, first, longest).pauses())


def test_pauses_double_and_have_up_to_a_second_of_jitter() -> None:
    """The pauses after the default of six retries: 1, 2, 4, 8, 16 seconds and then the longest."""
    for _ in range(100):
        *growing, last = Backoff(7, 1.0, 30.0).pauses()
        for pause, least in zip(growing, (1, 2, 4, 8, 16), strict=True):
            assert least <= pause <= least + 1
        assert last == 30


def test_clients_that_failed_together_do_not_come_back_together() -> None:
    """The jitter of one is not that of another."""
    firsts = [next(Backoff(2, 1.0, 30.0).pauses()) for _ in range(100)]
    assert max(firsts) - min(firsts) > 0.5


def test_pauses_begin_anew_for_each_use() -> None:
    """A backoff is a policy that many share: it remembers nothing."""
    backoff = Backoff(3, 1.0, 30.0)
    assert len(list(backoff.pauses())) == len(list(backoff.pauses())) == 2
