"""A backup run, end to end: the real client against the emulator."""

import asyncio
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from archiver.apikey import ApiKey
from archiver.archive.disk_space import DiskSpace
from archiver.archive.layout import Layout
from archiver.archive.lock import locked
from archiver.archive.partial_file import PartialFile
from archiver.archive.staging import Staging
from archiver.archive.writable import WritableBag
from archiver.catalogue.database import CatalogueDamaged
from archiver.catalogue.store import Catalogue
from archiver.emulator.scripts import (
    ApiScript,
    Fault,
    LinkScript,
    OutputScript,
    RawResponse,
    Response,
    Script,
)
from archiver.errors import ArchiveLocked, ConfigurationError, ManifestUnreadable, StorageError
from archiver.outcomes import Archived, Failed, Outcome, Pending
from archiver.pipeline.backup import backup
from archiver.progress import Activity, Silent
from archiver.settings import ApiSettings, Timings
from tests.support.backups import (
    KEY,
    PATIENT,
    Backups,
    assert_true_bag,
    generation,
    grow_hopeless,
    quick_downloads,
)
from tests.support.hostile import sized
from tests.support.marks import slow, slow_except
from tests.support.raw_server import RawServer
from tests.support.videos import MP4, OTHER_MP4

VIDEOS = Path(__file__).parents[1] / "videos"
G263 = generation("263")
DEAD = LinkScript(fault="dead")


def silence(fault: str) -> float:
    """Return the timeout for a fault: a short one where it is certain to pass."""
    return 1 if fault in {"silent", "stall", "crawl"} else PATIENT


def one(primary: LinkScript, proxy: LinkScript | None = None, **changes: object) -> Script:
    """Return a script of one output with these links."""
    script = Script(outputs=(OutputScript(primary=primary, proxy=proxy),))
    return replace(script, **changes)  # type: ignore[arg-type]


async def test_a_ready_generation_is_archived_with_its_response(backups: Backups) -> None:
    """The paths of the video and its response follow from the ID, and the bag is true."""
    backups.emulator.scripts[G263] = Script()
    report = await backups.run("263")
    held = backups.held()
    assert (report.archived, report.exit_status) == (1, 0)
    assert held["data/v6/deepfake/263.mp4"] == backups.emulator.payload(G263).whole()
    response = json.loads(held["data/v6/deepfake/263.json"])
    assert (response["status"], response["id"]) == ("success", 263)
    assert_true_bag(backups.archive)


async def test_the_request_is_the_documented_one(backups: Backups) -> None:
    """One POST with the key in a JSON body; then a plain GET of the link."""
    backups.emulator.scripts[G263] = Script()
    await backups.run("263")
    ask, get = backups.emulator.requests
    assert (ask.method, ask.path) == ("POST", "/api/v6/deepfake/fetch/263")
    assert (ask.json(), ask.headers["Content-Type"]) == ({"key": KEY}, "application/json")
    assert (get.method, get.headers["Accept-Encoding"]) == ("GET", "identity")
    assert KEY not in f"{get.path}{get.headers}{get.body!r}"


@pytest.mark.parametrize(
    ("response", "expected", "status"),
    [
        ("ready", Archived, 0),
        ("processing", Pending, 0),
        ("created", Pending, 0),
        ("proxied", Pending, 0),
        ("queued", Pending, 0),
        ("nan", Pending, 0),
        ("no-output", Pending, 0),
        ("failed", Failed, 3),
        ("unknown", Failed, 3),
        ("unknown-404", Failed, 3),
        ("malformed", Failed, 3),
        ("malformed-lists", Failed, 3),
        ("wrong-id", Failed, 3),
        ("huge", Failed, 69),
        ("error", Failed, 3),
        ("html", Failed, 69),
        ("html-200", Failed, 69),
        ("empty", Failed, 69),
        ("not-json", Failed, 69),
        ("redirect", Failed, 69),
        ("cut", Failed, 69),
        ("reset", Failed, 69),
        ("hang-up", Failed, 69),
        ("silent", Failed, 69),
        ("stall", Failed, 69),
        ("refused", None, 77),
        ("refused-old", Failed, 77),
        ("plan", Failed, 77),
        ("no-credit", None, 77),
        ("no-credit-old", Failed, 77),
    ],
)
async def test_each_response_has_its_outcome(
    backups: Backups, response: Response, expected: type[Outcome] | None, status: int | None
) -> None:
    """Each kind of response has the outcome and the exit status that are documented for it."""
    backups.emulator.scripts[G263] = Script(response=response)
    report = await backups.run("263", silence=silence(response))
    assert report.exit_status == status
    assert [type(outcome) for outcome in backups.outcomes] == ([expected] if expected else [])
    assert bool(backups.held()) == (expected is Archived)
    assert_true_bag(backups.archive)


