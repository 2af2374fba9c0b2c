"""One's own generations are found as ModelsLab lists them, and backed up without a list."""

import asyncio
import itertools
import json
import signal
from collections import Counter
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from archiver.emulator.scripts import (
    ApiScript,
    LinkScript,
    ListingScript,
    OutputScript,
    RawResponse,
    Response,
    Script,
)
from archiver.errors import ConfigurationError, Interrupted
from archiver.generation import LISTED, Generation
from archiver.modelslab.listing import ready
from archiver.outcomes import Archived, DeadLinks, Duplicate, Failed
from archiver.pipeline.backup import backup
from archiver.pipeline.report import Report
from archiver.progress import Silent
from archiver.settings import Timings
from tests.support.archives import look_up, open_catalogue
from tests.support.backups import (
    KEY,
    PATIENT,
    Backups,
    Collected,
    assert_true_bag,
    generation,
    grow_hopeless,
    quick_downloads,
)
from tests.support.raw_server import closed_port
from tests.support.running import (
    COMMAND,
    Ended,
    Workspace,
    assert_valid_bag,
    ended,
    started,
    until,
)

QUICK = Timings(
    poll_min=0.05,
    poll_first=0.05,
    links_first=0.05,
    default_pause=0.05,
    after_pause=0,
    between_pages=0.01,
)
"""Pauses that tests wait out."""
FAMILIES = ("v6/video", "v7/video-fusion", "v6/realtime", "v6/deepfake")
DEAD = Script(outputs=(OutputScript(primary=LinkScript(fault="dead")),))
NOBODYS = Script(response="unknown")
"""Listed, and not known to any other endpoint."""


async def discover(backups: Backups, *lines: str, **changes: Any) -> Report:
    """Back up what is listed by ModelsLab, and what a manifest of these lines lists."""
    manifests = []
    if lines:
        manifests = [backups.archive.with_name("ids.txt")]
        manifests[0].write_text("\n".join(lines) + "\n")
    changes = {"discover": ("video",), "timings": QUICK, **changes}
    progress = Collected()
    report = await backup(backups.archive, manifests, backups.settings(**changes), progress)
    backups.outcomes = progress.outcomes
    return report


def script(backups: Backups, **scripts: Script) -> None:
    """Give the emulator these scripts; `video_1` stands for `video/1`."""
    found = {generation(name.replace("_", "/")): each for name, each in scripts.items()}
    backups.emulator.scripts |= found


def many(backups: Backups, count: int, family: str = "video") -> None:
    """Let there be this many videos of a family, with the IDs from 1000."""
    backups.emulator.scripts |= {
        generation(f"{family}/{number}"): Script() for number in range(1000, 1000 + count)
    }


def listing(backups: Backups, **changes: object) -> None:
    """Let the listing behave like this."""
    script = ListingScript(**changes)  # type: ignore[arg-type]
    backups.emulator.api = replace(backups.emulator.api, listing=script)


def names(backups: Backups) -> list[str]:
    """Return the generations that were archived on the last run."""
    return sorted(each.generation.name for each in backups.outcomes if isinstance(each, Archived))


def asked_for(backups: Backups) -> Counter[str]:
    """Count the requests to each endpoint, but for pages."""
    seen = (each.generation for each in backups.emulator.requests if each.host == "api")
    return Counter(each.endpoint for each in seen if each)


def passed(backups: Backups, hours: int) -> None:
    """Let time pass since dead links were found."""
    with closing(open_catalogue(backups.archive)) as catalogue, catalogue.connection as db:
        earlier = "strftime('%Y-%m-%dT%H:%M:%S+00:00', checked, ?)"
        db.execute(f"UPDATE dead SET checked = {earlier}", (f"{-hours} hours",))


# --- The pages


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("pagination", [True, False])
async def test_all_pages_are_read(backups: Backups, newest_first: bool, pagination: bool) -> None:
    """Up to the last that pagination names or, without it, up to one that is empty."""
    many(backups, 65)
    listing(backups, newest_first=newest_first, pagination=pagination)
    report = await discover(backups)
    assert (report.archived, report.exit_status) == (65, 0)
    assert backups.emulator.pages() == ([1, 2, 3, 1] if pagination else [1, 2, 3, 4, 1])
    assert_true_bag(backups.archive)


async def test_pages_are_asked_for_as_documented(backups: Backups) -> None:
    """With the type, thirty to a page, from 1, and with the key in the body alone."""
    many(backups, 31)
    await discover(backups)
    pages = [each for each in backups.emulator.requests if each.path.endswith("assets_generated")]
    assert [each.json() for each in pages] == [
        {"key": KEY, "type": "video", "per_page": 30, "page": page} for page in (1, 2, 1)
    ]
    assert {each.method for each in pages} == {"POST"}
    assert not any(KEY in each.path or KEY in str(each.headers) for each in pages)


