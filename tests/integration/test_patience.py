"""Nothing is given up too soon: one word of the API, a late link, a family that was assumed."""

import json

import pytest

from archiver.catalogue.queries import Known
from archiver.emulator.scripts import (
    ApiScript,
    LinkScript,
    OutputScript,
    RawResponse,
    Response,
    Script,
)
from archiver.outcomes import Archived, Duplicate, Failed
from archiver.settings import Timings
from tests.support.archives import look_up
from tests.support.backups import (
    Backups,
    assert_true_bag,
    generation,
    grow_hopeless,
    quick_downloads,
)
from tests.support.hostile import VIDEO, sized
from tests.support.marks import slow
from tests.support.raw_server import RawServer

G263 = generation("263")
QUICK = Timings(poll_min=0.05, poll_first=0.05, links_first=0.05, default_pause=0.05, after_pause=0)
"""Pauses that tests wait out."""


def one(link: LinkScript, **kwargs: object) -> Script:
    return Script(outputs=(OutputScript(primary=link),), **kwargs)  # type: ignore[arg-type]


def remembered(backups: Backups, name: str) -> Known:
    return look_up(backups.archive, generation(name))


# --- Not found, and failed


@pytest.mark.parametrize("response", ["unknown", "unknown-404", "failed"])
async def test_one_word_of_the_api_gives_nothing_up(backups: Backups, response: Response) -> None:
    """It fails, says which run of how many this is, and is asked again on the next one."""
    backups.emulator.scripts[G263] = Script(response=response)
    for run in (1, 2):
        report = await backups.run("deepfake/263")
        assert (report.failed, report.lost, report.exit_status) == (1, 0, 3)
        assert f"(run {run} of 3 before it counts as lost)" in "".join(report.lines())
    backups.emulator.scripts[G263] = Script()
    assert (await backups.run("deepfake/263")).archived == 1


async def test_what_is_hopeless_on_three_runs_over_forty_hours_is_lost(backups: Backups) -> None:
    """It is named then, with 3, and not asked about any more."""
    await backups.run("deepfake/263")
    grow_hopeless(backups.archive)
    report = await backups.run("deepfake/263")
    assert (report.lost, report.exit_status) == (1, 3)
    assert "Request not found, on 3 runs" in "".join(report.lines())
    backups.emulator.forget()
    assert (await backups.run("deepfake/263")).known_lost == 1
    assert backups.emulator.requests == []


async def test_what_is_not_found_yet_is_asked_again_while_others_go_on(backups: Backups) -> None:
    """Clients see that response for jobs which finish minutes later."""
    backups.emulator.scripts |= {
        G263: Script(trouble=("unknown",) * 6), generation("264"): Script(),
    }  # fmt: skip
    report = await backups.run("deepfake/263", "deepfake/264", wait=20, timings=QUICK)
    assert (report.archived, report.exit_status) == (2, 0)
    first, *_ = (seen.generation for seen in backups.emulator.requests if seen.number)
    assert first == generation("264")


async def test_what_an_earlier_run_did_not_find_is_asked_about_once(backups: Backups) -> None:
    """The first run had the patience for it."""
    await backups.run("video/263", wait=0.3, timings=QUICK)
    assert backups.emulator.asked() > 2
    backups.emulator.forget()
    await backups.run("video/263", wait=20, timings=QUICK)
    assert backups.emulator.asked() == 1


async def test_what_is_processing_after_all_is_waited_for(backups: Backups) -> None:
    """A job that appears late has the time that every other has."""
    script = Script(trouble=("unknown", "unknown"), ready_after=3)
    backups.emulator.scripts[G263] = script
    report = await backups.run("deepfake/263", wait=20, timings=QUICK)
    assert (report.archived, backups.emulator.asked(G263)) == (1, 6)


# --- Families that were assumed


def saved(backups: Backups, name: str, **fields: object) -> str:
    """Return a saved response of a generation, without its family, as a line of a manifest."""
    links = [backups.emulator.link(generation(name))]
    id_ = name.rpartition("/")[2]
    return json.dumps({"status": "success", "id": id_, "output": links} | fields)


@pytest.mark.parametrize("family", ["video", "v7/video-fusion", "realtime"])
async def test_links_that_agree_prove_the_family(backups: Backups, family: str) -> None:
    """It is archived under its own, and on the next run nothing is asked."""
    name = f"{family}/900263"
    backups.emulator.scripts[generation(name)] = Script(fresh_links=True)
    report = await backups.run(saved(backups, name))
    assert (report.archived, report.skipped, report.exit_status) == (1, 0, 0)
    assert remembered(backups, name).state == "held"
    assert remembered(backups, "deepfake/900263").state is None
    backups.emulator.forget()
    report = await backups.run(saved(backups, name), "900263")
    assert (report.already_held, report.exit_status, backups.emulator.requests) == (1, 0, [])
    assert_true_bag(backups.archive)


