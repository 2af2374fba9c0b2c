"""No generation harms its neighbours, and none is archived as another: what few runs meet."""

import base64
import json

import pytest

from archiver.emulator.scripts import ApiScript, LinkScript, OutputScript, RawResponse, Script
from archiver.settings import Timings
from tests.support.archives import look_up
from tests.support.backups import Backups, generation, quick_downloads
from tests.support.hostile import VIDEO, sized
from tests.support.raw_server import Pause, RawServer

QUICK = Timings(poll_min=0.05, poll_first=0.05, links_first=0.05, default_pause=0.05, after_pause=0)
"""Pauses that tests wait out."""


def responding(message: str, status: int, **headers: str) -> Script:
    body = {"status": "error", "message": message}
    return Script(response=RawResponse(body, status, headers))


@pytest.mark.parametrize("status", [401, 402, 403])
async def test_a_family_that_the_key_may_not_use_ends_no_run(backups: Backups, status: int) -> None:
    """It was asked on the archiver's own account, where the list does not name a family."""
    names = [f"deepfake/{number}" for number in range(900001, 900009)]
    backups.emulator.scripts |= {generation(name): Script() for name in names}
    backups.emulator.scripts |= {
        generation(f"{family}/900000"): responding("Invalid API key", status)
        for family in ("video", "v7/video-fusion", "realtime")
    }
    report = await backups.run("900000", *names, download=quick_downloads(concurrency=1))
    assert (report.archived, report.failed, report.exit_status) == (8, 1, 3)


async def test_whole_payloads_in_broken_responses_do_not_wait_for_each_other(
    backups: Backups,
) -> None:
    """Large responses whose payloads are not whole are asked for anew, one after the other."""
    broken = "data:video/mp4;base64," + base64.b64encode(b"\0" * (2 << 20)).decode()
    names = [f"deepfake/{number}" for number in range(4)]
    backups.emulator.scripts |= {
        generation(name): Script(
            response=RawResponse({"status": "success", "id": int(name[9:]), "output": [broken]})
        )
        for name in names
    }
    report = await backups.run(*names, max_time=60, timings=Timings(grace=0.5))
    assert (report.failed, report.skipped) == (4, 0)


async def test_a_silent_link_says_nothing_of_another_at_its_path(backups: Backups) -> None:
    """Where the query alone tells files apart, each generation's link is tried."""
    async with RawServer() as server:
        silent = (Pause(3),)
        server.paths["/get?file=0"], server.paths["/get?file=1"] = silent, (sized(VIDEO),)
        for number in (0, 1):
            url = f"http://{server.host}/get?file={number}"
            backups.emulator.scripts[generation(str(number))] = Script(
                outputs=(OutputScript(primary=LinkScript(url=url)),)
            )
        download = quick_downloads(timeout=1, concurrency=1)
        report = await backups.run("deepfake/0", "deepfake/1", download=download)
    assert (report.archived, report.failed) == (1, 1)


async def test_outputs_that_a_query_tells_apart_are_two(backups: Backups) -> None:
    """Two links with one path are archived as two videos, after a try that gave the first too."""
    other = VIDEO + b"\0\0\0\x08free"
    async with RawServer() as server:
        server.paths["/get?file=0"] = (sized(VIDEO),)
        server.paths["/get?file=1"] = (sized(b"", status="HTTP/1.1 404 Not Found"),)
        urls = [f"http://{server.host}/get?file={number}" for number in (0, 1)]
        backups.emulator.scripts[generation("263")] = Script(
            outputs=tuple(OutputScript(primary=LinkScript(url=url)) for url in urls)
        )
        assert (await backups.run("deepfake/263")).failed == 1
        server.paths["/get?file=1"] = (sized(other),)
        assert (await backups.run("deepfake/263")).archived == 1
    assert {VIDEO, other} <= set(backups.held().values())


