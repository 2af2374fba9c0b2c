"""An interrupted download is resumed where it stopped, if it is provably the same file."""

import io
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from archiver.archive.layout import Layout
from archiver.archive.staging import Staging
from archiver.emulator.clip import grown_clip
from archiver.emulator.scripts import LinkScript, OutputScript, RawResponse, Script
from archiver.emulator.server import Seen
from archiver.outcomes import Failed
from archiver.settings import Timings
from tests.support.backups import (
    PATIENT,
    Backups,
    assert_true_bag,
    generation,
    grow_hopeless,
    quick_downloads,
)
from tests.support.marks import slow, slow_except
from tests.support.raw_server import Pause, RawServer

G263 = generation("263")
SIZE = 3_000_000
CUT = LinkScript(fault="cut", seconds=0.3)
CUT_ONCE = replace(CUT, times=1)
CUT_IN_ONE_RUN = replace(CUT, times=2)
"""The link is cut, and so is the fresh one, which is the same."""
NO_VALIDATOR = replace(CUT, etag="none", last_modified=False)
"""It is cut, and nothing proves that the rest is of the same file."""
LARGE = 6_000_000
"""Of a file of this size, a part is on the disk before the connection is cut."""
ONE_RETRY = quick_downloads(retries=1)


def script(primary: LinkScript, proxy: LinkScript | None = None, **changes: object) -> Script:
    output = OutputScript(size=SIZE, primary=primary, proxy=proxy)
    return Script(outputs=(replace(output, **changes),))  # type: ignore[arg-type]


def gets(backups: Backups) -> list[Seen]:
    return [seen for seen in backups.emulator.requests if seen.host != "api"]


def ranges(backups: Backups) -> list[str | None]:
    return [seen.headers.get("Range") for seen in gets(backups)]


def incoming(backups: Backups) -> dict[str, int]:
    """Return the files in the staging area: their kinds and sizes."""
    kinds = {
        path: "part" if path.name.endswith(".part") else path.name.partition(".")[2]
        for path in (backups.archive / ".archiver/incoming").rglob("*")
    }
    return {kinds[path]: path.stat().st_size for path in kinds if path.is_file()}


def assert_nothing_left(backups: Backups) -> None:
    assert not any((backups.archive / ".archiver/incoming").iterdir())


