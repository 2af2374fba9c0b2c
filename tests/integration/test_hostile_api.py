"""Hostile and broken APIs, a table, and what a response may have in place of a link."""

import gzip
import json
import logging
import re
import zlib
from dataclasses import dataclass
from typing import Any

import pytest

from archiver.apikey import ApiKey
from archiver.outcomes import Failed
from archiver.pipeline.report import Report
from archiver.settings import ApiSettings
from tests.support.backups import KEY, Backups, quick_downloads
from tests.support.hostile import (
    BROKE,
    CLOSED,
    GARBAGE,
    HTML,
    LARGEST,
    LONGEST_TRY,
    NOT_HTTP,
    NOT_PYTHON,
    SILENT,
    SLACK,
    TRIES,
    VIDEO,
    assert_archived,
    assert_for_people,
    assert_no_trace,
    bounded,
    head,
    redirect,
    response,
    sized,
)
from tests.support.marks import slow_except
from tests.support.raw_server import Close, Endless, RawServer, Steps

pytestmark = pytest.mark.slow

FETCH = "/v6/deepfake/fetch/263"


@dataclass(frozen=True)
class ApiFault:
    """What a server in place of the API does, and how the run ends."""

    exit_status: int
    reason: str
    steps: Steps = ()
    blindly: Steps | None = None
    heavy: bool = False


def nested(depth: int, innermost: bytes = b"") -> bytes:
    """Return JSON in `depth` nested lists."""
    return b"[" * depth + innermost + b"]" * depth


DEEP = b'{"status":"success","id":263,"output":%s}'
HUGE = json.dumps({"status": "success", "id": 263, "output": [], "tip": "x" * (5 << 20)}).encode()

API_FAULTS = {
    "reset before the request is read": ApiFault(69, BROKE, blindly=(Close.RESET,)),
    "closed without a byte": ApiFault(69, CLOSED, ()),
    "silent until the timeout": ApiFault(69, SILENT, (Close.NEVER,)),
    "not HTTP": ApiFault(69, NOT_HTTP, (GARBAGE,)),
    "headers that never end": ApiFault(
        3, "head of the response is too large",
        (b"HTTP/1.1 200 OK\r\n", Endless(b"X: %s\r\n" % (b"x" * 999))),
        heavy=True,
    ),
    "headers that drip": ApiFault(
        69, "silent|too slow", (b"HTTP/1.1 200 OK\r\n", Endless(b"X-Drip: x\r\n", every=0.2))
    ),
    "a body that drips": ApiFault(
        69, "silent|too slow", (head(), b'{"status":', Endless(b" ", every=0.2))
    ),
    "a zip bomb": ApiFault(
        69,
        "more than 1,048,576 bytes",
        (sized(gzip.compress(bytes(200_000_000), 1), "Content-Encoding: gzip"),),
        heavy=True,
    ),
    "a zip bomb labelled deflate": ApiFault(
        69,
        "not JSON",
        (sized(zlib.compress(b"[" * 50_000_000, 1), "Content-Encoding: deflate"),),
        heavy=True,
    ),
    "JSON nested 100,000 deep": ApiFault(
        69, "not JSON|nested", (sized(nested(100_000)),), heavy=True
    ),
    "JSON nested 100,000 deep, unclosed": ApiFault(69, "not JSON|nested", (sized(b"[" * 100_000),)),
    "links nested 100,000 deep": ApiFault(
        69, "not JSON|nested", (sized(DEEP % nested(100_000, b'"http://a/"')),), heavy=True
    ),
    "links nested 900 deep": ApiFault(3, "nested", (sized(DEEP % nested(900, b'"http://a/"')),)),
    "objects nested 40 deep": ApiFault(
        0, "", (sized(DEEP % (b'{"a":' * 40 + b'"http://a/"' + b"}" * 40)),)
    ),
    "JSON of 5 MiB": ApiFault(69, "more than 1,048,576 bytes", (sized(HUGE),), heavy=True),
    "JSON that never ends": ApiFault(
        69,
        "more than 1,048,576 bytes",
        (head(), b'{"status":"success","output":[', Endless(b'"http://a/",' * 5000)),
        heavy=True,
    ),
    "JSON with a length of 4 exabytes": ApiFault(
        69, f"more than 1,048,576 bytes|{CLOSED}", (head(f"Content-Length: {1 << 62}"), b"{")
    ),
    "JSON that is cut": ApiFault(69, CLOSED, (head("Content-Length: 500"), b'{"status":"succ')),
    "a number of 100,000 digits": ApiFault(
        69, "not JSON", (sized(b'{"status":"processing","eta":%s}' % (b"9" * 100_000)),)
    ),
    "an eta of 1e999": ApiFault(0, "", (sized(b'{"status":"processing","eta":1e999}'),)),
    "JSON in UTF-16": ApiFault(
        0, "", (sized('{"status":"processing","id":263}'.encode("utf-16")),)
    ),
    "JSON that is not UTF-8": ApiFault(69, "not JSON", (sized(b'{"status":"\xff\xfe"}'),)),
    "ten thousand links": ApiFault(
        3,
        "10,000 links",
        (response(output=[f"http://127.0.0.1:9/{n}.mp4" for n in range(10_000)]),),
        heavy=True,
    ),
    "ten thousand proxy links": ApiFault(
        3,
        "10,000 links",
        (response(output=["http://127.0.0.1:9/"],
                proxy_links=[f"http://127.0.0.1:9/{n}.mp4" for n in range(10_000)]),),
    ),
    "a message of 900 kB": ApiFault(3, "x{50}", (sized(
        json.dumps({"status": "error", "message": "x" * 900_000}).encode()),)),
    "a message with control characters": ApiFault(3, "ModelsLab responded", (sized(
        json.dumps({"status": "error", "message": "Bad \x1b[2J\r\n\0\u202e \ud800"}).encode()),)),
    "a status that is a list": ApiFault(3, "unknown status", (sized(
        json.dumps({"status": ["success"] * 1000, "message": {"a": [None]}}).encode()),)),
    "a message of many parts": ApiFault(3, "ModelsLab responded", (sized(
        json.dumps({"status": "error", "message": {"a": [["x" * 500] * 20] * 20}}).encode()),)),
    "an ID of 100 kB": ApiFault(3, "is about generation", (response(id="\ud800" * 16_000),)),
    "a redirect": ApiFault(69, "", (redirect("/elsewhere", "307 Temporary Redirect"),)),
    "a status code of 999": ApiFault(69, "999", (sized(HTML, status="HTTP/1.1 999 \x07"),)),
}  # fmt: skip