async def test_pages_are_asked_for_at_a_slow_pace(backups: Backups) -> None:
    """There is a pause between two of them, whatever the rate of requests."""
    many(backups, 61)
    await discover(backups, timings=replace(QUICK, between_pages=0.15))
    times = [each.at for each in backups.emulator.requests if each.path.endswith("generated")]
    pauses = [later - before for before, later in itertools.pairwise(times)]
    assert len(pauses) == 3
    assert min(pauses) >= 0.14


def test_the_pace_is_a_page_in_two_seconds() -> None:
    """That is what a run has that nobody shortens."""
    assert Timings().between_pages == 2


async def test_the_rate_of_requests_is_for_pages_too(backups: Backups) -> None:
    """`--api-rate` bounds pages and fetches together."""
    many(backups, 31)
    await discover(backups, api_rate=10)
    times = [each.at for each in backups.emulator.requests if each.host == "api"]
    assert len(times) == 3 + 31
    assert times[-1] - times[0] >= (len(times) - 3) / 10


@pytest.mark.parametrize(("arrivals", "made"), [(1, 4), (7, 28), (30, 30), (35, 70)])
async def test_pages_that_shift_lose_nothing_and_double_nothing(
    backups: Backups, arrivals: int, made: int
) -> None:
    """What is made while pages are read shifts them: each generation is archived, and once."""
    many(backups, 150)
    new = tuple(backups.emulator.scripts)[-made:]
    listing(backups, arriving=new, arrivals=arrivals)
    report = await discover(backups)
    assert (report.archived, report.exit_status) == (150, 0)
    assert len(backups.outcomes) == 150


async def test_a_page_without_anything_new_ends_the_list(backups: Backups) -> None:
    """A server that gives the same page for every number is not asked for ever."""
    many(backups, 3)
    links = {one.id: backups.emulator.link(one) for one in backups.emulator.scripts}
    page = RawResponse({"status": "success", "data": [
        {"id": int(id_), "output": [link]} for id_, link in links.items()
    ]})  # fmt: skip
    listing(backups, pages=dict.fromkeys(range(1, 100), page))
    assert (await discover(backups)).archived == 3
    assert backups.emulator.pages() == [1, 2, 1]


async def test_pagination_that_promises_more_for_ever_ends_too(backups: Backups) -> None:
    """Two pages in a row without anything new are enough, whatever they say."""
    many(backups, 1)
    (one,) = backups.emulator.scripts
    item = {"id": one.id, "output": [backups.emulator.link(one)]}
    listing(backups, pages={
        number: RawResponse({"status": "success", "data": [item],
                             "pagination": {"current_page": number, "last_page": 9999}})
        for number in range(1, 100)
    })  # fmt: skip
    assert (await discover(backups)).archived == 1
    assert backups.emulator.pages() == [1, 2, 3, 1]


@pytest.mark.parametrize("ids", ["int", "string"])
@pytest.mark.parametrize("shape", ["list", "map"])
async def test_every_form_of_a_page_is_read(backups: Backups, ids: str, shape: str) -> None:
    """IDs are numbers or strings, and the items a list or a map."""
    script(backups, video_1=Script(), video_2=Script())
    listing(backups, ids=ids, shape=shape)
    assert (await discover(backups)).archived == 2


@pytest.mark.parametrize("path", ["v6/assets_generated", "assets_generated"])
async def test_both_urls_of_the_endpoint_are_tried(backups: Backups, path: str) -> None:
    """Where one of them is not there, the other is used; from then on it alone."""
    many(backups, 31)
    listing(backups, paths=(path,))
    assert (await discover(backups)).archived == 31
    paths = [each.path for each in backups.emulator.requests if "assets_generated" in each.path]
    missing = ["/api/v6/assets_generated"] if path == "assets_generated" else []
    assert paths == [*missing, *[f"/api/{path}"] * 3]


@pytest.mark.parametrize("retries", [0, 1])
async def test_a_page_is_asked_for_as_often_as_any_response(backups: Backups, retries: int) -> None:
    """`--retries` is how often, and each time both URLs are tried."""
    listing(backups, refusal="error")
    settings = backups.settings(discover=("video",), timings=QUICK)
    settings = replace(settings, api=replace(settings.api, retries=retries))
    report = await backup(backups.archive, [], settings)
    assert report.exit_status == 3
    paths = [each.path for each in backups.emulator.requests]
    assert paths == ["/api/v6/assets_generated", "/api/assets_generated"] * (retries + 1)


async def test_a_pause_that_is_asked_for_is_made(backups: Backups) -> None:
    """The page that was refused is asked for again."""
    script(backups, video_1=Script())
    backups.emulator.api = ApiScript(throttle_first=2, retry_after=0)
    report = await discover(backups)
    assert (report.archived, report.exit_status) == (1, 0)
    assert len(backups.emulator.pages()) == 3