QUICK = [
    "dead", "error", "disguised", "empty", "cut", "cut-silently", "cut-chunked", "refuse",
]  # fmt: skip
"""Faults that show quickly."""
UNAVAILABLE: list[Fault] = [
    "dead", "forbidden", "gone", "error", "busy", "throttled", "html", "disguised", "json-error",
    "empty", "cut", "cut-silently", "cut-chunked", "reset", "stall", "crawl", "too-short",
    "too-long", "refuse", "hang-up", "silent",
]  # fmt: skip


@pytest.mark.parametrize("fault", slow_except(UNAVAILABLE, *QUICK))
async def test_a_proxy_serves_where_the_primary_fails(backups: Backups, fault: Fault) -> None:
    """Whatever the primary link's fault, the proxy's bytes are archived, and the fault is kept."""
    backups.emulator.scripts[G263] = one(LinkScript(fault=fault), LinkScript())
    report = await backups.run("263", silence=silence(fault))
    (outcome,) = backups.outcomes
    assert isinstance(outcome, Archived)
    assert [fault.role for fault in outcome.faults] == ["primary"]
    assert outcome.served_by[0].startswith("proxy http://")
    assert report.exit_status == 0
    assert backups.held()["data/v6/deepfake/263.mp4"] == backups.emulator.payload(G263).whole()
    assert_true_bag(backups.archive)


@pytest.mark.parametrize("fault", slow_except(UNAVAILABLE, *QUICK))
async def test_nothing_is_archived_where_all_links_fail(backups: Backups, fault: Fault) -> None:
    """The generation fails with each link's reason; nothing of it is under `data/`."""
    backups.emulator.scripts[G263] = one(LinkScript(fault=fault), LinkScript(fault=fault))
    report = await backups.run("263", silence=silence(fault))
    (outcome,) = backups.outcomes
    assert isinstance(outcome, Failed)
    roles = {fault.role for fault in outcome.faults}
    assert roles == ({"primary"} if fault == "refuse" else {"primary", "proxy"})
    assert all(fault.reason for fault in outcome.faults)
    assert (report.exit_status, backups.held()) == (3, {})
    if fault != "cut-chunked":  # whose length is not known: what arrived can be resumed
        assert list((backups.archive / ".archiver/incoming").iterdir()) == []
    assert_true_bag(backups.archive)


@slow
@pytest.mark.parametrize(
    "link",
    [
        LinkScript(length="none"),
        LinkScript(length="chunked"),
        LinkScript(redirects=3),
        LinkScript(seconds=0.3),
        LinkScript(content_type="text/html"),
        LinkScript(etag="none", last_modified=False, ranges=False),
    ],
)
async def test_a_link_may_serve_in_any_form(backups: Backups, link: LinkScript) -> None:
    """No length, chunks, redirects, slowness and a wrong content type are no faults."""
    backups.emulator.scripts[G263] = one(link)
    await backups.run("263")
    assert backups.held()["data/v6/deepfake/263.mp4"] == backups.emulator.payload(G263).whole()


