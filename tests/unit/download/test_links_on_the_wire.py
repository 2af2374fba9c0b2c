"""Links as they are requested, byte for byte, and what comes back that is odd but of use."""

import asyncio
import logging
import re
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from archiver.archive.disk_space import DiskSpace
from archiver.archive.partial_file import PartialFile
from archiver.download import transfer
from archiver.download.downloader import Downloaded, Downloader, Unavailable
from archiver.download.transfer import Transfer
from archiver.emulator.clip import grown_clip
from archiver.http.retry import Backoff
from archiver.outputs import Link, Output
from archiver.progress import ByteProgress, Silent
from tests.support.backups import quick_downloads
from tests.support.http import head, sized
from tests.support.raw_server import Close, Pause, RawServer, Steps
from tests.support.videos import MP4

VIDEO = grown_clip(600_000, "wire").whole()
CUT = 300_000
OLD = "Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT"
DATE = "Date: Tue, 24 Nov 2026 00:00:00 GMT"
TAG = 'ETag: "x"'
SIGNED = "/a%2Fb%3Ac%40d%7E%27%2E%41%c3%a9/[x]|y;z='\\?s=%2f+%2B&t=[1]|2;'\\~"

Answer = Callable[[int | None], Steps]
"""What a server sends in response to a request for the bytes from a place on, or for all."""


class Ranges(RawServer):
    """Breaks off in the middle of the whole, once; what it then sends is what it is told."""

    def __init__(self, answer: Answer, *lines: str) -> None:
        super().__init__()
        self.asked: list[int | None] = []
        """The first byte that each request asks for."""
        self._answer = answer
        self._lines = lines

    async def _read_head(self, reader: asyncio.StreamReader) -> str:
        request = await super()._read_head(reader)
        found = re.search(r"Range: bytes=([0-9]+)-\r\n", request)
        start = int(found[1]) if found else None
        self.asked.append(start)
        whole = head(f"Content-Length: {len(VIDEO)}", *self._lines)
        cut: Steps = (whole + VIDEO[:CUT], Pause(0.6))
        self.paths["*"] = cut if len(self.asked) == 1 else self._answer(start)
        return request


def part(start: int, stop: int, *lines: str, total: object = len(VIDEO)) -> bytes:
    """Return a response with these bytes of the video."""
    span = f"Content-Range: bytes {start}-{stop - 1}/{total}"
    return sized(VIDEO[start:stop], span, *lines, status="206 Partial Content")


def whole(*lines: str) -> Steps:
    return (sized(VIDEO, *lines),)


class Counted:
    """Progress that counts bytes."""

    def __init__(self) -> None:
        self.to_come = self.come = 0

    def expected(self, count: int) -> None:
        """Count them."""
        self.to_come += count

    def received(self, count: int) -> None:
        """Count them."""
        self.come += count


async def fetch(
    session: aiohttp.ClientSession,
    root: Path,
    url: str,
    retries: int = 1,
    progress: ByteProgress | None = None,
) -> Downloaded | Unavailable:
    """Download a link into a new partial file."""
    settings = quick_downloads(retries=retries)
    space = DiskSpace(root, 0)
    downloader = Downloader(Transfer(session, settings, space, progress or Silent()), retries)
    downloader._backoff = Backoff(retries + 1, first=0, longest=0)
    partial = PartialFile(str(root / "v6~deepfake~263/1of1.part"), 128 << 10)
    return await downloader.fetch(Output((Link(url, "primary"),)), partial)


async def resumed(
    session: aiohttp.ClientSession, root: Path, server: Ranges, retries: int = 1
) -> list[int | None]:
    """Download the video from a server; return which byte each request began with."""
    async with server:
        downloaded = await fetch(session, root, f"http://{server.host}/a.mp4", retries)
    assert isinstance(downloaded, Downloaded), downloaded
    assert (root / "v6~deepfake~263/1of1.part").read_bytes() == VIDEO
    return server.asked


# --- Letters


@pytest.mark.parametrize("where", ["http://{host}", "//{host}", ""])
async def test_a_redirect_is_followed_to_the_letter(
    session: aiohttp.ClientSession, tmp_path: Path, where: str
) -> None:
    """What it leads to is signed as it is written; a link is requested in the same way."""
    async with RawServer({"*": (sized(MP4),)}) as server:
        location = f"Location: {where.format(host=server.host)}{SIGNED}"
        server.paths[SIGNED] = (sized(b"", location + "&2", status="302 Found"),)
        downloaded = await fetch(session, tmp_path, f"http://{server.host}{SIGNED}")
    assert isinstance(downloaded, Downloaded)
    assert [head.split(" ")[1] for head in server.heads] == [SIGNED, SIGNED + "&2"]