async def test_gifs_may_be_listed_as_images(backups: Backups) -> None:
    """They are found where images are listed too, and pictures are left alone."""
    gif = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;"
    script(
        backups,
        video_1=Script(),
        video_2=Script(outputs=(OutputScript(body=gif, suffix="gif"),)),
    )
    assert (await discover(backups)).archived == 1
    found = await discover(backups, discover=("video", "image"))
    assert (found.archived, found.already_held) == (1, 1)
    assert (backups.archive / "data/v6/video/2.gif").read_bytes() == gif
    picture = {"id": 3, "output": ["https://x.example/a.png"]}
    listing(backups, pages={1: RawResponse({"status": "success", "data": [picture]})})
    assert (await discover(backups, discover=("image",))).exit_status == 0


# --- The family


@pytest.mark.parametrize("family", FAMILIES)
async def test_links_that_agree_prove_the_family(backups: Backups, family: str) -> None:
    """It is archived under the family whose links are those listed, with that one's response."""
    backups.emulator.scripts[Generation(family, "7")] = Script()
    assert (await discover(backups)).archived == 1
    assert names(backups) == [f"{family}/7"]
    sidecar = json.loads((backups.archive / f"data/{family}/7.json").read_text())
    assert sidecar["status"] == "success"
    assert look_up(backups.archive, Generation(LISTED, "7")).state is None
    assert_true_bag(backups.archive)


async def test_signatures_and_hosts_do_not_matter(backups: Backups) -> None:
    """Links that are signed anew for each request agree by their paths."""
    script(backups, video_1=Script(fresh_links=True, outputs=(OutputScript(proxy=LinkScript()),)))
    assert (await discover(backups)).archived == 1
    assert names(backups) == ["v6/video/1"]
    assert (await discover(backups)).already_held == 1


async def test_a_response_with_other_links_is_another_generation(backups: Backups) -> None:
    """Small IDs of different families are different videos: each is archived as its own."""
    script(backups, video_5=replace(Script(), listed=False), realtime_5=Script())
    assert (await discover(backups)).archived == 1
    assert names(backups) == ["v6/realtime/5"]


@pytest.mark.parametrize("response", ["failed", "processing", "error", "no-output"])
async def test_nothing_but_links_proves_a_family(backups: Backups, response: str) -> None:
    """A family that knows the ID and has no links to compare is not taken for it."""
    script(
        backups,
        video_5=Script(response=response, listed=False),  # type: ignore[arg-type]
        realtime_5=Script(),
    )
    assert (await discover(backups)).archived == 1
    assert names(backups) == ["v6/realtime/5"]


async def test_the_family_that_was_right_is_asked_first(backups: Backups) -> None:
    """A run over videos of one family asks the others hardly ever."""
    many(backups, 60, "deepfake")
    assert (await discover(backups)).archived == 60
    asked = asked_for(backups)
    assert asked["v6/deepfake"] == 60
    assert max(asked[family] for family in FAMILIES if family != "v6/deepfake") <= 20


async def test_a_generation_is_asked_for_once(backups: Backups) -> None:
    """The response that proved the family has the links, too."""
    script(backups, video_1=Script())
    await discover(backups)
    assert backups.emulator.asked(generation("video/1")) == 1


async def test_what_a_manifest_lists_as_well_is_archived_once(backups: Backups) -> None:
    """Whoever lists it, a generation has one place."""
    script(backups, video_1=Script(), realtime_2=Script())
    report = await discover(backups, "video/1")
    assert (report.archived, report.exit_status) == (2, 0)
    assert names(backups) == ["v6/realtime/2", "v6/video/1"]
    assert backups.emulator.downloads(generation("video/1")) == 1
    assert (await discover(backups, "video/1")).already_held == 2


# --- What is held


async def test_what_is_held_is_not_asked_for_again(backups: Backups) -> None:
    """The second run asks for pages and for nothing else."""
    script(backups, video_1=Script(), realtime_2=Script(), video_3=NOBODYS)
    assert (await discover(backups)).archived == 3
    backups.emulator.forget()
    report = await discover(backups)
    assert (report.already_held, report.archived, report.exit_status) == (3, 0, 0)
    assert asked_for(backups) == {}
    assert not backups.emulator.downloads()


async def test_what_a_list_brought_is_held(backups: Backups) -> None:
    """Whichever family a manifest has named, links that agree show that it is the same."""
    backups.emulator.scripts = {Generation("v6/image_editing", "5"): Script()}
    assert (await backups.run("image_editing/5")).archived == 1
    assert (await discover(backups)).already_held == 1
    assert backups.held().keys() == {
        "data/v6/image_editing/5.json",
        "data/v6/image_editing/5.mp4",
    }


async def test_another_video_with_the_id_of_a_held_one_is_archived(backups: Backups) -> None:
    """An ID is not enough: the links of what is held are others."""
    script(backups, video_5=replace(Script(), listed=False), realtime_5=Script())
    assert (await backups.run("video/5")).archived == 1
    assert (await discover(backups)).archived == 1
    assert names(backups) == ["v6/realtime/5"]