@pytest.fixture
def openings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The modes in which partial files were opened, in order."""
    modes: list[str] = []
    plain = io.open

    def opening(file: object, mode: str = "r", *args: object, **kwargs: object) -> object:
        if str(file).endswith(".part"):
            modes.append(mode)
        return plain(file, mode, *args, **kwargs)  # type: ignore[call-overload]

    monkeypatch.setattr(io, "open", opening)
    return modes


def assert_archived(backups: Backups) -> None:
    assert_nothing_left(backups)
    assert backups.held()["data/v6/deepfake/263.mp4"] == backups.emulator.payload(G263).whole()
    assert_true_bag(backups.archive)


@pytest.mark.parametrize("fault", slow_except(["cut", "reset", "stall"], "cut"))
async def test_a_cut_download_is_resumed_in_the_same_run(
    backups: Backups, openings: list[str], fault: str
) -> None:
    """The second request is for the rest only, if the strong entity tag still matches.

    What the first one brought is not read again: it was hashed when it was written.
    """
    backups.emulator.scripts[G263] = script(replace(CUT_ONCE, fault=fault))  # type: ignore[arg-type]
    retried = replace(ONE_RETRY, timeout=1 if fault == "stall" else ONE_RETRY.timeout)
    assert (await backups.run("263", download=retried)).archived == 1
    first, second = gets(backups)
    assert "Range" not in first.headers
    assert 0 < int(second.headers["Range"].removeprefix("bytes=").rstrip("-")) < SIZE
    assert second.headers["If-Range"].startswith('"')
    assert openings == ["wb"]
    assert_archived(backups)


async def test_a_cut_download_is_resumed_by_the_next_run(
    backups: Backups, openings: list[str]
) -> None:
    """What arrived is kept, and its bytes are hashed again from the disk, once."""
    backups.emulator.scripts[G263] = script(CUT_IN_ONE_RUN)
    assert (await backups.run("263")).failed == 1
    assert backups.held() == {}
    (part,) = (backups.archive / ".archiver/incoming").rglob("*.part")
    assert backups.emulator.payload(G263).whole().startswith(part.read_bytes())
    assert incoming(backups).keys() == {"part", "part.json"}
    assert 0 < incoming(backups)["part"] < SIZE
    openings.clear()
    assert (await backups.run("263")).archived == 1
    assert openings == ["rb", "ab"]
    assert ranges(backups)[0] is None
    assert ranges(backups)[-1] is not None
    assert_archived(backups)


async def test_a_partial_file_that_was_changed_is_downloaded_anew(backups: Backups) -> None:
    """Nothing in the container would show it: a changed byte is never archived."""
    backups.emulator.scripts[G263] = script(CUT_IN_ONE_RUN)
    assert (await backups.run("263")).failed == 1
    (part,) = (backups.archive / ".archiver/incoming").rglob("*.part")
    data = bytearray(part.read_bytes())
    data[-1000] ^= 1
    part.write_bytes(data)
    backups.emulator.scripts[G263] = script(LinkScript())
    backups.emulator.forget()
    assert (await backups.run("263")).archived == 1
    assert ranges(backups) == [None]
    assert_archived(backups)


async def test_a_proxy_resumes_the_primarys_partial_file(
    backups: Backups, openings: list[str]
) -> None:
    """With the same strong entity tag another host may serve the rest; nothing is read again."""
    backups.emulator.scripts[G263] = script(CUT, LinkScript())
    assert (await backups.run("263")).archived == 1
    primary, proxy = gets(backups)
    assert (primary.host, proxy.host) == ("primary", "proxy")
    assert proxy.headers["If-Range"].startswith('"')
    assert openings == ["wb"]
    assert_archived(backups)


@slow
async def test_a_partial_file_is_resumed_by_every_try(
    backups: Backups, openings: list[str]
) -> None:
    """One from an earlier run is read once, however many tries and links resume it."""
    backups.emulator.scripts[G263] = script(CUT_IN_ONE_RUN)
    assert (await backups.run("263")).failed == 1
    backups.emulator.scripts[G263] = script(CUT, LinkScript())
    backups.emulator.forget()
    openings.clear()
    assert (await backups.run("263", download=ONE_RETRY)).archived == 1
    assert [seen.host for seen in gets(backups)] == ["primary", "primary", "proxy"]
    starts = [int((value or "").removeprefix("bytes=").rstrip("-")) for value in ranges(backups)]
    assert 0 < starts[0] < starts[1] < starts[2] < SIZE
    assert openings == ["rb", "ab"]
    assert_archived(backups)


@slow
@pytest.mark.parametrize("proxy", [None, LinkScript(fault="dead"), NO_VALIDATOR])
async def test_a_partial_file_that_no_link_finishes_is_kept_or_deleted(
    backups: Backups, proxy: LinkScript | None
) -> None:
    """It is kept where it has a validator, and deleted where it has none."""
    backups.emulator.scripts[G263] = script(NO_VALIDATOR, proxy, size=LARGE)
    assert (await backups.run("263")).failed == 1
    assert_nothing_left(backups)
    backups.emulator.scripts[G263] = script(CUT, LinkScript(fault="dead"), size=LARGE)
    assert (await backups.run("263")).failed == 1
    left = incoming(backups)
    assert left.keys() == {"part", "part.json"}
    assert 0 < left["part"] < LARGE


@slow
@pytest.mark.parametrize("proxy", [LinkScript(), replace(NO_VALIDATOR, fault="none")])
async def test_a_partial_file_that_cannot_be_resumed_starts_from_zero(
    backups: Backups, openings: list[str], proxy: LinkScript
) -> None:
    """What the primary sent is on the disk when the proxy begins from zero, and is dropped."""
    backups.emulator.scripts[G263] = script(NO_VALIDATOR, proxy, size=LARGE)
    assert (await backups.run("263")).archived == 1
    assert ranges(backups) == [None, None]
    assert openings == ["wb", "wb"]
    assert_archived(backups)


@slow
async def test_a_partial_file_of_another_version_is_deleted_with_its_origin(
    backups: Backups,
) -> None:
    """Where the proxy has another file than the primary, nothing of the primary's is left."""
    backups.emulator.scripts[G263] = script(CUT, NO_VALIDATOR, size=LARGE, versions=2)
    assert (await backups.run("263")).failed == 1
    assert_nothing_left(backups)


