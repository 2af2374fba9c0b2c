"""Hostile servers: replies byte by byte, and what must hold whatever they send."""

import json
import re
import ssl
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from archiver.emulator.scripts import LinkScript, OutputScript, Script
from archiver.outcomes import Failed, Outcome
from archiver.pipeline.report import Report
from tests.support.backups import Backups, assert_true_bag, generation, quick_downloads

VIDEOS = Path(__file__).parents[1] / "videos"
VIDEO = (VIDEOS / "faststart.mp4").read_bytes()
G263 = generation("263")

LARGEST = 20_000_000
"""The `--max-size` of all these tests."""
MEMORY = 64 << 20
TRIES = 2
"""A run asks once for fresh links, and tries those too."""
LONGEST_TRY = 2.0
"""A head may take twice the timeout of a second; no body takes as long."""
SLACK = 10.0
"""For a busy machine."""

OK = "HTTP/1.1 200 OK"
HTML = b"<!DOCTYPE html><html><body><h1>Just a moment...</h1></body></html>"
GARBAGE = bytes(range(256)) * 16
NOT_PYTHON = re.compile(
    r"(?:Error|Exception|Exceeded|Redirects)\b|Traceback|\bErrno\b|\bNone\b|\bobject at\b"
    r"|\bb['\"]|\(['\"]|<[A-Za-z_.]+ |aiohttp|asyncio|yarl|\(\)|__"
)
"""Words of a program, which no message for people has."""

CLOSED = "closed early"
NOT_HTTP = "not HTTP"
SILENT = r"silent for (1|0\.5) s"
BROKE = "the connection broke|closed early"

PUBLIC_ONLY = quick_downloads(allow_private=False)
"""Settings that allow links to public addresses only."""


def head(*lines: str, status: str = OK) -> bytes:
    """Return the head of a response, in Latin-1."""
    return "\r\n".join([status, *lines, "", ""]).encode("latin-1")


def sized(body: bytes, *lines: str, status: str = OK) -> bytes:
    """Return a response with a Content-Length."""
    return head(f"Content-Length: {len(body)}", *lines, status=status) + body


def chunk(data: bytes, extension: bytes = b"") -> bytes:
    """Return a chunk (RFC 9112, 7.1)."""
    return b"%x%s\r\n%s\r\n" % (len(data), extension, data)


def response(**fields: object) -> bytes:
    """Return the API's response for a generation that is ready."""
    document = {"status": "success", "id": 263} | fields
    return sized(json.dumps(document).encode(), "Content-Type: application/json")


def redirect(location: str | None, status: str = "302 Found") -> bytes:
    """Return a redirect, without a target if there is no `location`."""
    to = () if location is None else (f"Location: {location}",)
    return sized(b"", *to, status=f"HTTP/1.1 {status}")


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate for 127.0.0.1."""

    path: Path

    def context(self) -> ssl.SSLContext:
        """Return the TLS context of a server with this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path)
        return context


@contextmanager
def bounded(seconds: float, *, memory: bool = False) -> Iterator[None]:
    """Check that a block takes no longer, and no more than 64 MiB if `memory` is measured."""
    if memory:
        seconds *= 3  # tracing every allocation takes its time
        tracemalloc.start()
    started = time.monotonic()
    try:
        yield
        spent = time.monotonic() - started
        peak = tracemalloc.get_traced_memory()[1] if memory else 0
    finally:
        tracemalloc.stop()
    assert spent < seconds
    assert peak < MEMORY


def assert_for_people(text: str) -> None:
    """A message is a short printable line in plain words."""
    assert text.isprintable()
    assert 2 < len(text) < 300, len(text)
    assert not NOT_PYTHON.search(text), text


def assert_no_trace(backups: Backups, *, kept: bool = False) -> None:
    """Nothing is under `data/`, and only what a later run can resume is in the staging area."""
    assert backups.held() == {}
    left = [p for p in (backups.archive / ".archiver/incoming").rglob("*") if p.is_file()]
    endings = {"".join(path.suffixes[-2:]) for path in left}
    assert endings == ({".part", ".part.json"} if kept else set())
    assert_true_bag(backups.archive)


def assert_archived(backups: Backups, video: bytes) -> None:
    """The video is in its place, and the bag is true."""
    assert backups.held()["data/v6/deepfake/263.mp4"] == video
    assert_true_bag(backups.archive)


def linked(url: str, proxy: LinkScript | None = None) -> Script:
    """Return the script of a generation whose primary link is `url`."""
    return Script(outputs=(OutputScript(primary=LinkScript(url=url), proxy=proxy),))


async def back_up_from(
    backups: Backups, url: str, proxy: LinkScript | None = None, **changes: object
) -> tuple[Report, Outcome]:
    """Back up one generation with this primary link; return the report and the outcome."""
    backups.emulator.scripts[G263] = linked(url, proxy)
    download = quick_downloads(max_size=LARGEST, **{"timeout": 1.0, **changes})
    report = await backups.run("263", download=download)
    (outcome,) = backups.outcomes
    return report, outcome


def assert_refused(report: Report, outcomes: list[Outcome]) -> None:
    """The generation failed because its links are private; the message names the option."""
    (outcome,) = outcomes
    assert isinstance(outcome, Failed)
    assert outcome.faults
    for fault in outcome.faults:
        assert "--allow-private-links" in fault.reason, fault.reason
        assert_for_people(fault.reason)
    assert report.exit_status == 3