async def test_a_video_that_came_from_its_proxy_is_held(backups: Backups) -> None:
    """Its primary link, which alone is listed, is in the response beside it."""
    proxy = OutputScript(
        primary=LinkScript(fault="dead"),
        proxy=LinkScript(redirects=0, url="http://{proxy}/generations/v6.video.1.1.mp4?other=1"),
    )
    script(backups, video_1=Script(outputs=(proxy,)))
    assert (await backups.run("video/1")).archived == 1
    with closing(open_catalogue(backups.archive)) as catalogue, catalogue.connection as db:
        db.execute("UPDATE generation SET served_by = 'https://cdn.example/other/path.mp4'")
    assert (await discover(backups)).already_held == 1


async def test_the_links_that_served_a_video_show_that_it_is_held(backups: Backups) -> None:
    """No response has to be read for that: a hundred thousand would take long."""
    script(backups, video_1=Script(), video_2=NOBODYS)
    assert (await discover(backups)).archived == 2
    for path in (backups.archive / "data").rglob("*.json"):
        path.write_text("{}")
    assert (await discover(backups)).already_held == 2


async def test_losing_the_catalogue_makes_nothing_new(backups: Backups) -> None:
    """What the checksum manifest lists is held, by the links in the responses."""
    script(backups, video_1=Script(), video_2=NOBODYS)
    assert (await discover(backups)).archived == 2
    (backups.archive / ".archiver/catalogue.sqlite").unlink()
    report = await discover(backups)
    assert (report.already_held, report.archived) == (2, 0)


async def test_new_links_of_what_is_held_change_nothing(backups: Backups) -> None:
    """A video that has moved is asked for, and what is held stays; one that nobody knows, too."""
    script(backups, video_1=Script(), video_2=NOBODYS)
    await discover(backups)
    before = backups.held()
    backups.emulator.scripts = {
        generation(f"video/{n}"): replace(each, outputs=(OutputScript(suffix="mov"),))
        for n, each in ((1, Script()), (2, NOBODYS))
    }
    report = await discover(backups)
    assert (report.archived, report.exit_status) == (0, 0)
    assert [type(each) for each in backups.outcomes] == [Duplicate]
    assert "1 of them are held, and listed with other links now: left alone" in report.lines()
    assert backups.held() == before


# --- What no family knows


async def test_what_no_family_knows_comes_from_the_links_that_are_listed(
    backups: Backups,
) -> None:
    """It has a family of its own, and the item is its sidecar."""
    script(backups, video_9=NOBODYS)
    report = await discover(backups)
    assert (report.archived, report.exit_status) == (1, 0)
    assert names(backups) == [f"{LISTED}/9"]
    held = backups.held()
    assert held.keys() == {f"data/{LISTED}/9.json", f"data/{LISTED}/9.mp4"}
    link = backups.emulator.link(generation("video/9"))
    assert json.loads(held[f"data/{LISTED}/9.json"]) == {"id": 9, "output": [link]}
    assert {*asked_for(backups)} == {*FAMILIES}
    assert_true_bag(backups.archive)


async def test_all_outputs_of_an_item_are_archived(backups: Backups) -> None:
    """An item may list several files, of which a page says nothing more."""
    script(backups, video_9=replace(NOBODYS, outputs=(OutputScript(), OutputScript())))
    assert (await discover(backups)).archived == 1
    assert f"data/{LISTED}/9-2.mp4" in backups.held()
    assert (await discover(backups)).already_held == 1


async def test_an_endpoint_in_trouble_is_asked_on_the_next_run(backups: Backups) -> None:
    """Else a video would get another place than its own; but no links die over that."""
    script(backups, realtime_9=Script(trouble=("error",)))
    report = await discover(backups)
    assert (report.failed, report.exit_status) == (1, 3)
    assert (await discover(backups)).archived == 1
    assert names(backups) == ["v6/realtime/9"]
    assert look_up(backups.archive, Generation(LISTED, "9")).state is None
    script(backups, realtime_10=Script(response="error"))
    assert (await discover(backups)).failed == 1
    assert (await discover(backups)).archived == 1
    assert names(backups) == [f"{LISTED}/10"]


async def test_a_listed_video_of_a_namesake_in_the_making_does_not_wait_for_ever(
    backups: Backups,
) -> None:
    """It waits for one run, for that might be the one."""
    script(backups, video_9=Script(response="processing", listed=False), realtime_9=NOBODYS)
    report = await discover(backups)
    assert (report.pending, report.exit_status) == (1, 0)
    assert (await discover(backups)).archived == 1


async def test_what_has_no_link_yet_waits_for_one(backups: Backups) -> None:
    """It is counted, and no part of the run before it has a link."""
    script(backups, video_1=Script(response="processing"), video_2=Script())
    report = await discover(backups)
    assert (report.archived, report.pending, report.exit_status) == (1, 0, 0)
    assert "ModelsLab lists 2 generations of yours, 1 of them without a link yet" in report.lines()
    script(backups, video_1=Script())
    assert (await discover(backups)).archived == 1