@slow
@pytest.mark.parametrize(
    "link",
    [
        replace(CUT_ONCE, etag="none", last_modified=False),
        replace(CUT_ONCE, etag="weak", last_modified=False),
    ],
)
async def test_without_a_validator_nothing_is_resumed(backups: Backups, link: LinkScript) -> None:
    """Without a strong validator the file is downloaded again, and no partial file is kept."""
    backups.emulator.scripts[G263] = script(link)
    assert (await backups.run("263", download=ONE_RETRY)).archived == 1
    assert ranges(backups) == [None, None]
    assert_archived(backups)


@slow
async def test_an_old_date_is_a_validator_for_its_own_link(backups: Backups) -> None:
    """Without a strong entity tag, a Last-Modified well before Date is a validator."""
    backups.emulator.scripts[G263] = script(replace(CUT_ONCE, etag="none"))
    assert (await backups.run("263", download=ONE_RETRY)).archived == 1
    assert ranges(backups)[1] is not None
    assert "GMT" in gets(backups)[1].headers["If-Range"]
    assert_archived(backups)


@pytest.mark.parametrize(
    "date",
    ["Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "Mon, 01 Jan 2024 00:00:00 +99999999999999"],
)
async def test_an_impossible_date_is_no_validator(backups: Backups, date: str) -> None:
    """It does no harm."""
    video = grown_clip(TOTAL, "odd").whole()
    odd = head("200 OK", f"Content-Length: {TOTAL}", f"Last-Modified: {date}")
    async with RawServer({"*": (odd + video,)}) as server:
        response = {"status": "success", "output": [f"http://{server.host}/a.mp4"]}
        backups.emulator.scripts[G263] = Script(response=RawResponse(response))
        assert (await backups.run("263")).archived == 1


async def test_a_date_is_no_validator_on_another_host(backups: Backups) -> None:
    """A proxy is not asked to resume a file that only has the primary's date."""
    backups.emulator.scripts[G263] = script(replace(CUT, etag="none"), LinkScript(etag="none"))
    assert (await backups.run("263")).archived == 1
    assert ranges(backups) == [None, None]
    assert_archived(backups)


@slow
async def test_a_server_without_ranges_starts_over(backups: Backups) -> None:
    """Status 200 in response to a range is the whole file, from its beginning."""
    backups.emulator.scripts[G263] = script(replace(CUT_ONCE, ranges=False))
    assert (await backups.run("263", download=ONE_RETRY)).archived == 1
    assert_archived(backups)


@slow
async def test_a_file_that_has_changed_starts_over(backups: Backups) -> None:
    """Another version has another entity tag: nothing of the old one is left in the new."""
    backups.emulator.scripts[G263] = script(CUT_ONCE, versions=2)
    assert (await backups.run("263", download=ONE_RETRY)).archived == 1
    assert_archived(backups)


@slow
async def test_a_wrong_range_is_rejected(backups: Backups) -> None:
    """A 206 with another range than the requested one is dropped, and the whole file requested."""
    backups.emulator.scripts[G263] = script(CUT_IN_ONE_RUN)
    assert (await backups.run("263")).failed == 1
    backups.emulator.scripts[G263] = script(LinkScript(fault="wrong-range", times=1))
    backups.emulator.forget()
    assert (await backups.run("263")).archived == 1
    assert [value is None for value in ranges(backups)] == [False, True]
    assert_archived(backups)


OLD, NEW = "Mon, 01 Jan 2024 00:00:00 GMT", "Mon, 07 Oct 2024 00:00:00 GMT"
TOTAL, HALF = 300_000, 150_000


def head(status: str, *lines: str) -> bytes:
    """Return the head of a response with a date long after any other in it."""
    date = "Date: Tue, 24 Nov 2026 00:00:00 GMT"
    return "\r\n".join((f"HTTP/1.1 {status}", date, *lines, "", "")).encode()


@slow
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"Last-Modified: {OLD}", (f"Last-Modified: {NEW}",)),
        (f"Last-Modified: {OLD}", (f"Last-Modified: {OLD}", f"Last-Modified: {NEW}")),
        (f"Last-Modified: {OLD}", ("Content-Encoding: gzip",)),
        ('ETag: "x"', ('ETag: "x"', "Content-Encoding: br")),
        ('ETag: "x"', ('ETag: "x"', 'ETag: "y"')),
        ('ETag: "x"', ('ETag: "x"', f"Content-Range: bytes 0-{TOTAL - 1}/{TOTAL}")),
        ('ETag: "x"', (f"Last-Modified: {OLD}",)),
        (
            f"Last-Modified: {OLD}",
            ("Last-Modified: Mon, 01 Jan 99999999999999999999 00:00:00 GMT",),
        ),
    ],
)
async def test_the_rest_of_another_file_is_rejected(
    backups: Backups, before: str, after: tuple[str, ...]
) -> None:
    """If a server ignores If-Range and sends the rest of another file, the two are not joined."""
    old, new = (grown_clip(TOTAL, name).whole() for name in ("old", "new"))
    length = f"Content-Length: {TOTAL}"
    span = f"Content-Range: bytes {HALF}-{TOTAL - 1}/{TOTAL}"
    rest = head("206 Partial Content", f"Content-Length: {TOTAL - HALF}", span, *after)
    async with RawServer(
        {"*": (head("200 OK", length, before) + old[:HALF], Pause(0.6))}
    ) as server:
        response = {"status": "success", "output": [f"http://{server.host}/a.mp4"]}
        backups.emulator.scripts[G263] = Script(response=RawResponse(response))
        assert (await backups.run("263")).failed == 1
        server.heads.clear()
        server.paths = {"*": (rest + new[HALF:],)}
        assert (await backups.run("263")).failed == 1
        assert f"Range: bytes={HALF}-" in server.heads[0]
        server.paths = {"*": (head("200 OK", length) + new,)}
        assert (await backups.run("263")).archived == 1
    assert backups.held()["data/v6/deepfake/263.mp4"] == new