@pytest.mark.parametrize("proxies", ["list", "string", "identical", "null", "empty", "absent"])
async def test_proxy_links_may_have_any_form(backups: Backups, proxies: str) -> None:
    """Whatever the form of the proxy links, the primary is requested once."""
    backups.emulator.scripts[G263] = one(LinkScript(), LinkScript(), proxies=proxies)
    report = await backups.run("263")
    assert report.archived == 1
    assert backups.emulator.downloads(G263) == 1


@pytest.mark.parametrize("proxies", ["identical", "null", "empty", "absent"])
async def test_the_same_link_is_not_tried_twice_for_one_response(
    backups: Backups, proxies: str
) -> None:
    """A proxy link that is the primary link again is not tried."""
    backups.emulator.scripts[G263] = one(DEAD, DEAD, proxies=proxies)
    await backups.run("263")
    assert backups.emulator.downloads(G263) == 1


@slow
async def test_a_transient_failure_is_tried_again_on_the_same_link(backups: Backups) -> None:
    """A link that fails once serves the second time."""
    backups.emulator.scripts[G263] = one(LinkScript(fault="error", times=1))
    download = quick_downloads(retries=1)
    report = await backups.run("263", download=download)
    assert report.archived == 1
    assert backups.emulator.asked() == 1


async def test_fresh_links_are_requested(backups: Backups) -> None:
    """Where the links of the first response have expired, those of the second serve."""
    backups.emulator.scripts[G263] = Script(fresh_links=True, expired=1)
    report = await backups.run("263")
    assert (report.archived, backups.emulator.asked()) == (1, 2)


async def test_fresh_links_are_requested_only_once(backups: Backups) -> None:
    """Links that are always expired cost two requests a run."""
    backups.emulator.scripts[G263] = Script(fresh_links=True, expired=9)
    report = await backups.run("263")
    assert (report.failed, backups.emulator.asked()) == (1, 2)


async def test_a_generation_with_several_outputs_is_numbered(backups: Backups) -> None:
    """Each output has its number; the response is there once."""
    backups.emulator.scripts[G263] = Script(outputs=(OutputScript(), OutputScript(size=9_000)))
    await backups.run("263")
    held = backups.held()
    assert list(held) == [f"data/v6/deepfake/263{end}" for end in ("-1.mp4", "-2.mp4", ".json")]
    assert held["data/v6/deepfake/263-2.mp4"] == backups.emulator.payload(G263, 2).whole()


async def test_a_whole_generation_or_none_of_it(backups: Backups) -> None:
    """While one output fails the others stay staged; the next run downloads only that one."""
    bad = OutputScript(primary=LinkScript(fault="dead", times=1))
    backups.emulator.scripts[G263] = Script(outputs=(OutputScript(), bad))
    first = await backups.run("263")
    assert (first.failed, backups.held()) == (1, {})
    before = backups.emulator.downloads(G263)
    second = await backups.run("263")
    assert second.archived == 1
    assert backups.emulator.downloads(G263) == before + 1
    assert_true_bag(backups.archive)


@pytest.mark.parametrize(
    ("file", "path"),
    [
        ("quicktime.mov", "263.mov"),
        ("sized.webm", "263.webm"),
        ("matroska.mkv", "263.mkv"),
        ("animated.gif", "263.gif"),
        ("fragmented.mp4", "263.mp4"),
        ("moov-last.mp4", "263.mp4"),
    ],
)
async def test_the_extension_follows_the_bytes(backups: Backups, file: str, path: str) -> None:
    """Whatever the link's extension, a payload is named after what it is."""
    body = (VIDEOS / file).read_bytes()
    backups.emulator.scripts[G263] = Script(outputs=(OutputScript(body=body, suffix="bin"),))
    await backups.run("263")
    assert backups.held()[f"data/v6/deepfake/{path}"] == body


@pytest.mark.parametrize("file", ["fragmented-no-index.mp4", "live.webm"])
@pytest.mark.parametrize(("length", "archived"), [("given", 1), ("chunked", 1), ("none", 0)])
async def test_a_format_without_an_end_needs_a_length(
    backups: Backups, file: str, length: str, archived: int
) -> None:
    """Without a length from the container or from HTTP, a payload is not proven whole."""
    body = (VIDEOS / file).read_bytes()
    link = LinkScript(length=length)  # type: ignore[arg-type]
    backups.emulator.scripts[G263] = Script(outputs=(OutputScript(body=body, primary=link),))
    assert (await backups.run("263")).archived == archived