async def test_an_item_that_promises_links_is_pending(backups: Backups) -> None:
    """Links that are only promised are compared, and never downloaded."""
    script(backups, video_1=Script(), video_2=NOBODYS)
    items = [
        {"id": each.id, "output": [], "future_links": [backups.emulator.link(each)]}
        for each in backups.emulator.scripts
    ]
    page = RawResponse({"status": "success", "data": items})
    listing(backups, pages={1: page, 2: page})
    report = await discover(backups)
    assert (report.archived, report.pending, report.exit_status) == (1, 1, 0)
    assert names(backups) == ["v6/video/1"]


async def test_a_host_that_asks_for_a_pause_costs_no_more_requests(backups: Backups) -> None:
    """After the pause the link is tried again, and no endpoint is asked again."""
    paused = LinkScript(fault="busy", times=1)
    script(backups, video_9=replace(NOBODYS, outputs=(OutputScript(primary=paused),)))
    report = await discover(backups, download=quick_downloads(retries=1), wait=5)
    assert (report.archived, report.exit_status) == (1, 0)
    assert backups.emulator.downloads() == 2
    assert asked_for(backups)["v6/realtime"] == 1


async def test_only_the_listing_can_bring_what_no_endpoint_knows(backups: Backups) -> None:
    """A manifest that names it is told so, and no endpoint is asked that does not exist."""
    report = await backups.run(f"{LISTED}/9")
    assert (report.failed, report.exit_status) == (1, 3)
    assert "only backup --discover can archive it" in "".join(report.lines())
    assert not backups.emulator.asked()


async def test_what_was_cut_off_is_recovered(backups: Backups) -> None:
    """A video that was staged whole is archived although it is not listed any more."""
    script(backups, video_9=NOBODYS)
    await discover(backups)
    data, staged = backups.archive / "data", backups.archive / ".archiver/incoming"
    with closing(open_catalogue(backups.archive)) as catalogue, catalogue.connection as db:
        db.execute("DELETE FROM generation")
        db.execute("DELETE FROM file")
    manifest = backups.archive / "manifest-sha256.txt"
    sha256 = {line.split("  ")[1]: line[:64] for line in manifest.read_text().splitlines()}
    place = staged / f"{LISTED.replace('/', '~')}~9"
    place.mkdir()
    sidecar = data / f"{LISTED}/9.json"
    response = ready(Generation(LISTED, "9"), json.loads(sidecar.read_text()))
    assert response
    key = response.outputs[0].key
    video = f"data/{LISTED}/9.mp4"
    (backups.archive / video).rename(place / f"1of1-{key}-{sha256[video]}.mp4")
    sidecar.rename(place / "answer.json")
    manifest.write_text("")
    backups.emulator.scripts.clear()
    report = await discover(backups)
    assert report.exit_status == 0
    assert video in backups.held()
    assert_true_bag(backups.archive)


# --- Dead links


@pytest.mark.parametrize("fault", ["dead", "gone", "forbidden"])
@pytest.mark.parametrize("response", ["ready", "unknown"])
async def test_dead_links_of_what_only_the_listing_knows_are_a_line(
    backups: Backups, fault: str, response: str
) -> None:
    """An old account has thousands: they are counted, not lost, and no reason for a status."""
    outputs = (OutputScript(primary=LinkScript(fault=fault)),)  # type: ignore[arg-type]
    script(backups, video_1=Script())
    for number in range(10, 40):
        scripts = {f"video_{number}": Script(outputs=outputs, response=response)}  # type: ignore[arg-type]
        script(backups, **scripts)
    report = await discover(backups)
    assert (report.archived, report.failed, report.lost, report.skipped) == (1, 0, 0, 0)
    assert report.exit_status == 0
    lines = [line for line in report.lines() if "dead" in line]
    assert len(lines) == 1
    assert lines[0].startswith("30 of them, which no manifest lists, have dead links")
    assert report.as_json()["discovered"] == {
        "listed": 31, "without_links": 0, "dead_links": 30, "changed_links": 0,
    }  # fmt: skip
    assert sum(isinstance(each, DeadLinks) for each in backups.outcomes) == 30
    assert look_up(backups.archive, generation("video/10")).state is None
    assert_true_bag(backups.archive)


async def test_dead_links_are_tried_ever_more_seldom(backups: Backups) -> None:
    """On the next run, after most of a day, after twice that: they may come back, but hardly."""
    script(backups, video_9=replace(DEAD, response="unknown"))
    await discover(backups)
    tries = []
    for hours in (0, 0, 21, 0, 21, 41):
        passed(backups, hours=hours)
        backups.emulator.forget()
        report = await discover(backups)
        assert report.exit_status == 0
        assert any("1 of them, which no manifest" in line for line in report.lines())
        tries.append(backups.emulator.downloads())
    assert tries == [1, 0, 1, 0, 0, 1]


async def test_what_its_endpoint_forgets_is_no_failure(backups: Backups) -> None:
    """Dead links of an old account stay a line, also once the endpoint knows nothing of them."""
    script(backups, video_9=DEAD)
    await discover(backups)
    script(backups, video_9=replace(DEAD, response="unknown"))
    for _ in range(3):
        passed(backups, hours=1000)
        report = await discover(backups)
        assert (report.failed, report.lost, report.exit_status) == (0, 0, 0)
    script(backups, video_9=NOBODYS)
    passed(backups, hours=1000)
    assert (await discover(backups)).archived == 1
    assert names(backups) == [f"{LISTED}/9"]