@pytest.mark.parametrize("field", ["future_links", "links"])
async def test_links_of_any_field_prove_the_family(backups: Backups, field: str) -> None:
    """A creation response has them where no output is yet."""
    name = "video/900263"
    backups.emulator.scripts[generation(name)] = Script()
    links = [backups.emulator.link(generation(name))]
    report = await backups.run(saved(backups, name, output=[], **{field: links}))
    assert report.archived == 1


async def test_links_of_what_is_processing_prove_the_family(backups: Backups) -> None:
    """It is waited for under its own, and is no failure."""
    name = "video/900263"
    backups.emulator.scripts[generation(name)] = Script(response="created")
    links = [backups.emulator.link(generation(name))]
    report = await backups.run(saved(backups, name, output=[], future_links=links))
    assert (report.pending, report.failed, report.exit_status) == (1, 0, 0)
    assert remembered(backups, name).state == "pending"


async def test_a_family_without_links_proves_nothing(backups: Backups) -> None:
    """One that is still making a generation of this ID, and says no more, may make another."""
    backups.emulator.scripts = {
        generation("video/263"): Script(response="processing"),
        generation("realtime/263"): Script(),
    }
    link = backups.emulator.link(generation("realtime/263"))
    await backups.run(json.dumps({"id": 263, "output": [link]}), timings=QUICK)
    assert [type(each) for each in backups.outcomes] == [Archived]
    assert [*backups.held()] == ["data/v6/realtime/263.json", "data/v6/realtime/263.mp4"]


async def test_a_family_that_is_listed_as_well_is_archived_once(backups: Backups) -> None:
    """The assumed one is the same: it is counted under its own name alone."""
    name = "video/900263"
    backups.emulator.scripts[generation(name)] = Script()
    report = await backups.run(saved(backups, name), json.dumps(name))
    assert (report.archived, report.skipped, report.failed) == (1, 0, 0)
    assert not report.problems
    assert {type(outcome) for outcome in backups.outcomes} == {Archived, Duplicate}


@pytest.mark.parametrize(
    ("line", "script"),
    [
        ("900263", Script()),
        ("900263", Script(response="processing")),
        ('{"id": 900263, "status": "success", "output": ["https://a.example/x.mp4"]}', Script()),
    ],
)
async def test_where_nothing_proves_it_the_family_is_named(
    backups: Backups, line: str, script: Script
) -> None:
    """A person can list it then: it is neither archived nor given up, whatever runs there are."""
    backups.emulator.scripts[generation("realtime/900263")] = script
    for _ in range(3):
        report = await backups.run(line)
        assert (report.failed, report.archived, report.exit_status) == (1, 0, 3)
        message = "v6/realtime knows this ID: list it as v6/realtime/900263"
        assert message in "".join(report.lines())
        grow_hopeless(backups.archive)
    assert remembered(backups, "realtime/900263").state is None


async def test_not_found_while_probing_counts_for_nothing(backups: Backups) -> None:
    """Nothing is remembered of families that were only asked."""
    await backups.run("900263")
    asked = {seen.path.split("/fetch/")[0] for seen in backups.emulator.requests}
    assert asked == {
        f"/api/{family}"
        for family in ("v6/deepfake", "v6/faceswap", "v6/video", "v7/video-fusion", "v6/realtime")
    }
    for family in ("video", "v7/video-fusion", "realtime"):
        assert remembered(backups, f"{family}/900263").state is None


async def test_other_families_are_asked_once_a_run(backups: Backups) -> None:
    """However often the assumed one is asked again."""
    await backups.run("900263", wait=0.5, timings=QUICK)
    assert backups.emulator.asked(generation("deepfake/900263")) > 4
    assert backups.emulator.asked(generation("video/900263")) == 1


async def test_a_family_that_is_named_is_the_only_one_asked(backups: Backups) -> None:
    """A person knows better than an assumption."""
    backups.emulator.scripts[generation("video/900263")] = Script()
    report = await backups.run('"deepfake/900263"', '{"id": 900263, "endpoint": "deepfake"}')
    assert (report.failed, report.problems.bad_lines) == (1, 0)
    assert backups.emulator.asked(generation("video/900263")) == 0