async def test_what_is_held_is_not_requested_again(backups: Backups) -> None:
    """A second run over the same list makes no request and succeeds."""
    backups.emulator.scripts[G263] = Script()
    await backups.run("263", "faceswap/263")
    backups.emulator.forget()
    report = await backups.run("263", "deepfake/263", "263")
    assert (report.already_held, report.exit_status) == (1, 0)
    assert backups.emulator.requests == []


async def test_what_is_lost_is_reported_once(backups: Backups) -> None:
    """A lost generation fails the run that finds it, and is then neither requested nor reported."""
    await backups.run("263")
    grow_hopeless(backups.archive)
    first = await backups.run("263")
    backups.emulator.forget()
    second = await backups.run("263")
    assert (first.lost, first.exit_status) == (1, 3)
    assert (second.known_lost, second.exit_status, backups.emulator.requests) == (1, 0, [])


async def test_what_is_lost_is_requested_again_on_demand(backups: Backups) -> None:
    """`--retry-lost` finds what is there again."""
    await backups.run("263")
    grow_hopeless(backups.archive)
    assert (await backups.run("263")).lost == 1
    backups.emulator.scripts[G263] = Script()
    assert (await backups.run("263", retry_lost=True)).archived == 1


async def test_the_familys_other_name_is_tried_before_a_generation_is_lost(
    backups: Backups,
) -> None:
    """Nothing is lost because the provider dropped an old name."""
    await backups.run("deepfake/263")
    paths = [request.path for request in backups.emulator.requests]
    assert paths == ["/api/v6/deepfake/fetch/263", "/api/v6/faceswap/fetch/263"]


async def test_dead_links_are_lost_after_several_runs(backups: Backups) -> None:
    """After three runs with nothing but dead links the generation is given up, and reported."""
    backups.emulator.scripts[G263] = one(DEAD)
    await backups.run("263")
    await backups.run("263")
    grow_hopeless(backups.archive)
    report = await backups.run("263")
    assert (report.lost, report.failed, report.exit_status) == (1, 0, 3)
    assert (await backups.run("263")).exit_status == 0


async def test_a_lost_catalogue_is_rebuilt_without_a_download(backups: Backups) -> None:
    """The checksum manifest alone shows what is held."""
    backups.emulator.scripts[G263] = Script()
    await backups.run("263")
    backups.emulator.forget()
    (backups.archive / ".archiver/catalogue.sqlite").unlink()
    report = await backups.run("263")
    assert (report.already_held, backups.emulator.requests) == (1, [])
    assert_true_bag(backups.archive)


async def test_a_processing_generation_is_polled_while_others_are_archived(
    backups: Backups,
) -> None:
    """What is ready at the third request is archived in the same run, at its full length."""
    backups.emulator.scripts |= {G263: Script(ready_after=2), generation("264"): Script()}
    report = await backups.run(
        "263", "264", wait=20, timings=Timings(poll_min=0.05, poll_first=0.05)
    )
    assert (report.archived, backups.emulator.asked(G263)) == (2, 3)
    assert backups.held()["data/v6/deepfake/263.mp4"] == backups.emulator.payload(G263).whole()


async def test_one_generations_failure_does_not_stop_another(backups: Backups) -> None:
    """Among failures of every kind, those that are ready are archived."""
    scripts = {
        "1": Script(), "2": Script(response="failed"), "3": one(DEAD),
        "4": Script(response="malformed"),
        "5": Script(response="processing"), "6": Script(response="error"), "7": Script(),
    }  # fmt: skip
    backups.emulator.scripts |= {generation(id_): script for id_, script in scripts.items()}
    report = await backups.run(*scripts)
    assert (report.archived, report.failed, report.pending) == (2, 4, 1)
    assert (report.skipped, report.exit_status) == (0, 3)