async def test_dead_links_that_come_back_are_archived(backups: Backups) -> None:
    """As soon as other links are listed, or on request, whenever they were tried last."""
    for name, again in (("video_8", {}), ("video_9", {"retry_lost": True})):
        script(backups, **{name: DEAD})
        await discover(backups)
        await discover(backups)
        moved = OutputScript() if again else OutputScript(suffix="mov")
        script(backups, **{name: Script(outputs=(moved,))})
        assert (await discover(backups, **again)).archived == 1


async def test_a_clock_that_was_wrong_keeps_nothing_from_its_try(backups: Backups) -> None:
    """What was found dead in the future is tried again."""
    script(backups, video_9=DEAD)
    for _ in range(2):
        await discover(backups)
    passed(backups, hours=-5000)
    script(backups, video_9=Script())
    assert (await discover(backups)).archived == 1


async def test_what_a_manifest_lists_is_given_up_as_ever(backups: Backups) -> None:
    """That it is listed by ModelsLab too changes nothing: it is named, and lost in the end."""
    script(backups, video_1=DEAD)
    assert (await discover(backups, "video/1")).exit_status == 3
    assert (await discover(backups, "video/1")).failed == 1
    grow_hopeless(backups.archive)
    assert (await discover(backups, "video/1")).lost == 1
    report = await discover(backups)
    assert (report.known_lost, report.exit_status) == (1, 0)


async def test_another_trouble_with_a_link_is_a_failure(backups: Backups) -> None:
    """A host that is down for a moment may have the video: the run says so."""
    script(
        backups,
        video_1=Script(outputs=(OutputScript(primary=LinkScript(fault="error")),)),
        video_2=replace(NOBODYS, outputs=(OutputScript(primary=LinkScript(fault="cut")),)),
    )
    report = await discover(backups)
    assert (report.failed, report.exit_status) == (2, 3)
    assert all(isinstance(each, Failed) for each in backups.outcomes)
    script(backups, video_1=Script(), video_2=NOBODYS)
    assert (await discover(backups)).archived == 2


# --- What goes wrong


@pytest.mark.parametrize("refusal", ["plan", "refused", "refused-old", "malformed"])
async def test_a_key_that_may_not_list_ends_no_run(backups: Backups, refusal: str) -> None:
    """One line says so, the manifests go on, and the status is that of a list that is missing."""
    script(backups, video_1=Script())
    listing(backups, refusal=refusal)
    report = await discover(backups, "video/1")
    assert (report.archived, report.exit_status) == (1, 3)
    (line,) = (line for line in report.lines() if line.startswith("your generations: "))
    assert "ModelsLab" in line
    report = await discover(backups)
    assert (report.archived, report.exit_status) == (0, 3)


@pytest.mark.parametrize("reply", ["error", "html", "empty", "not-json", "cut", "silent"])
async def test_a_page_that_does_not_come_loses_none_before_it(backups: Backups, reply: str) -> None:
    """What was listed so far is archived, and the rest is said to be missing."""
    many(backups, 61)
    listing(backups, pages={2: reply})
    settings = backups.settings(silence=1 if reply == "silent" else PATIENT)
    report = await discover(backups, api=settings.api)
    assert (report.archived, report.exit_status) == (30, 3)
    assert "your generations: page 2 of type video: " in "".join(report.lines())


async def test_items_without_an_id_are_named(backups: Backups) -> None:
    """They may be videos that are missing: the run says how many."""
    script(backups, video_1=Script())
    items = [{"output": ["https://x.example/a.mp4"]}, {"id": 1, "output": [
        backups.emulator.link(generation("video/1"))
    ]}]  # fmt: skip
    listing(backups, pages={1: RawResponse({"status": "success", "data": items})})
    report = await discover(backups)
    assert (report.archived, report.exit_status) == (1, 3)
    assert "your generations: 1 item without a usable ID" in report.lines()


async def test_a_manifest_that_is_missing_keeps_nothing_from_being_discovered(
    backups: Backups,
) -> None:
    """It is named, with the status of a list that cannot be read."""
    script(backups, video_1=Script())
    settings = backups.settings(discover=("video",), timings=QUICK)
    report = await backup(backups.archive, ["/nowhere/ids.txt"], settings)
    assert (report.archived, report.exit_status) == (1, 3)
    assert "/nowhere/ids.txt" in "".join(report.lines())


async def test_strict_is_about_manifests(backups: Backups) -> None:
    """A key that may not list is no line that is not understood."""
    script(backups, video_1=Script())
    listing(backups, refusal="plan")
    assert (await discover(backups, "video/1", strict=True)).archived == 1
    with pytest.raises(ConfigurationError):
        await discover(backups, "what is this", strict=True)


