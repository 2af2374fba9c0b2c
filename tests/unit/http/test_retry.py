"""What may pass is tried again, with backoff; what succeeds at once costs nothing more."""

import subprocess
import sys
import time

import pytest

from archiver.http.retry import Backoff, with_backoff

QUICK = Backoff(tries=4, first=0.001, longest=0.01)


class Passing(Exception):
    """ServerError that may pass."""


class Work:
    """Fails with each of these errors in turn, and then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.done = 0

    async def __call__(self) -> str:
        """Do it."""
        self.done += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def passes(error: Exception) -> bool:
    return isinstance(error, Passing)


@pytest.mark.parametrize("failures", [0, 1, 3])
async def test_it_is_tried_until_it_succeeds(failures: int) -> None:
    """So often as the backoff allows, the first try included."""
    work = Work(*[Passing()] * failures)
    assert await with_backoff(work, on=passes, backoff=QUICK) == "done"
    assert work.done == failures + 1


async def test_the_last_error_is_raised() -> None:
    """When all tries have failed it is what the last of them says that counts."""
    work = Work(*(Passing(number) for number in range(9)))
    with pytest.raises(Passing, match="3"):
        await with_backoff(work, on=passes, backoff=QUICK)
    assert work.done == 4


async def test_what_does_not_pass_is_raised_at_once() -> None:
    """Whether it comes first or after what might have passed."""
    for errors in ([ValueError()], [Passing(), ValueError()]):
        work = Work(*errors)
        with pytest.raises(ValueError):  # noqa: PT011 (it is the one above)
            await with_backoff(work, on=passes, backoff=QUICK)
        assert work.done == len(errors)


async def test_one_try_is_one() -> None:
    """Where nothing is to be tried again, nothing is."""
    work = Work(Passing(), Passing())
    with pytest.raises(Passing):
        await with_backoff(work, on=passes, backoff=Backoff(1, 0.001, 0.01))
    assert work.done == 1


async def test_the_server_says_how_long_to_wait() -> None:
    """A number from `on` is waited for, whatever the backoff would have been."""
    began = time.monotonic()
    await with_backoff(Work(Passing()), on=lambda _: 0.3, backoff=QUICK)
    assert time.monotonic() - began >= 0.3


SUCCEEDS = """
import asyncio, sys
from archiver.http.retry import Backoff, with_backoff

async def work():
    return "done"

print(asyncio.run(with_backoff(work, on=bool, backoff=Backoff(3, 1, 1))), "stamina" in sys.modules)
"""


def test_who_succeeds_needs_no_machinery() -> None:
    """What tries again is not even imported then."""
    told = subprocess.run(
        [sys.executable, "-c", SUCCEEDS], capture_output=True, text=True, timeout=60, check=True
    )
    assert told.stdout == "done False\n"
