"""A limit on the bytes of all threads together."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from archiver.sync.rate import Rate


def test_the_limit_is_that_of_all_threads_together() -> None:
    """Four threads that take 100 kB each at 1 MB/s need 0.4 s."""
    rate, began = Rate(1_000_000, threading.Event()), time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(rate.wait, [50_000] * 8))
    assert 0.39 < time.monotonic() - began < 30


def test_without_a_limit_nothing_waits() -> None:
    """However much is taken."""
    began = time.monotonic()
    Rate(None, threading.Event()).wait(10**15)
    assert time.monotonic() - began < 20


def test_a_run_that_ends_waits_for_nothing() -> None:
    """A slow rate does not keep Ctrl-C waiting."""
    stopping, began = threading.Event(), time.monotonic()
    stopping.set()
    Rate(1, stopping).wait(3600)
    assert time.monotonic() - began < 30