async def test_the_time_limit_is_for_pages_too(backups: Backups) -> None:
    """At most half of it is spent on pages; what is listed by then is archived."""
    many(backups, 300)
    timings = replace(QUICK, between_pages=0.5)
    report = await discover(backups, max_time=3, timings=timings)
    assert 30 <= report.archived < 300
    assert report.exit_status == 3
    assert "the time limit was reached (--max-time) after page" in "".join(report.lines())


# --- Interruption


class Interrupting(Silent):
    """Progress that sends a signal to this process after a page."""

    def __init__(self, number: signal.Signals) -> None:
        self._signal = number

    def discovered(self, count: int, page: int, last: int | None) -> None:
        """Send it."""
        signal.raise_signal(self._signal)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_the_reading_of_pages(backups: Backups, number: signal.Signals) -> None:
    """The run ends with the signal's status, and has fetched nothing."""
    many(backups, 61)
    settings = backups.settings(discover=("video",), timings=replace(QUICK, between_pages=30))
    with pytest.raises(Interrupted) as caught:
        await backup(backups.archive, [], settings, Interrupting(number))
    assert caught.value.exit_status == 128 + number
    assert backups.emulator.pages() == [1]
    assert (await discover(backups)).archived == 61


# --- The command


def own(workspace: Workspace, **scripts: Script) -> None:
    """Let these be one's own generations; `video_1` stands for `video/1`."""
    found = {generation(name.replace("_", "/")): each for name, each in scripts.items()}
    workspace.emulator.scripts |= found


async def discovered(workspace: Workspace, *args: str, **env: str) -> Ended:
    """Run `archiver discover` on the emulator, quickly."""
    quick = ("--retries", "0", "--api-rate", "1000/s", "--timeout", "20s")
    url = ("--api-url", workspace.emulator.api_url)
    return await workspace.run("discover", *url, *quick, *args, **env)


async def test_a_nightly_job_needs_no_list(workspace: Workspace) -> None:
    """`archiver backup --discover` archives everything, and is silent when all is well."""
    own(workspace, video_1=Script(), realtime_2=Script(), video_3=NOBODYS)
    assert await workspace.backup("--discover") == Ended(0, "", "")
    assert workspace.held() == ["v6/assets_generated/3.mp4", "v6/realtime/2.mp4", "v6/video/1.mp4"]
    await assert_valid_bag(workspace.archive)
    again = await workspace.backup("--discover", "-v")
    assert again.status == 0
    assert "3 already held" in again.err


async def test_a_backup_needs_something_to_archive(workspace: Workspace) -> None:
    """Without a manifest and without --discover the command line is wrong."""
    done = await workspace.backup()
    assert done.status == 2
    assert "Name a list of IDs, or use --discover." in done.err


async def test_discover_can_be_set_in_the_configuration_file(workspace: Workspace) -> None:
    """There and in the environment, as any option; a flag is unset on the command line."""
    own(workspace, video_1=Script())
    config = workspace.home / "config.toml"
    config.write_text('[backup]\ndiscover = true\ndiscover-type = "video,image"\n')
    assert (await workspace.backup("--config", str(config))).status == 0
    assert workspace.held() == ["v6/video/1.mp4"]
    kinds = [seen.json() for seen in workspace.emulator.requests if "generated" in seen.path]
    assert [kind["type"] for kind in kinds if isinstance(kind, dict)] == ["video", "image"]
    assert (await workspace.backup("--config", str(config), "--no-discover")).status == 2
    wrong = await workspace.backup("--discover", "--discover-type", "voice")
    assert wrong.status == 2
    assert "'voice' is not video, image or video,image" in wrong.err


async def test_a_dry_run_discovers_too(workspace: Workspace) -> None:
    """It lists what is not held, by the name that it has before its endpoint is known."""
    own(workspace, video_1=Script())
    done = await workspace.backup("--discover", "--dry-run")
    assert (done.status, done.out) == (0, "would fetch v6/assets_generated/1\n")
    assert not workspace.archive.exists()
    await workspace.backup("--discover")
    done = await workspace.backup("--discover", "--dry-run", "--json")
    assert json.loads(done.out)["already_held"] == 1
    assert json.loads(done.out)["discovered"]["listed"] == 1


async def test_discover_prints_a_manifest(workspace: Workspace) -> None:
    """One line for each generation, under the endpoint whose links agree; backup reads it."""
    own(
        workspace,
        video_1=Script(),
        realtime_2=Script(),
        video_3=NOBODYS,
        video_2=replace(Script(), listed=False),
    )
    done = await discovered(workspace)
    assert done.status == 0
    assert done.out.splitlines() == [
        "# 3: no endpoint has it with these links: see backup --discover",
        "v6/realtime/2",
        "v6/video/1",
    ]
    assert done.err.splitlines() == [
        "3 generations on 1 page",
        "1 that no endpoint has with its links: written as a comment",
    ]
    assert (await discovered(workspace, "-q")).err == ""
    assert (await workspace.backup("-", stdin=done.out)).status == 0
    assert workspace.held() == ["v6/realtime/2.mp4", "v6/video/1.mp4"]