async def test_an_endpoint_without_access_is_skipped_and_others_go_on(backups: Backups) -> None:
    """If the plan does not include an endpoint, the others are requested all the same."""
    denied = [f"v7/video-fusion/{number}" for number in range(60)]
    message = RawResponse({"status": "error", "message": "Your plan does not include this."}, 403)
    backups.emulator.scripts |= {generation(name): Script(response=message) for name in denied}
    backups.emulator.scripts |= {generation(str(n)): Script() for n in range(20)}
    report = await backups.run(*denied, *map(str, range(20)))
    assert (report.archived, report.exit_status) == (20, 3)
    assert "access to v7/video-fusion is denied: Your plan does not" in report.reason
    assert backups.emulator.asked() < 60
    report = await backups.run(*denied)
    assert report.exit_status == 77


async def test_a_rejected_key_ends_the_run(backups: Backups) -> None:
    """After the first rejection no more is requested; what was not tried is counted as skipped."""
    backups.emulator.api = ApiScript(always="refused")
    report = await backups.run(*map(str, range(200)))
    assert (report.exit_status, report.skipped) == (77, 200)
    assert backups.emulator.asked() < 40


async def test_an_unreachable_api_ends_the_run_early(backups: Backups) -> None:
    """After a few generations without a response, the rest of the list is not tried."""
    backups.emulator.api = ApiScript(always="html")
    report = await backups.run(*map(str, range(200)))
    assert report.exit_status == 69
    assert backups.emulator.asked() < 60
    assert report.skipped + report.failed == 200


async def test_a_closed_port_is_an_unreachable_api(backups: Backups) -> None:
    """Without any connection the exit status is 69, also for a single generation."""
    api = ApiSettings(ApiKey(KEY), "http://127.0.0.1:9/api", timeout=1, retries=0)
    report = await backups.run("263", api=api)
    assert report.exit_status == 69


async def test_the_key_goes_only_to_the_api(backups: Backups) -> None:
    """A server that echoes the key gets it into no file and to no other host."""
    backups.emulator.api = ApiScript(echo_key=True)
    backups.emulator.scripts |= {G263: Script(), generation("264"): Script(response="malformed")}
    report = await backups.run("263", "264", "265")
    written = [p.read_bytes() for p in backups.archive.rglob("*") if p.is_file()]
    others = [r for r in backups.emulator.requests if r.host != "api"]
    assert not any(KEY.encode() in data for data in written)
    assert KEY not in repr(others)
    assert KEY not in json.dumps(report.as_json())
    assert report.archived == 1


async def test_a_link_with_the_key_is_not_followed(backups: Backups) -> None:
    """An echoed key is not sent to a link host."""
    link = LinkScript(url="http://{primary}/generations/a.mp4?key=sk-Emulated%2FKey%2B42")
    backups.emulator.scripts[G263] = one(link)
    report = await backups.run("263")
    assert (report.failed, backups.emulator.downloads()) == (1, 0)
    assert any("the link contains the API key" in line for line in report.lines())


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)", "ftp://127.0.0.1/a.mp4", "file:///etc/passwd", "/generations/a.mp4",
        "http://", "https:///a.mp4", "http://[::1/a.mp4", "http://a b/c.mp4", "http://127.0.0.1:99999/a",
        "http://" + "a" * 300 + ".example/a.mp4", "http://\u2603.invalid/a.mp4", "not a link",
    ],
)  # fmt: skip
async def test_a_strange_link_is_a_fault_like_any_other(backups: Backups, url: str) -> None:
    """Whatever is in place of a link, the generation fails, unless a proxy serves."""
    backups.emulator.scripts |= {
        G263: one(LinkScript(url=url)),
        generation("264"): one(LinkScript(url=url), LinkScript()),
    }
    report = await backups.run("263", "264")
    assert (report.failed, report.archived, report.exit_status) == (1, 1, 3)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://{primary}/a.mp4", "javascript:1"])