async def test_a_link_with_one_space_keeps_its_other_letters(
    session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """What cannot be sent is encoded, and nothing else."""
    async with RawServer({"*": (sized(MP4),)}) as server:
        await fetch(session, tmp_path, f"http://{server.host}/a b%2fé%7E|?x=%27[ü]#f")
    assert server.heads[0].startswith("GET /a%20b%2f%C3%A9%7E|?x=%27[%C3%BC] HTTP/1.1\r\n")


# --- Heads


@pytest.mark.parametrize(
    "lines",
    [
        [f"Content-Security-Policy: {'x' * 99_000}"],
        [f"Set-Cookie: {n}={'x' * 400}" for n in range(700)],
        [f"Content-Length: {len(MP4)}"],
    ],
)
async def test_an_odd_head_is_read(
    session: aiohttp.ClientSession, tmp_path: Path, lines: list[str]
) -> None:
    """A long line, hundreds of lines, or a second Content-Length that is the same."""
    async with RawServer({"*": (sized(MP4, *lines),)}) as server:
        downloaded = await fetch(session, tmp_path, f"http://{server.host}/a.mp4", retries=0)
    assert isinstance(downloaded, Downloaded), downloaded


async def test_a_head_without_end_is_a_fault_of_its_link(
    session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """By a message that says so."""
    async with RawServer({"*": (head(*(["X: y" * 1000] * 100)),)}) as server:
        result = await fetch(session, tmp_path, f"http://{server.host}/a.mp4", retries=0)
    assert isinstance(result, Unavailable)
    assert result.faults[0].reason == "the head of the response is too large"


# --- Resuming


@pytest.mark.parametrize("coding", ["", "identity", "aws-chunked", "binary", "utf-8", "UTF-8"])
async def test_a_coding_that_changes_no_byte_is_none(
    session: aiohttp.ClientSession, tmp_path: Path, coding: str
) -> None:
    """The rest of the file is the rest of the file."""
    lines = (TAG, f"Content-Encoding: {coding}")
    server = Ranges(lambda start: (part(start or 0, len(VIDEO), *lines),), *lines)
    assert await resumed(session, tmp_path, server) == [None, CUT]


async def test_another_coding_begins_anew(session: aiohttp.ClientSession, tmp_path: Path) -> None:
    """Under the same entity tag its bytes may be others."""

    def answer(start: int | None) -> Steps:
        return (part(start, len(VIDEO), TAG, "Content-Encoding: gzip"),) if start else whole()

    assert await resumed(session, tmp_path, Ranges(answer, TAG)) == [None, CUT, None]


async def test_a_date_beside_a_weak_entity_tag_resumes(
    session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """It is no condition of the request, and the response must repeat it."""
    lines = (OLD, DATE, 'ETag: W/"x"')
    server = Ranges(lambda start: (part(start or 0, len(VIDEO), *lines),), *lines)
    assert await resumed(session, tmp_path, server) == [None, CUT]
    assert "If-Range" not in server.heads[1]


@pytest.mark.parametrize(
    "lines",
    [
        (OLD, 'ETag: W/"y"'),
        ("Last-Modified: Tue, 02 Jan 2024 00:00:00 GMT", 'ETag: W/"x"'),
        ('ETag: W/"x"',),
    ],
)
async def test_a_file_that_may_have_changed_begins_anew(
    session: aiohttp.ClientSession, tmp_path: Path, lines: tuple[str, ...]
) -> None:
    """Where a date was no condition, date and tag are looked at."""

    def answer(start: int | None) -> Steps:
        return (part(start, len(VIDEO), *lines),) if start else whole()

    server = Ranges(answer, OLD, DATE, 'ETag: W/"x"')
    assert await resumed(session, tmp_path, server) == [None, CUT, None]


@pytest.mark.parametrize("total", [len(VIDEO), "*"])
async def test_the_rest_may_come_in_parts(
    session: aiohttp.ClientSession, tmp_path: Path, total: object
) -> None:
    """Each goes on where the last one stopped; nothing comes twice."""

    def answer(start: int | None) -> Steps:
        begin = start or 0
        return (part(begin, min(begin + 120_000, len(VIDEO)), TAG, total=total),)

    server = Ranges(answer, TAG)
    assert await resumed(session, tmp_path, server) == [None, CUT, CUT + 120_000, CUT + 240_000]


@pytest.mark.parametrize(
    ("end", "anew"),
    [
        (f"Content-Range: bytes */{len(VIDEO)}", False),
        (f"Content-Range: bytes */{len(VIDEO) + 1}", True),
        ("Content-Range: bytes */*", True),
        ("X: y", True),
    ],
)
async def test_where_no_length_was_given_the_server_says_that_it_is_all(
    session: aiohttp.ClientSession, tmp_path: Path, end: str, anew: bool
) -> None:
    """By the length beside the status 416; otherwise the whole is fetched."""
    cut = (head(TAG) + VIDEO[:CUT], Close.NEVER)

    class Unbounded(Ranges):
        async def _read_head(self, reader: asyncio.StreamReader) -> str:
            request = await super()._read_head(reader)
            if len(self.asked) == 1:
                self.paths["*"] = cut
            return request

    def answer(start: int | None) -> Steps:
        if start == len(VIDEO):
            return (sized(b"", end, status="416 Range Not Satisfiable"),)
        return (part(start, start + 150_000, TAG, total="*"),) if start else whole()

    server = Unbounded(answer)
    expected: list[int | None] = [None, CUT, CUT + 150_000, len(VIDEO)]
    asked = await resumed(session, tmp_path, server)
    assert asked == ([*expected, None] if anew else expected)


@pytest.mark.parametrize(
    "spoilt",
    [
        head(f"Content-Range: bytes {CUT}-{CUT + 9}/{len(VIDEO)}", TAG, status="206 x") + bytes(99),
        head(f"Content-Range: bytes {CUT}-{CUT + 9}/{len(VIDEO)}", TAG, status="206 x"),
        head(f"Content-Range: bytes {CUT}-{CUT + 9}/*", TAG, status="206 x"),
        sized(
            b"--x\r\nContent-Range: bytes 300000-599999/600000\r\n\r\n" + VIDEO[CUT:],
            "Content-Type: multipart/byteranges; boundary=x", TAG, status="206 x",
        ),
    ],
)  # fmt: skip
async def test_a_part_that_is_not_what_it_claims_begins_anew(
    session: aiohttp.ClientSession, tmp_path: Path, spoilt: bytes
) -> None:
    """More bytes than its range, none at all, or several ranges."""
    server = Ranges(lambda start: (spoilt,) if start else whole(), TAG)
    assert await resumed(session, tmp_path, server) == [None, CUT, None]


async def test_parts_without_end_are_left_to_the_next_try(
    session: aiohttp.ClientSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on from there."""
    monkeypatch.setattr(transfer, "_PARTS", 20)

    def answer(start: int | None) -> Steps:
        begin = start or 0
        return (part(begin, begin + 1 if begin < CUT + 20 else len(VIDEO), TAG),)

    server = Ranges(answer, TAG)
    async with server:
        result = await fetch(session, tmp_path, f"http://{server.host}/a.mp4")
    assert isinstance(result, Unavailable)
    assert result.faults[0].reason == "it comes in too many parts"
    assert server.asked == [None, *range(CUT, CUT + 20)]
    other = tmp_path / "other"
    other.mkdir()
    asked = await resumed(session, other, Ranges(answer, TAG), retries=2)
    assert asked == [None, *range(CUT, CUT + 21)]


async def test_progress_counts_each_part_once(
    session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """What one has not brought is left to the next."""
    counted = Counted()

    def answer(start: int | None) -> Steps:
        begin = start or 0
        return (part(begin, min(begin + 120_000, len(VIDEO)), TAG),)

    async with Ranges(answer, TAG) as server:
        await fetch(session, tmp_path, f"http://{server.host}/a.mp4", progress=counted)
    assert counted.to_come == counted.come == len(VIDEO) - CUT


@pytest.mark.parametrize(
    ("lines", "status", "why"),
    [
        ((), "200 OK", "its host gave no strong validator"),
        ((TAG,), "200 OK", "its host sends the whole file"),
        ((TAG,), "416 x", "HTTP 416 does not go on with it"),
    ],
)
async def test_what_is_not_resumed_is_logged(  # noqa: PLR0917
    session: aiohttp.ClientSession,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    lines: tuple[str, ...],
    status: str,
    why: str,
) -> None:
    """One line names the generation, and says why."""
    server = Ranges(lambda start: (sized(VIDEO, status=status if start else "200 OK"),), *lines)
    with caplog.at_level(logging.INFO, "archiver"):
        await resumed(session, tmp_path, server)
    assert caplog.messages == [f"v6/deepfake/263: 1of1.part is not resumed: {why}"]