async def test_discover_writes_a_file_once_it_is_complete(workspace: Workspace) -> None:
    """A list in which something is missing replaces none; a complete one does."""
    own(workspace, video_1=Script())
    ids = workspace.home / "own.txt"
    done = await discovered(workspace, "-o", str(ids))
    assert (done.status, done.out, ids.read_text()) == (0, "", "v6/video/1\n")
    own(workspace, realtime_2=Script(response="error"))
    done = await discovered(workspace, "--output", str(ids))
    assert (done.status, ids.read_text()) == (3, "v6/video/1\n")
    assert f"{ids} is left as it was, because something is missing" in done.err
    own(workspace, realtime_2=Script())
    assert (await discovered(workspace, "-o", str(ids))).status == 0
    assert ids.read_text() == "v6/realtime/2\nv6/video/1\n"
    nowhere = await discovered(workspace, "-o", str(workspace.home / "none/own.txt"))
    assert nowhere.status == 74


async def test_discover_reads_every_page(workspace: Workspace) -> None:
    """The pauses between pages are the real ones: this takes some seconds."""
    own(workspace, **{f"video_{number}": Script() for number in range(1000, 1031)})
    done = await discovered(workspace, "-v")
    assert len(done.out.splitlines()) == 31
    assert "page 2 of 2 of your generations: 31 so far" in done.err
    times = [seen.at for seen in workspace.emulator.requests if "generated" in seen.path]
    assert [round(later - before) for before, later in itertools.pairwise(times)] == [2, 2]


@pytest.mark.parametrize(
    ("refusal", "status", "message"),
    [
        ("plan", 77, "does not let this key list your generations: Your plan does not"),
        ("refused", 77, "does not let this key list your generations: Invalid API key"),
        ("error", 3, "your generations: ModelsLab responded: Server Error"),
        ("html", 3, "your generations: ModelsLab responded: an HTML page"),
        ("silent", 69, "the API gives no usable response"),
    ],
)
async def test_discover_alone_says_why_nothing_is_listed(
    workspace: Workspace, refusal: Response, status: int, message: str
) -> None:
    """A key that may not list is 77 there, an API that is silent 69, anything else 3."""
    workspace.emulator.api = ApiScript(listing=ListingScript(refusal=refusal))
    done = await discovered(workspace, "--timeout", "0.5s")
    assert (done.status, done.out) == (status, "")
    assert message in done.err


async def test_an_api_that_is_not_there_is_found_out(workspace: Workspace) -> None:
    """A backup that has nothing else to do ends with 69 then, and not with an empty success."""
    nowhere = ("--api-url", f"http://{closed_port()}/api")
    done = await workspace.backup("--discover", *nowhere)
    assert done.status == 69
    assert "the API gives no usable response" in done.err


async def test_discover_needs_a_key(workspace: Workspace) -> None:
    """Without one it says where to put it."""
    workspace.key = None
    for done in (await discovered(workspace), await workspace.backup("--discover", "--dry-run")):
        assert done.status == 2
        assert "no API key" in done.err


async def test_discover_stops_where_nobody_reads(workspace: Workspace) -> None:
    """A reader that has seen enough is no error of ours."""
    own(workspace, **{f"video_{number}": Script() for number in range(20)})
    url = workspace.emulator.api_url
    piped = f"({COMMAND} discover --api-url {url} --api-rate 5; echo $? >&2) | head -n 1"
    done = await ended("sh", "-c", piped, env=workspace.env())
    assert len(done.out.splitlines()) == 1
    assert done.err.splitlines()[-1] == "141"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_discover_ends_on_a_signal(workspace: Workspace, number: signal.Signals) -> None:
    """It ends at once, with the signal's status, and replaces no file."""
    own(workspace, **{f"video_{number}": Script() for number in range(31)})
    ids = workspace.home / "own.txt"
    command = (COMMAND, "discover", "--api-url", workspace.emulator.api_url, "-o", str(ids))
    pipe = asyncio.subprocess.PIPE
    async with started(*command, env=workspace.env(), stderr=pipe) as run:
        await until(workspace.emulator.pages)
        run.send_signal(number)
        _, err = await asyncio.wait_for(run.communicate(), 20)
    assert run.returncode == 128 + number
    assert err.decode() == f"archiver: interrupted by {number.name}\n"
    assert not ids.exists()


async def test_a_damaged_video_that_no_endpoint_knows_is_repaired(workspace: Workspace) -> None:
    """Its links are in its sidecar: nobody is asked for it."""
    own(workspace, video_9=NOBODYS)
    await workspace.backup("--discover")
    video = workspace.archive / "data/v6/assets_generated/9.mp4"
    whole = video.read_bytes()
    video.write_bytes(whole[:-1] + b"?")
    workspace.emulator.forget()
    where = ("-a", str(workspace.archive), "--api-url", workspace.emulator.api_url)
    done = await workspace.run("verify", "--repair", *where)
    assert done.status == 0, done
    assert video.read_bytes() == whole
    assert not workspace.emulator.asked()