async def test_the_family_that_was_right_is_asked_first(backups: Backups) -> None:
    """On the same run, and on later ones that of which the archive holds something."""
    names = [f"realtime/{number}" for number in (900263, 900264, 900265)]
    backups.emulator.scripts |= {generation(name): Script() for name in names}
    await backups.run(
        *(saved(backups, name) for name in names[:2]), download=quick_downloads(concurrency=1)
    )
    backups.emulator.forget()
    await backups.run(saved(backups, names[2]))
    asked = [seen.generation for seen in backups.emulator.requests if seen.host == "api"]
    assert generation("video/900265") not in asked
    assert generation("realtime/900265") in asked


async def test_links_that_contradict_the_assumed_family_ask_the_others(backups: Backups) -> None:
    """Small IDs collide: the one whose links are listed is archived, and not the other."""
    backups.emulator.scripts |= {
        generation("deepfake/7"): Script(),
        generation("video/7"): Script(),
    }
    report = await backups.run(saved(backups, "video/7"))
    assert report.archived == 1
    assert remembered(backups, "video/7").state == "held"
    assert remembered(backups, "deepfake/7").state is None


# --- Links that are late


@pytest.mark.parametrize("fault", ["dead", "forbidden", "throttled"])
async def test_a_link_that_cannot_be_read_yet_is_tried_again(backups: Backups, fault: str) -> None:
    """Without asking for fresh links, and while others are downloaded in the one slot."""
    late = one(LinkScript(fault=fault, times=3))  # type: ignore[arg-type]
    backups.emulator.scripts |= {G263: late, generation("264"): Script()}
    report = await backups.run(
        "deepfake/263", "deepfake/264", wait=30, timings=QUICK,
        download=quick_downloads(concurrency=1, retries=1),
    )  # fmt: skip
    assert (report.archived, report.exit_status) == (2, 0)
    assert backups.emulator.downloads(G263) == 4


async def test_links_that_stay_dead_cost_one_more_request(backups: Backups) -> None:
    """When their time is over, fresh links are asked for once; the next run tries them once."""
    backups.emulator.scripts[G263] = one(LinkScript(fault="dead"))
    download = quick_downloads(retries=1)
    report = await backups.run("deepfake/263", wait=0.5, timings=QUICK, download=download)
    assert (report.failed, backups.emulator.asked(G263)) == (1, 2)
    assert backups.emulator.downloads(G263) > 3
    backups.emulator.forget()
    await backups.run("deepfake/263", wait=30, timings=QUICK, download=download)
    assert (backups.emulator.downloads(G263), backups.emulator.asked(G263)) == (1, 2)


async def test_links_that_are_gone_are_not_waited_for(backups: Backups) -> None:
    """410 says that it was there."""
    backups.emulator.scripts[G263] = one(LinkScript(fault="gone"))
    await backups.run("deepfake/263", wait=30, timings=QUICK, download=quick_downloads(retries=1))
    assert backups.emulator.downloads(G263) == 1


# --- One that keeps the others waiting


def own(message: str, status: str = "failed") -> Script:
    """A generation with a message of its own."""
    return Script(response=RawResponse({"status": status, "message": message, "output": ""}))


OWN = [
    "Too many faces, wait for 2 hours", "Rate limit exceeded", "Insufficient credits",
    "You have no access to this model", "Invalid API key", "Internal error", "Server Error",
    "Service unavailable, try again later",
]  # fmt: skip


@pytest.mark.parametrize("status", ["failed", "error"])
@pytest.mark.parametrize("message", OWN)
@pytest.mark.parametrize("downloads", [1, 8])
async def test_a_generations_own_message_ends_no_run(
    backups: Backups, message: str, status: str, downloads: int
) -> None:
    """Whatever it reads like, and even if it comes first: all others are archived."""
    backups.emulator.scripts |= {generation(str(n)): Script() for n in range(6)}
    backups.emulator.scripts[generation("0")] = own(message, status)
    report = await backups.run(
        *(f"deepfake/{n}" for n in range(6)),
        timings=QUICK, download=quick_downloads(concurrency=downloads),
    )  # fmt: skip
    assert (report.archived, report.exit_status) == (5, 3)
    assert message in "".join(report.lines())


@pytest.mark.parametrize("message", [m for m in OWN if m != "Invalid API key"])
async def test_a_generation_that_is_asked_alone_is_not_the_api(
    backups: Backups, message: str
) -> None:
    """Its message gives 3: neither the key nor the API is at fault."""
    backups.emulator.scripts[G263] = own(message)
    report = await backups.run("deepfake/263", timings=QUICK)
    assert (report.failed, report.exit_status) == (1, 3)
    assert message in "".join(report.lines())