async def test_what_proved_another_is_not_left_failed(backups: Backups) -> None:
    """The catalogue does not go on listing the assumed generation among the failed."""
    await backups.run("900263")
    assert look_up(backups.archive, generation("deepfake/900263")).state == "failed"
    backups.emulator.scripts[generation("video/900263")] = Script()
    links = [backups.emulator.link(generation("video/900263"))]
    line = json.dumps({"status": "success", "id": 900263, "output": links})
    report = await backups.run(line)
    assert (report.archived, report.exit_status) == (1, 0)
    assert look_up(backups.archive, generation("deepfake/900263")).state is None


async def test_a_second_request_that_is_always_throttled_ends(backups: Backups) -> None:
    """A filter that refuses identical requests in quick succession lets no run go on for ever."""
    backups.emulator.scripts[generation("263")] = Script(
        outputs=(OutputScript(primary=LinkScript(fault="gone")),),
        trouble=("ready", "throttled") * 500,
    )
    backups.emulator.api = ApiScript(retry_after=0)
    report = await backups.run("deepfake/263", timings=QUICK, max_time=60)
    assert (report.failed, report.skipped, report.exit_status) == (1, 0, 3)
    assert backups.emulator.asked(generation("263")) < 30


async def test_a_family_whose_request_was_throttled_is_asked_again(backups: Backups) -> None:
    """Until it was asked nothing is proven, and the ID is not found in one family alone."""
    name = "video/900263"
    backups.emulator.scripts[generation(name)] = Script(trouble=("throttled",))
    backups.emulator.api = ApiScript(retry_after=0)
    links = [backups.emulator.link(generation(name))]
    line = json.dumps({"status": "success", "id": 900263, "output": links})
    report = await backups.run(line, timings=QUICK)
    assert (report.archived, report.exit_status) == (1, 0)


async def test_a_family_that_is_always_throttled_ends(backups: Backups) -> None:
    """It is one of several, and nobody listed it."""
    backups.emulator.scripts[generation("video/900263")] = Script(response="throttled")
    backups.emulator.scripts[generation("264")] = Script()
    backups.emulator.api = ApiScript(retry_after=0)
    report = await backups.run("900263", "deepfake/264", timings=QUICK, max_time=60)
    assert (report.archived, report.failed, report.skipped) == (1, 1, 0)


async def test_what_another_family_is_still_making_is_waited_for(backups: Backups) -> None:
    """A creation response has the links that will prove it: it is no failure until then."""
    name = "video/900263"
    backups.emulator.scripts[generation(name)] = Script(ready_after=2)
    links = [backups.emulator.link(generation(name))]
    line = json.dumps({"status": "processing", "id": 900263, "output": [], "future_links": links})
    report = await backups.run(line)
    assert (report.pending, report.failed, report.exit_status) == (1, 0, 0)
    report = await backups.run(line, wait=20, timings=QUICK)
    assert (report.archived, report.exit_status) == (1, 0)
    assert look_up(backups.archive, generation(name)).state == "held"


async def test_large_responses_of_other_families_do_not_wait_for_each_other(
    backups: Backups,
) -> None:
    """Their pictures make them large; each is put aside before the other families are asked."""
    picture = "data:image/png;base64," + base64.b64encode(b"\0" * (2 << 20)).decode()
    lines = []
    for number in range(4):
        video = generation(f"video/{number}")
        backups.emulator.scripts[video] = Script()
        link, other = backups.emulator.link(video), "http://127.0.0.1:9/generations/other.mp4"
        backups.emulator.scripts[generation(f"deepfake/{number}")] = success(
            number, other, init_image=picture
        )
        backups.emulator.scripts[video] = success(number, link, init_image=picture)
        lines.append(json.dumps({"status": "success", "id": number, "output": [link]}))
    report = await backups.run(*lines, max_time=60, timings=Timings(grace=0.5))
    assert (report.archived, report.failed, report.skipped) == (4, 0, 0)


def success(number: int, link: str, **meta: str) -> Script:
    body = {"status": "success", "id": number, "output": [link], "meta": meta}
    return Script(response=RawResponse(body))
