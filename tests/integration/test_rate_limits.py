"""Rate limits of the API: a run waits out short pauses, and skips what a long one keeps from it."""

import pytest

from archiver.emulator.scripts import ApiScript, LinkScript, OutputScript, RawResponse, Script
from archiver.outcomes import Failed
from archiver.settings import Timings
from tests.support.backups import Backups, generation, quick_downloads
from tests.support.marks import slow

G263 = generation("263")


async def test_a_short_pause_is_waited_out(backups: Backups) -> None:
    """A pause that fits into the run delays the requests and loses nothing."""
    backups.emulator.scripts[G263] = Script()
    backups.emulator.api = ApiScript(throttle_first=1, retry_after=1)
    report = await backups.run("263", timings=Timings(after_pause=0.1))
    first, second = [r.at for r in backups.emulator.requests if r.host == "api"]
    assert (report.archived, report.exit_status) == (1, 0)
    assert second - first >= 1


async def test_a_long_pause_leaves_the_rest_to_the_next_run(backups: Backups) -> None:
    """Where a pause does not fit into the run, the rest is skipped, with the reason."""
    backups.emulator.api = ApiScript(always="throttled-words", retry_after=1800)
    report = await backups.run(*map(str, range(50)), timings=Timings(default_pause=0.5))
    assert (report.skipped, report.exit_status) == (50, 3)
    assert any(
        line.startswith("skipped 50, retried on the next run: rate-limited")
        for line in report.lines()
    )
    assert backups.emulator.asked() < 20


@slow
@pytest.mark.parametrize("downloads", [1, 8])
async def test_a_pause_for_one_generation_does_not_skip_the_others(
    backups: Backups, downloads: int
) -> None:
    """A pause of an hour is confirmed by the request for another generation."""
    names = list(map(str, range(30)))
    backups.emulator.scripts |= {generation(name): Script() for name in names}
    body = {"status": "error", "message": "Rate limit exceeded.", "retry_after": 3600}
    backups.emulator.scripts[generation("0")] = Script(response=RawResponse(body, 429))
    report = await backups.run(
        *names,
        download=quick_downloads(concurrency=downloads),
        timings=Timings(default_pause=0.2, after_pause=0.2),
    )
    assert (report.archived, report.skipped, report.exit_status) == (29, 1, 3)


@slow
async def test_several_messages_like_a_rate_limit_skip_no_others(backups: Backups) -> None:
    """Next to each other or not, they do not end a run while there are others to request."""
    names = list(map(str, range(60)))
    backups.emulator.scripts |= {generation(name): Script() for name in names}
    message = RawResponse({"status": "failed", "message": "Too many faces, wait for 2 hours"})
    for name in ("0", "1", "9"):
        backups.emulator.scripts[generation(name)] = Script(response=message)
    report = await backups.run(
        *names, api_rate=40, timings=Timings(default_pause=0.1, after_pause=0.1)
    )
    assert report.archived == 57


@slow
async def test_a_message_like_a_rate_limit_skips_no_others(backups: Backups) -> None:
    """A generation that meets a rate limit while others do not fails, with its message."""
    message = RawResponse({"status": "failed", "message": "Too many faces, wait for 2 hours"})
    backups.emulator.scripts |= {generation(str(n)): Script() for n in range(150)}
    backups.emulator.scripts[generation("3")] = Script(response=message)
    report = await backups.run(
        *map(str, range(150)), api_rate=40, timings=Timings(default_pause=0.2, after_pause=0.2)
    )
    (failed,) = (outcome for outcome in backups.outcomes if isinstance(outcome, Failed))
    assert (failed.generation, failed.why) == (
        generation("3"),
        "ModelsLab responded: Too many faces, wait for 2 hours",
    )
    assert (report.archived, report.skipped, report.exit_status) == (149, 0, 3)


async def test_a_generation_without_credit_skips_no_others(backups: Backups) -> None:
    """While others are ready, its message is its own, and does not end the run."""
    message = RawResponse({"status": "failed", "message": "Insufficient credits"})
    backups.emulator.scripts |= {generation(str(n)): Script() for n in range(9)}
    backups.emulator.scripts |= {generation(str(n)): Script(response=message) for n in (0, 4)}
    report = await backups.run(*map(str, range(9)))
    assert (report.archived, report.failed, report.exit_status) == (7, 2, 3)


@slow
async def test_a_message_like_a_rate_limit_fails_when_there_are_no_others(
    backups: Backups,
) -> None:
    """At the end of a list it is requested a few times more, and then it is its own message."""
    message = RawResponse({"status": "failed", "message": "Too many faces, wait for 2 hours"})
    backups.emulator.scripts |= {generation(str(n)): Script() for n in range(5)}
    backups.emulator.scripts[generation("0")] = Script(response=message)
    report = await backups.run(
        *map(str, range(5)), timings=Timings(default_pause=0.5, after_pause=0.1)
    )
    assert (report.archived, report.failed, report.exit_status) == (4, 1, 3)
    assert any("Too many faces" in line for line in report.lines())


@slow
async def test_a_long_pause_in_words_is_believed_when_it_is_repeated(
    backups: Backups,
) -> None:
    """With status 200 it may be one generation's message: another one is requested first."""
    backups.emulator.api = ApiScript(always="throttled-old", retry_after=1800)
    report = await backups.run(
        *map(str, range(50)), api_rate=10, timings=Timings(default_pause=0.5)
    )
    assert (report.skipped, report.exit_status) == (50, 3)
    assert backups.emulator.asked() < 10


@slow
async def test_a_time_limit_during_a_pause_is_a_failure(backups: Backups) -> None:
    """What was skipped for a rate limit makes the exit status 3, even at the time limit."""
    large = Script(outputs=(OutputScript(size=2_000_000, primary=LinkScript(seconds=2.5)),))
    wait = {"status": "error", "message": "Rate limit exceeded", "retry_after": 3600}
    backups.emulator.scripts |= {generation(str(n)): Script() for n in range(3, 12)}
    backups.emulator.scripts |= {
        generation("1"): large, generation("2"): Script(response=RawResponse(wait, 429)),
    }  # fmt: skip
    report = await backups.run(*map(str, range(1, 12)), max_time=1.0, api_rate=5)
    assert report.exit_status == 3
    assert "rate-limited" in report.reason