async def test_a_redirect_to_something_else_is_a_fault(backups: Backups, target: str) -> None:
    """Links are followed only over http and https."""
    backups.emulator.scripts[G263] = one(LinkScript(redirects=1, redirect_to=target), LinkScript())
    report = await backups.run("263")
    assert report.archived == 1
    (outcome,) = backups.outcomes
    assert isinstance(outcome, Archived)
    assert "http(s)" in outcome.faults[0].reason


async def test_a_redirect_loop_is_a_fault(backups: Backups) -> None:
    """A link that only redirects is given up."""
    backups.emulator.scripts[G263] = one(LinkScript(redirects=1000))
    report = await backups.run("263")
    assert "too many redirects" in "".join(report.lines())


async def test_bad_lines_are_reported_and_the_good_ones_archived(backups: Backups) -> None:
    """A line that is not understood makes the exit status 3, and changes nothing else."""
    backups.emulator.scripts[G263] = Script()
    report = await backups.run("263", "what is this?")
    assert (report.archived, report.problems.bad_lines, report.exit_status) == (1, 1, 3)
    assert any("ids.txt:2: 'what is this?'" in line for line in report.lines())


async def test_strict_fetches_nothing_if_a_line_is_bad(backups: Backups) -> None:
    """With `--strict` a bad line ends the run before any request."""
    with pytest.raises(ConfigurationError, match=r"ids\.txt:2"):
        await backups.run("263", "what is this?", strict=True)
    assert backups.emulator.requests == []


async def test_no_manifest_at_all_makes_no_archive(backups: Backups) -> None:
    """Without a list, nothing is touched."""
    backups.archive.with_name("ids.txt").mkdir()
    with pytest.raises(ManifestUnreadable, match="no manifest in it"):
        await asyncio.wait_for(_run_unwritten(backups), 40)
    assert not backups.archive.exists()


async def test_a_second_run_does_not_enter_a_locked_archive(backups: Backups) -> None:
    """While one run holds the lock, another ends at once and touches nothing."""
    backups.emulator.scripts[G263] = Script()
    await backups.run("263")
    with locked(backups.archive / ".archiver/lock"), pytest.raises(ArchiveLocked, match="process"):
        await backups.run("264")


async def test_a_file_in_the_way_is_quarantined(backups: Backups) -> None:
    """A file without a checksum line is moved aside, not overwritten."""
    place = backups.archive / "data/v6/deepfake/263.mp4"
    backups.emulator.scripts[G263] = Script()
    await backups.run("264")
    place.parent.mkdir(parents=True)
    place.write_bytes(b"mine")
    await backups.run("263")
    (aside,) = (backups.archive / ".archiver/quarantine").rglob("263.mp4")
    assert aside.read_bytes() == b"mine"
    assert_true_bag(backups.archive)


async def test_responses_of_every_form_are_archived(backups: Backups) -> None:
    """Objects, bare strings and lists all lead to the video."""
    names = ["list", "string", "object", "objects"]
    backups.emulator.scripts |= {
        generation(name): Script(output_shape=name)  # type: ignore[arg-type]
        for name in names
    }
    assert (await backups.run(*names)).archived == 4


@slow
async def test_a_server_error_is_retried(backups: Backups) -> None:
    """A server error that ends within the retries costs only time."""
    backups.emulator.scripts[G263] = Script(trouble=(RawResponse(b"<html>", 502),))
    api = ApiSettings(ApiKey(KEY), backups.emulator.api_url, timeout=20, retries=1)
    report = await backups.run("263", api=api)
    assert (report.archived, backups.emulator.asked()) == (1, 2)


async def _run_unwritten(backups: Backups) -> None:
    manifests = [str(backups.archive.with_name("ids.txt"))]
    await backup(backups.archive, manifests, backups.settings())


# --- A catalogue that is damaged