QUICK = [
    "closed without a byte", "not HTTP", "JSON nested 100,000 deep, unclosed", "a redirect",
    "JSON in UTF-16", "a message with control characters",
]  # fmt: skip
"""Some faults that show quickly."""


def from_raw_api(server: RawServer) -> dict[str, Any]:
    """Return the settings of a run with a raw server in place of the API."""
    api = ApiSettings(ApiKey(KEY), f"http://{server.host}", rate=1000, timeout=1, retries=0)
    return {"api": api, "download": quick_downloads(max_size=LARGEST)}


@pytest.mark.parametrize("name", slow_except(API_FAULTS, *QUICK))
async def test_a_fault_of_the_api_is_reported_and_leaves_no_trace(
    backups: Backups, name: str
) -> None:
    """Whatever the API does, a run ends in bounded time and memory, with the reason."""
    fault = API_FAULTS[name]
    async with RawServer({"*": fault.steps}, blindly=fault.blindly) as server:
        with bounded(LONGEST_TRY + SLACK, memory=fault.heavy):
            report = await backups.run("263", **from_raw_api(server))
    assert report.exit_status == fault.exit_status
    _, *reasons = report.lines()
    assert bool(reasons) == bool(fault.exit_status)
    for line in reasons:
        assert line.isprintable()
        assert len(line) < 1000
        assert not NOT_PYTHON.search(line), line
    assert re.search(fault.reason, "".join(reasons))
    assert_no_trace(backups)


async def back_up_from_raw(backups: Backups, server: RawServer, reply: bytes) -> Report:
    """Back up one generation with a raw server as the API and as the link host."""
    server.paths |= {FETCH: (reply,)}
    with bounded(LONGEST_TRY + SLACK):
        return await backups.run("263", **from_raw_api(server))


@pytest.mark.parametrize(
    "link",
    [
        "http://{host}/a b.mp4",
        "  http://{host}/a.mp4\n",
        "http://{host}/vidéo/☃.mp4",
        "http://{host}/a.mp4?x=a b&y=é#frag ment",
        "http://{host}/%2e%2e/%zz/a%00.mp4",
        "http://{host}/../../../etc/passwd",
        "http://{host}//a//b.mp4?",
        "HTTP://{host}/A.MP4",
        "http://{host}",
        "http://{host}/" + "a" * 7000,
        "http://me:s3cret@{host}/a.mp4",
        "http://me%40home:s3cret%2F@{host}/a.mp4",
    ],
)
async def test_an_awkward_link_is_followed(backups: Backups, link: str) -> None:
    """Spaces, Unicode, dots, encodings and a user are no faults, and name no file."""
    async with RawServer({"*": (sized(VIDEO),)}) as server:
        report = await back_up_from_raw(
            backups, server, response(output=[link.format(host=server.host)])
        )
    assert report.exit_status == 0
    assert set(backups.held()) == {"data/v6/deepfake/263.mp4", "data/v6/deepfake/263.json"}
    assert_archived(backups, VIDEO)


