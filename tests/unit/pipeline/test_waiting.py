"""A list that does not come is waited for until a signal or the time limit."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from archiver.errors import Interrupted
from archiver.manifest.sources import OutOfTime
from archiver.pipeline.waiting import Waiting


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """The two ends of a pipe: to read from, and to write to."""
    reading, writing = os.pipe()
    with open(reading, "rb"), open(writing, "wb"):  # noqa: PTH123
        yield reading, writing


@pytest.mark.timeout(20)
def test_what_can_be_read(pipe: tuple[int, int]) -> None:
    """There is no wait where there is something to read, nor at the end."""
    waiting = Waiting(None)
    os.write(pipe[1], b"263\n")
    waiting.until_readable(pipe[0])
    assert os.read(pipe[0], 9) == b"263\n"
    writer = threading.Timer(0.5, os.write, (pipe[1], b"264\n"))
    writer.start()
    waiting.until_readable(pipe[0])
    assert os.read(pipe[0], 9) == b"264\n"
    writer.join()
    assert waiting.time_left is None


@pytest.mark.timeout(20)
def test_time_limit(pipe: tuple[int, int]) -> None:
    """A silent pipe is waited for until the limit, and nothing is waited for after it."""
    waiting, before = Waiting(0.5), time.monotonic()
    assert waiting.time_left == 0.5
    with pytest.raises(OutOfTime, match="--max-time"):
        waiting.until_readable(pipe[0])
    assert 0.5 <= time.monotonic() - before < 15
    assert waiting.time_left == 0
    os.write(pipe[1], b"263\n")
    with pytest.raises(OutOfTime):
        waiting.until_readable(pipe[0])


def test_files_take_no_time(tmp_path: Path) -> None:
    """A file is always read, and the time limit does not run meanwhile."""
    waiting = Waiting(0.001)
    with (tmp_path / "ids.txt").open("wb") as file:
        for _ in range(3):
            waiting.until_readable(file.fileno())
            time.sleep(0.002)
    assert waiting.time_left == 0.001


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.timeout(20)
def test_signals(pipe: tuple[int, int], number: signal.Signals) -> None:
    """A signal ends the wait, and its handler is as before then."""
    waiting, handler = Waiting(None), signal.getsignal(number)
    sender = threading.Timer(0.3, os.kill, (os.getpid(), number))

    def wait() -> None:
        with waiting.on_signals():
            sender.start()
            waiting.until_readable(pipe[0])

    with pytest.raises(Interrupted, match=number.name):
        wait()
    assert signal.getsignal(number) is handler
    sender.join()


def test_a_signal_after_the_last_wait() -> None:
    """A signal that comes when nothing is waited for any more counts too."""
    with pytest.raises(Interrupted), Waiting(None).on_signals():
        os.kill(os.getpid(), signal.SIGTERM)


def test_another_thread() -> None:
    """A thread that may not handle signals waits without them."""
    faults: list[BaseException] = []

    def wait() -> None:
        try:
            with Waiting(None).on_signals():
                pass
        except BaseException as error:  # noqa: BLE001
            faults.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    thread.join()
    assert not faults