def damage(archive: Path, start: int) -> bytes:
    """Overwrite the catalogue from a byte on; return its content."""
    path = Layout(archive).catalogue
    path.write_bytes(path.read_bytes()[:start].ljust(path.stat().st_size, b"\xff"))
    return path.read_bytes()


@pytest.mark.parametrize("start", [0, 100, 4096, 8192])
async def test_a_damaged_catalogue_is_rebuilt(
    backups: Backups, caplog: pytest.LogCaptureFixture, start: int
) -> None:
    """Wherever it is damaged, it is set aside and rebuilt, and the run goes on."""
    backups.emulator.scripts |= {generation(str(n)): Script() for n in range(5)}
    await backups.run("0", "1", "2")
    damaged = damage(backups.archive, start)
    backups.emulator.forget()
    report = await backups.run(*map(str, range(5)))
    assert (report.exit_status, report.already_held, report.archived) == (0, 3, 2)
    kept = backups.archive.glob(".archiver/catalogue.sqlite.damaged-*")
    assert damaged[4096:] in [path.read_bytes()[4096:] for path in kept]
    assert "is damaged (" in caplog.text
    assert "it is set aside and rebuilt" in caplog.text
    assert (await backups.run(*map(str, range(5)))).already_held == 5


async def test_a_catalogue_found_damaged_during_a_run_is_rebuilt(
    backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was committed by then is held, and not downloaded again."""
    backups.emulator.scripts |= {generation(str(n)): Script() for n in range(3)}
    record, calls = Catalogue.record, iter(range(99))

    def recording(self: Catalogue, *args: object) -> None:
        if next(calls) == 0:
            raise CatalogueDamaged(
                "the catalogue", sqlite3.DatabaseError("database disk image is malformed")
            )
        record(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Catalogue, "record", recording)
    report = await backups.run("0", "1", "2")
    assert (report.exit_status, report.archived + report.already_held) == (0, 3)
    videos = [seen for seen in backups.emulator.requests if seen.number]
    assert len(videos) == 3


# --- When the time limit is reached, or the disk is full


async def test_a_time_limit_without_any_response_is_a_failure(backups: Backups) -> None:
    """An API that is silent until the time limit makes the exit status 3."""
    backups.emulator.scripts |= {generation(str(n)): Script(response="silent") for n in range(3)}
    api = replace(backups.settings().api, timeout=30.0, retries=6)
    report = await backups.run("0", "1", "2", max_time=0.5, api=api)
    assert (report.exit_status, report.skipped) == (3, 3)


@slow
async def test_what_was_downloaded_is_committed_when_the_disk_fails(
    backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails at one video ends the run; small ones that were downloaded are held."""
    small = [str(n) for n in range(100)]
    backups.emulator.scripts |= {generation(name): Script() for name in small}
    backups.emulator.scripts[generation("large")] = Script(outputs=(OutputScript(size=10**7),))
    commit, look = WritableBag.commit, DiskSpace._claim

    def slowly(self: WritableBag, *args: Any, **kwargs: Any) -> None:
        time.sleep(0.3)
        commit(self, *args, **kwargs)

    def claim(self: DiskSpace, partial: PartialFile, length: int | None) -> None:
        if length and length > 10**6:
            raise StorageError("the disk fails")
        look(self, partial, length)

    monkeypatch.setattr(WritableBag, "commit", slowly)
    monkeypatch.setattr(DiskSpace, "_claim", claim)
    report = await backups.run(*small, "large")
    assert report.exit_status == 74
    served = {seen.generation for seen in backups.emulator.requests if seen.number}
    assert report.archived >= len(served) - 1 - 2 * 8  # except those that were under way
    assert len(backups.held()) == 2 * report.archived
    assert_true_bag(backups.archive)


async def test_what_was_committed_counts_when_the_disk_fails_afterwards(
    backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be tidied up after a failure ends the run, which reports what it archived."""
    backups.emulator.scripts |= {
        generation("1"): Script(outputs=(OutputScript(primary=LinkScript(fault="dead")),)),
        generation("2"): Script(),
    }

    def fail(_self: Staging, _stale_after: float) -> None:
        raise StorageError("the disk fails")

    monkeypatch.setattr(Staging, "tidy", fail)
    report = await backups.run("1", "2")
    assert len(backups.held()) == 2 * report.archived
    assert (report.exit_status, report.failed) == (74, 1)


async def test_what_was_downloaded_is_committed_when_the_reserved_space_is_reached(
    backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--min-free` ends a run before a download; small videos that were downloaded are held."""
    names = [str(n) for n in range(20)]
    backups.emulator.scripts |= {generation(name): Script() for name in names}
    commit, look = WritableBag.commit, os.statvfs

    def slowly(self: WritableBag, *args: Any, **kwargs: Any) -> None:
        time.sleep(0.3)
        commit(self, *args, **kwargs)

    def statvfs(path: Any) -> os.statvfs_result:
        full = sum(1 for seen in backups.emulator.requests if seen.number) > 5
        return os.statvfs_result([0] * 10) if full else look(path)

    monkeypatch.setattr(WritableBag, "commit", slowly)
    monkeypatch.setattr(os, "statvfs", statvfs)
    report = await backups.run(*names, download=quick_downloads(min_free=1, concurrency=1))
    served = sum(1 for seen in backups.emulator.requests if seen.number)
    assert (report.exit_status, report.archived) == (74, served)
    assert served < 10
    assert_true_bag(backups.archive)


async def test_a_body_without_a_length_leaves_the_reserved_space(backups: Backups) -> None:
    """Disk space is checked again and again during a download."""
    endless = OutputScript(size=60_000_000, primary=LinkScript(length="chunked"))
    backups.emulator.scripts[generation("1")] = Script(outputs=(endless,))
    free = shutil.disk_usage(backups.archive.parent).free
    download = quick_downloads(min_free=free - 20_000_000, timeout=30)
    report = await backups.run("1", download=download)
    assert report.exit_status == 74
    assert not backups.held()


async def test_a_proxy_is_used_by_place_when_place_is_all_that_is_left(backups: Backups) -> None:
    """Its name is that of no output, and the other proxy stands in the place of its own."""
    missing = sized(b"", status="HTTP/1.1 404 Not Found")
    paths = {"/ok.mp4": (sized(MP4),), "/two.mp4": (sized(OTHER_MP4),), "*": (missing,)}
    async with RawServer(paths) as server:
        host = f"http://{server.host}"
        body = {
            "status": "success",
            "output": [f"{host}/x.mp4", f"{host}/lost/two.mp4"],
            "proxy_links": [f"{host}/ok.mp4", f"{host}/two.mp4"],
        }
        backups.emulator.scripts[G263] = Script(response=RawResponse(body))
        report = await backups.run("263")
    held = backups.held()
    assert (report.archived, report.exit_status) == (1, 0)
    assert held["data/v6/deepfake/263-1.mp4"] == MP4
    assert held["data/v6/deepfake/263-2.mp4"] == OTHER_MP4


# --- What a run is busy with


async def test_a_run_says_what_it_is_busy_with(backups: Backups) -> None:
    """How many are downloaded, and how many waited for; in the end there is nothing."""
    slow = Script(outputs=(OutputScript(primary=LinkScript(seconds=1)),))
    backups.emulator.scripts |= {
        generation("1"): slow, generation("2"): Script(ready_after=1),
    }  # fmt: skip
    seen = list[Activity]()
    activities = list[Callable[[], Activity]]()

    class Watching(Silent):
        def follow(self, activity: Callable[[], Activity]) -> None:
            activities.append(activity)

        def received(self, count: int) -> None:
            seen.append(activities[0]())

    manifest = backups.archive.with_name("ids.txt")
    manifest.write_text("1\n2\n")
    timings = Timings(poll_min=0.3, poll_first=0.3)
    settings = backups.settings(wait=20, timings=timings)
    assert (await backup(backups.archive, [manifest], settings, Watching())).archived == 2
    assert Activity(downloading=1, processing=1) in seen
    assert activities[0]() == Activity()