@pytest.mark.parametrize("response", ["error", "html"])
@pytest.mark.parametrize("downloads", [1, 8])
async def test_five_server_errors_in_a_row_give_up_nobody_else(
    backups: Backups, response: Response, downloads: int
) -> None:
    """Those five fail, and all others are archived, wherever they stand in the list."""
    names = [str(n) for n in range(15)]
    backups.emulator.scripts |= {generation(name): Script() for name in names}
    bad = {generation(str(n)): Script(response=response) for n in range(2, 8)}
    backups.emulator.scripts |= bad
    report = await backups.run(
        *(f"deepfake/{n}" for n in names), download=quick_downloads(concurrency=downloads)
    )
    assert (report.archived, report.failed, report.skipped) == (9, 6, 0)
    assert report.exit_status == 3


async def test_an_endpoint_whose_first_ones_fail_is_not_given_up(backups: Backups) -> None:
    """Six bad ones at the very beginning are six bad ones."""
    backups.emulator.scripts |= {generation(str(n)): Script(response="error") for n in range(6)}
    backups.emulator.scripts |= {generation(str(n)): Script() for n in range(6, 9)}
    report = await backups.run(
        *(f"deepfake/{n}" for n in range(9)), download=quick_downloads(concurrency=1)
    )
    assert (report.archived, report.failed) == (3, 6)


@slow
async def test_endless_slow_links_are_named_after_three_runs(backups: Backups) -> None:
    """Begun and not finished: the time limit is no failure, until it is the third in a row."""
    endless = one(LinkScript(seconds=600, length="chunked"))
    backups.emulator.scripts[G263] = endless
    statuses = []
    for _ in range(3):
        report = await backups.run(
            "deepfake/263", max_time=0.5, timings=Timings(grace=0.1),
            download=quick_downloads(timeout=30),
        )  # fmt: skip
        statuses.append(report.exit_status)
    assert statuses == [0, 0, 3]
    (outcome,) = backups.outcomes
    assert isinstance(outcome, Failed)
    assert outcome.reason == "its download was begun and not finished on 3 runs"


@slow
async def test_a_host_that_throttles_holds_up_no_others(backups: Backups) -> None:
    """However many of its videos wait, those of other hosts are archived."""
    throttled = OutputScript(primary=LinkScript(fault="throttled"))
    names = [f"deepfake/{n}" for n in range(1500)]
    backups.emulator.scripts |= {generation(n): Script(outputs=(throttled,)) for n in names}
    backups.emulator.scripts |= {
        generation(f"video/{n}"): Script(
            outputs=(
                OutputScript(
                    primary=LinkScript(url=f"http://{{proxy}}/generations/v6.video.{n}.1.mp4")
                ),
            )
        )
        for n in range(5)
    }
    report = await backups.run(
        *names, *(f"video/{n}" for n in range(5)), api_rate=2000, enough=5,
        timings=Timings(short_pause=600, grace=0.5), download=quick_downloads(retries=1),
    )  # fmt: skip
    assert report.archived == 5


@slow
async def test_a_silent_host_costs_one_timeout_for_each_link(backups: Backups) -> None:
    """Neither the retries nor the fresh links wait for it again."""
    silent = LinkScript(fault="silent")
    backups.emulator.scripts[G263] = Script(
        outputs=(OutputScript(primary=silent, proxy=silent),), fresh_links=True
    )
    report = await backups.run("deepfake/263", download=quick_downloads(timeout=0.5, retries=2))
    assert report.failed == 1
    assert backups.emulator.downloads(G263) == 2
    assert "not tried again on this run" in "".join(report.lines())


@pytest.mark.parametrize("status", [507, 509, 520, 521, 522, 523, 524, 530, 598])
async def test_what_proxies_say_of_a_server_behind_them_is_transient(
    backups: Backups, status: int
) -> None:
    """Another try at the same link may succeed."""
    async with RawServer() as server:
        server.paths["/a.mp4"] = (sized(b"", status=f"HTTP/1.1 {status} Broken"),)
        backups.emulator.scripts[G263] = one(LinkScript(url=f"http://{server.host}/a.mp4"))
        await backups.run("deepfake/263", download=quick_downloads(retries=1))
        assert len(server.heads) == 2 * 2
        server.paths["/a.mp4"] = (sized(VIDEO),)
        assert (await backups.run("deepfake/263")).archived == 1


async def test_an_api_that_is_gone_is_still_found_out(backups: Backups) -> None:
    """Patience has an end: nothing but pages for many generations is no API."""
    backups.emulator.api = ApiScript(always="html")
    report = await backups.run(*(f"deepfake/{n}" for n in range(200)))
    assert report.exit_status == 69
    assert backups.emulator.asked() < 60