@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)", "data:video/mp4;base64,AAAA", "ftp://{host}/a.mp4",
        "file:///etc/passwd", "ws://{host}/a.mp4", "http://", "http:///a.mp4", "https://:443/a.mp4",
        "http:a.mp4", "//{host}/a.mp4", "/a.mp4", "http://[::1", "http://[zz]/a.mp4",
        "http://{host}0000000/a.mp4", "http://127.0.0.1:-1/a.mp4", "http://127.0.0.1:1e3/a.mp4",
        "http://%00/a.mp4", "http://a\0b.invalid/", "http://a\r\nX-Injected: 1/a.mp4",
        "http://\ud800.invalid/a.mp4", "http://{host}/\ud800.mp4", "\ud800\udfff",
        "http://{bad}/\x1b[2J", "http://" + "a" * 100_000, "http://a..b.invalid/", "http://.../",
        "http://xn--/", "http://{host}@/", "{x}", "\u202e", "http://ex\u2044ample.invalid/",
    ],
)  # fmt: skip
async def test_an_invalid_link_is_a_fault_like_any_other(backups: Backups, link: str) -> None:
    """No host, another scheme, a lone surrogate: the generation fails, with the reason."""
    async with RawServer({"*": (sized(HTML, status="HTTP/1.1 404 Not Found"),)}) as server:
        url = link.replace("{host}", server.host)
        report = await back_up_from_raw(backups, server, response(output=[url]))
        assert not any("injected" in head.lower() for head in server.heads)
    assert (report.failed, report.exit_status) == (1, 3)
    (outcome,) = backups.outcomes
    assert isinstance(outcome, Failed)
    for fault in outcome.faults:
        assert_for_people(fault.reason)
        assert fault.link.isprintable()
        assert len(fault.link) <= 300
    assert_no_trace(backups)
    json.dumps(report.as_json(), ensure_ascii=False).encode()


async def test_a_repeated_link_is_requested_once(backups: Backups) -> None:
    """The same link again and again, as primary and as proxy, is one output with one link."""
    async with RawServer({"*": (sized(VIDEO),)}) as server:
        url = f"http://{server.host}/a.mp4"
        reply = response(output=[url] * 90, proxy_links=[url] * 5000)
        report = await back_up_from_raw(backups, server, reply)
    assert (report.archived, len(server.heads)) == (1, 2)
    assert_archived(backups, VIDEO)


async def test_many_links_are_no_more_than_a_hundred_requests(backups: Backups) -> None:
    """At most a hundred proxies of an output are tried, each at most twice in a run."""
    async with RawServer({"*": (sized(HTML, status="HTTP/1.1 502 Broken"),)}) as server:
        urls = [f"http://{server.host}/{number}.mp4" for number in range(100)]
        report = await back_up_from_raw(
            backups, server, response(output=urls[:1], proxy_links=urls)
        )
    assert report.exit_status == 3
    assert len(server.heads) == TRIES * (1 + 100)


@pytest.mark.parametrize(
    "link",
    [
        "http://me:s3cret@{host}/a.mp4",
        "http://me:s3cret@{host}/a.mp4?x=me:s3cret@b",
        "http://s3cret@{host}/a.mp4",
        "http://me:s3cret@nowhere.invalid/a.mp4",
        "http://me:s3cret@[::1/a.mp4",
        "http://me:s3cret/word@{host}/a.mp4",
        "http://me:s3cret?word@{host}/a.mp4",
        "http://me:s3cret#word@{host}/a.mp4",
        "ftp://me:s3cret@{host}/a.mp4",
        "me:s3cret@{host}/a.mp4",
        "//me:s3cret@{host}/a.mp4",
        "http:/me:s3cret@{host}/a.mp4",
        "http:\\\\me:s3cret@{host}/a.mp4",
    ],
)
async def test_the_password_in_a_link_is_not_shown(
    backups: Backups, caplog: pytest.LogCaptureFixture, link: str
) -> None:
    """However a link with a password is written, neither report nor log shows the password."""
    caplog.set_level(logging.DEBUG)
    async with RawServer({"*": (sized(HTML, status="HTTP/1.1 404 Not Found"),)}) as server:
        reply = response(output=[link.format(host=server.host)])
        report = await back_up_from_raw(backups, server, reply)
    shown = [*report.lines(), json.dumps(report.as_json()), repr(backups.outcomes), caplog.text]
    assert (report.failed, "s3cret" in "".join(shown)) == (1, False)


async def test_the_password_in_a_link_goes_only_to_its_host(backups: Backups) -> None:
    """A redirect does not take it to another host."""
    async with RawServer({"*": (sized(VIDEO),)}) as other, RawServer() as server:
        server.paths["/a.mp4"] = (redirect(f"http://{other.host}/b.mp4"),)
        report = await back_up_from_raw(
            backups, server, response(output=[f"http://me:s3cret@{server.host}/a.mp4"])
        )
    assert report.archived == 1
    assert "Authorization: Basic" in server.heads[-1]
    assert "Authorization" not in other.heads[0]