@slow
async def test_a_damaged_partial_file_starts_from_zero_once(backups: Backups) -> None:
    """A resumed file that is no whole video is downloaded again, once."""
    backups.emulator.scripts[G263] = script(CUT_IN_ONE_RUN)
    assert (await backups.run("263")).failed == 1
    (part,) = (backups.archive / ".archiver/incoming").rglob("*.part")
    whole = backups.emulator.payload(G263).whole()
    part.write_bytes(whole[:1000] + b"\0\0\0\x08free" * 10 + whole[1000 : part.stat().st_size - 80])
    seen = len(gets(backups))
    report = await backups.run("263")
    assert report.archived == 1
    assert len(gets(backups)[seen:]) <= 2
    assert_archived(backups)


@slow
async def test_a_partial_file_from_before_a_reboot_is_not_resumed(
    backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power cut, unwritten bytes may be zeros, which no container shows."""
    backups.emulator.scripts[G263] = script(CUT_IN_ONE_RUN)
    assert (await backups.run("263")).failed == 1
    monkeypatch.setattr("archiver.archive.partial_file.this_boot", lambda: "another boot")
    seen = len(gets(backups))
    assert (await backups.run("263")).archived == 1
    assert ranges(backups)[seen:] == [None]
    assert_archived(backups)


@slow
async def test_the_partial_file_of_a_lost_generation_is_deleted(backups: Backups) -> None:
    """Nothing is kept of what is lost."""
    backups.emulator.scripts[G263] = script(CUT)
    assert (await backups.run("263")).failed == 1
    assert isinstance(backups.outcomes[0], Failed)
    assert any((backups.archive / ".archiver/incoming").rglob("*.part"))
    backups.emulator.scripts[G263] = Script(response="failed")
    assert (await backups.run("263")).failed == 1
    grow_hopeless(backups.archive)
    assert (await backups.run("263")).lost == 1
    assert not any((backups.archive / ".archiver/incoming").iterdir())


async def test_a_staged_payload_without_a_use_is_quarantined(backups: Backups) -> None:
    """The next response is about another video; the staged one may be the last copy."""
    forbidden = LinkScript(fault="forbidden")
    outputs = (OutputScript(size=SIZE), OutputScript(size=LARGE, primary=forbidden))
    backups.emulator.scripts[G263] = Script(outputs=outputs)
    assert (await backups.run("263")).failed == 1
    (staged,) = (path.read_bytes() for path in backups.archive.rglob("1of2-*.mp4"))
    url = LinkScript(url="http://{primary}/generations/v6.deepfake.1.1.mp4")
    backups.emulator.scripts[generation("1")] = Script()
    backups.emulator.scripts[G263] = Script(outputs=(OutputScript(primary=url),))
    assert (await backups.run("263")).archived == 1
    quarantined = (backups.archive / ".archiver/quarantine").rglob("1of2-*.mp4")
    assert [path.read_bytes() for path in quarantined] == [staged]
    assert_nothing_left(backups)


async def test_outputs_with_the_same_name_are_not_mixed_up(backups: Backups) -> None:
    """The next response lists them the other way round, when the first is already staged."""
    videos = {path: grown_clip(TOTAL, path).whole() for path in ("/x/out.mp4", "/y/out.mp4")}
    served = {path: (head("200 OK", f"Content-Length: {TOTAL}") + v,) for path, v in videos.items()}
    async with RawServer(served | {"/y/out.mp4": (head("403 x", "Content-Length: 0"),)}) as server:
        links = [f"http://{server.host}{path}" for path in videos]
        response = {"status": "success", "output": links}
        backups.emulator.scripts[G263] = Script(response=RawResponse(response))
        assert (await backups.run("263")).failed == 1
        server.paths = dict(served)
        backups.emulator.scripts[G263] = Script(
            response=RawResponse(response | {"output": links[::-1]})
        )
        assert (await backups.run("263")).archived == 1
    held = [backups.held()[f"data/v6/deepfake/263-{number}.mp4"] for number in (1, 2)]
    assert held == [videos["/y/out.mp4"], videos["/x/out.mp4"]]


async def test_a_stale_partial_file_is_deleted(backups: Backups) -> None:
    """A partial file that was not resumed for long is deleted."""
    backups.emulator.scripts[G263] = script(CUT)
    await backups.run("263")
    Staging(Layout(backups.archive), G263).tidy(stale_after=-1)
    assert not any((backups.archive / ".archiver/incoming").iterdir())


@slow
async def test_a_small_file_is_not_worth_resuming(backups: Backups) -> None:
    """Less than a quarter of a megabyte is downloaded again."""
    backups.emulator.scripts[G263] = script(CUT_ONCE, size=100_000)
    assert (await backups.run("263", download=ONE_RETRY)).archived == 1
    assert ranges(backups) == [None, None]


async def test_a_payload_beyond_the_maximum_size_is_rejected(backups: Backups) -> None:
    """`--max-size` limits what a link may send, with a Content-Length and without."""
    small = replace(ONE_RETRY, max_size=SIZE - 1)
    for length in ("given", "none", "chunked"):
        backups.emulator.scripts[G263] = script(LinkScript(length=length))
        report = await backups.run("263", download=small)
        assert "--max-size" in "".join(report.lines())
        assert backups.held() == {}


async def test_a_full_disk_is_noticed_before_a_download(backups: Backups) -> None:
    """Where the reserved space would be used, a run ends with status 74 before the download."""
    backups.emulator.scripts[G263] = script(LinkScript())
    report = await backups.run("263", download=replace(ONE_RETRY, min_free=10**18))
    assert (report.exit_status, report.skipped) == (74, 1)
    assert "--min-free" in "".join(report.lines())
    assert (await backups.run("263")).archived == 1


@slow
async def test_a_partial_file_that_has_grown_is_cut(backups: Backups) -> None:
    """What follows the bytes that were written, as after a kill, is none of the video."""
    backups.emulator.scripts[G263] = script(CUT_IN_ONE_RUN)
    assert (await backups.run("263")).failed == 1
    (part,) = (backups.archive / ".archiver/incoming").rglob("*.part")
    written = part.stat().st_size
    with part.open("ab") as file:
        file.write(b"\0" * (SIZE - written))
    seen = len(gets(backups))
    assert (await backups.run("263")).archived == 1
    (resumed,) = ranges(backups)[seen:]
    assert resumed == f"bytes={written}-"
    assert_archived(backups)


# --- Links that send nothing


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The directories that were made in the staging area."""
    names: list[str] = []
    plain = os.mkdir

    def mkdir(path: Path, *args: object, **kwargs: object) -> None:
        plain(path, *args, **kwargs)  # type: ignore[arg-type]
        if Path(path).parent.name == "incoming":
            names.append(Path(path).name)

    monkeypatch.setattr(os, "mkdir", mkdir)
    return names


@pytest.mark.parametrize(
    "fault",
    slow_except(
        ["dead", "forbidden", "gone", "error", "busy", "throttled", "refuse", "hang-up", "silent"],
        "dead",
        "error",
        "hang-up",
    ),
)
async def test_links_that_send_nothing_make_no_files(
    backups: Backups, made: list[str], fault: str
) -> None:
    """A generation whose links all fail without a byte never has a file."""
    link = LinkScript(fault=fault)  # type: ignore[arg-type]
    backups.emulator.scripts |= {
        G263: script(link, link),
        generation("264"): Script(outputs=(OutputScript(primary=link, proxy=link),) * 2),
        generation("265"): Script(),
    }
    report = await backups.run("263", "264", "265", silence=1 if fault == "silent" else PATIENT)
    assert (report.failed, report.archived) == (2, 1)
    assert made == ["v6~deepfake~265"]
    assert_nothing_left(backups)
    assert_true_bag(backups.archive)


@pytest.mark.parametrize("fault", ["html", "disguised", "json-error", "empty"])
async def test_links_that_send_no_video_leave_nothing(backups: Backups, fault: str) -> None:
    """Whatever a page or an empty body put on the disk is deleted."""
    link = LinkScript(fault=fault)  # type: ignore[arg-type]
    backups.emulator.scripts[G263] = script(link, link)
    assert (await backups.run("263")).failed == 1
    assert_nothing_left(backups)


@pytest.mark.parametrize("lines", [[], ['ETag: "one"', "Accept-Ranges: bytes"]])
async def test_a_head_without_a_body_leaves_nothing(backups: Backups, lines: list[str]) -> None:
    """Not even with a validator: there is nothing to resume."""
    head = "\r\n".join(["HTTP/1.1 200 OK", f"Content-Length: {SIZE}", *lines, "", ""]).encode()
    async with RawServer({"*": (head,)}) as server:
        document = {"status": "success", "output": [f"http://{server.host}/263.mp4"]}
        backups.emulator.scripts[G263] = Script(response=RawResponse(document))
        assert (await backups.run("263")).failed == 1
        assert len(server.heads) == 2
    assert "after 0 of" in "".join(str(outcome) for outcome in backups.outcomes)
    assert_nothing_left(backups)


@slow
async def test_a_partial_file_survives_a_run_without_a_byte(
    backups: Backups,
) -> None:
    """Links that fail without a byte leave the partial file of an earlier run as it was."""
    backups.emulator.scripts[G263] = script(CUT_IN_ONE_RUN)
    assert (await backups.run("263")).failed == 1
    left = incoming(backups)
    backups.emulator.scripts[G263] = script(LinkScript(fault="dead"))
    assert (await backups.run("263")).failed == 1
    assert incoming(backups) == left
    backups.emulator.scripts[G263] = script(LinkScript())
    backups.emulator.forget()
    assert (await backups.run("263")).archived == 1
    assert ranges(backups) == [f"bytes={left['part']}-"]
    assert_archived(backups)


@slow
@pytest.mark.parametrize("link", [LinkScript(), LinkScript(etag="none", last_modified=False)])
async def test_a_download_that_was_complete_when_the_run_ended_is_not_repeated(
    backups: Backups, monkeypatch: pytest.MonkeyPatch, link: LinkScript
) -> None:
    """A run that ends while the last block is flushed leaves a payload that the next one stages."""
    backups.emulator.scripts[G263] = script(link)
    flush = os.fsync

    def slowly(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().suffix == ".part":
            time.sleep(1)
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", slowly)
    report = await backups.run("263", max_time=0.4, timings=Timings(grace=0.2))
    assert (report.archived, report.skipped, len(gets(backups))) == (0, 1, 1)
    assert (await backups.run("263")).archived == 1
    assert len(gets(backups)) == 1
    assert_archived(backups)
