"""One output, from the first of its links that gives it whole; one value for each that does not."""

import asyncio
import re
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import pytest

from archiver.apikey import REDACTED
from archiver.archive.disk_space import DiskSpace
from archiver.archive.partial_file import PartialFile
from archiver.download.downloader import Downloaded, Downloader, Unavailable
from archiver.download.transfer import Transfer
from archiver.emulator.clip import grown_clip
from archiver.errors import StorageError
from archiver.http.retry import Backoff
from archiver.outcomes import LinkFault
from archiver.outputs import Link, Output
from archiver.progress import ByteProgress, Silent
from tests.support.backups import quick_downloads
from tests.support.disk import IO_ERROR, DiskLog, everything, names
from tests.support.http import chunked, head, sized
from tests.support.marks import slow
from tests.support.raw_server import Close, Pause, RawServer, Steps, closed_port
from tests.support.videos import HTML, MP4, OPEN_ENDED, OTHER_MP4, sha256

LARGE = grown_clip(600_000, "downloader").whole()
SPOOL = 128 << 10
TAG = 'ETag: "x"'
HALF = len(MP4) // 2


@dataclass
class Counted:
    """Progress that counts bytes."""

    to_come: int = 0
    come: int = 0

    def expected(self, count: int) -> None:
        """Count them."""
        self.to_come += count

    def received(self, count: int) -> None:
        """Count them."""
        self.come += count


@dataclass
class Downloads:
    """A downloader that makes no pauses, and the partial file that it downloads into."""

    session: aiohttp.ClientSession
    root: Path

    @property
    def directory(self) -> Path:
        """The generation's directory, which is not there before."""
        return self.root / "v6~deepfake~263"

    @property
    def path(self) -> Path:
        """The partial file."""
        return self.directory / "1of1.part"

    def partial(self, spool: int = SPOOL) -> PartialFile:
        """Return a new partial file."""
        return PartialFile(str(self.path), spool)

    def downloader(
        self, progress: ByteProgress | None = None, reserve: int = 0, **changes: object
    ) -> Downloader:
        """Return a downloader with these settings."""
        settings = quick_downloads(**changes)
        space = DiskSpace(self.root, reserve)
        transfer = Transfer(self.session, settings, space, progress or Silent())
        downloader = Downloader(transfer, settings.retries)
        downloader._backoff = Backoff(settings.retries + 1, first=0, longest=0)
        return downloader

    async def fetch(self, *urls: str, **changes: object) -> Downloaded | Unavailable:
        """Download an output with these links, into a new partial file."""
        return await self.downloader(**changes).fetch(output(*urls), self.partial())  # type: ignore[arg-type]


@pytest.fixture
def downloads(session: aiohttp.ClientSession, tmp_path: Path) -> Downloads:
    return Downloads(session, tmp_path)


def output(primary: str, *proxies: str) -> Output:
    return Output((Link(primary, "primary"), *(Link(url, "proxy") for url in proxies)))


def content(downloaded: Downloaded | Unavailable, path: Path) -> bytes:
    """Return the bytes of a payload, wherever they are."""
    assert isinstance(downloaded, Downloaded), downloaded
    payload = downloaded.payload
    data = path.read_bytes() if payload.content is None else payload.content
    assert (payload.sha256, payload.size) == (sha256(data), len(data))
    return data


# --- A payload


async def test_a_small_payload_touches_no_disk(
    downloads: Downloads, disk: DiskLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays in memory, whole, and takes neither a thread nor a look at the free space."""
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "run_in_executor", IO_ERROR)
    downloads.root = downloads.root / "gone"
    async with RawServer({"*": (sized(MP4),)}) as server:
        downloaded = await downloads.fetch(f"http://{server.host}/a.mp4")
    assert isinstance(downloaded, Downloaded)
    assert downloaded.payload.content == MP4
    assert content(downloaded, downloads.path) == MP4
    assert downloaded.payload.media.extension == "mp4"
    assert disk.steps == []


async def test_a_large_payload_is_on_the_disk_and_flushed(
    downloads: Downloads, disk: DiskLog
) -> None:
    """In the partial file, which is opened once."""
    async with RawServer({"*": (sized(LARGE),)}) as server:
        downloaded = await downloads.fetch(f"http://{server.host}/a.mp4")
    assert disk.steps == [
        f"mkdir {downloads.directory}", "open 1of1.part wb", f"fsync 1of1.part of {len(LARGE)}"
    ]  # fmt: skip
    assert isinstance(downloaded, Downloaded)
    assert downloaded.payload.content is None
    assert content(downloaded, downloads.path) == LARGE


@pytest.mark.parametrize("response", [sized(LARGE), head() + LARGE, chunked(LARGE)])
async def test_the_length_need_not_be_announced(downloads: Downloads, response: bytes) -> None:
    """The structure of the video shows that it is whole."""
    async with RawServer({"*": (response,)}) as server:
        downloaded = await downloads.fetch(f"http://{server.host}/a.mp4")
    assert content(downloaded, downloads.path) == LARGE


async def test_one_of_several_outputs_is_on_the_disk(downloads: Downloads) -> None:
    """However small it is: it outlives a crash that the others do not."""
    async with RawServer({"*": (sized(MP4),)}) as server:
        downloaded = await downloads.downloader().fetch(
            output(f"http://{server.host}/a.mp4"), downloads.partial(spool=0)
        )
    assert isinstance(downloaded, Downloaded)
    assert downloaded.payload.content is None
    assert downloads.path.read_bytes() == MP4


async def test_the_link_that_served_is_named_without_its_signature(downloads: Downloads) -> None:
    """Nor with a password."""
    async with RawServer({"*": (sized(MP4),)}) as server:
        downloaded = await downloads.fetch(f"http://me:pw@{server.host}/a.mp4?signature=s3cret#x")
    assert isinstance(downloaded, Downloaded)
    assert downloaded.served_by == f"primary http://{server.host}/a.mp4"
    assert downloaded.faults == ()


async def test_the_request_is_a_plain_one(downloads: Downloads) -> None:
    """The link to the letter, nothing compressed, and no range where there is nothing yet."""
    async with RawServer({"*": (sized(MP4),)}) as server:
        await downloads.fetch(f"http://{server.host}/a%2fb.mp4?X=%7E+%20")
    (request,) = server.heads
    assert request.startswith("GET /a%2fb.mp4?X=%7E+%20 HTTP/1.1\r\n")
    assert "Accept-Encoding: identity\r\n" in request
    assert "Range:" not in request


# --- A link that fails


def status(line: str, *lines: str) -> Steps:
    return (sized(HTML, *lines, status=line),)


FAULTS: dict[str, tuple[Steps, LinkFault]] = {
    name: (steps, LinkFault("primary", "", reason, **details))
    for name, (steps, reason, details) in {
        "no longer there": (status("404 Not Found"), "404 Not Found", {"status": 404}),
        "gone": (status("410 Gone"), "410 Gone", {"status": 410}),
        "forbidden": (status("403 Forbidden"), "403 Forbidden", {"status": 403}),
        "without a phrase": (status("418"), "418", {"status": 418}),
        "an odd phrase": (status("404 a\x1bb\x7f"), "404 a\ufffdb\ufffd", {"status": 404}),
        "no content": ((head(status="204 No Content"),), "204 No Content", {"status": 204}),
        "an unasked-for range": (
            (sized(MP4, "Content-Range: bytes 0-2081/2083", status="206 x"),),
            "206 x", {"status": 206},
        ),
        **{
            f"{code}": (status(f"{code} x"), f"{code} x", {"status": code, "transient": True})
            for code in (408, 425, 500, 502, 504, 507, 509, *range(520, 525), 530, 598)
        },
        **{f"{code}": (status(f"{code} x"), f"{code} x", {"status": code}) for code in (400, 501)},
        "throttled": (status("429 x"), "429 x", {"status": 429, "pause": 1.0}),
        "throttled with a hint": (
            status("429 x", "Retry-After: 7"), "429 x", {"status": 429, "pause": 7.0},
        ),
        "busy for a day": (
            status("503 x", "Retry-After: 86400"), "503 x", {"status": 503, "pause": 60.0},
        ),
        "a page": ((sized(HTML),), "not a video but an HTML page", {}),
        "JSON": ((sized(b'{"status": "error"}'),), "not a video but a JSON document", {}),
        "empty": ((sized(b""),), "empty: no bytes at all", {}),
        "no length and no end": (
            (head() + OPEN_ENDED,), "its length is unknown, and a .webm of this kind", {},
        ),
        "cut": (
            (head(f"Content-Length: {len(MP4)}") + MP4[:HALF],),
            f"the connection was closed early after {HALF:,} of {len(MP4):,} bytes",
            {"transient": True},
        ),
        "cut in a chunk": (
            (head("Transfer-Encoding: chunked") + b"800\r\n" + MP4[:HALF],),
            "the connection was closed early", {"transient": True},
        ),
        "reset": (
            (head(f"Content-Length: {len(MP4)}") + MP4[:HALF], Pause(0.1), Close.RESET),
            "the connection ", {"transient": True},
        ),
        "stalled": (
            (head(f"Content-Length: {len(MP4)}") + MP4[:HALF], Close.NEVER),
            "too slow: silent for 0.3 s, or no whole response in twice that after 1,041 of 2,082",
            {"transient": True},
        ),
        "silent": (
            (Close.NEVER,), "too slow: silent for 0.3 s, or no whole response in twice that", {},
        ),
        "closed": ((), "the connection was closed early", {"transient": True}),
        "not HTTP": (
            (b"220 ftp.example ready\r\n",), "the response is not HTTP", {"transient": True},
        ),
        "too large": (
            (head("Content-Length: 10000001"),), "10.0 MB, more than --max-size allows", {},
        ),
        "a circle": (
            (sized(b"", "Location: /a.mp4", status="302 Found"),), "too many redirects", {},
        ),
        "another scheme": (
            (sized(b"", "Location: ftp://a.example/", status="302 Found"),),
            "it leads to something that is not an http(s) link", {},
        ),
    }.items()
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
async def test_each_link_that_fails_is_one_value(downloads: Downloads, name: str) -> None:
    """Its role, the link without its query, the reason, and what follows from it."""
    steps, expected = FAULTS[name]
    async with RawServer({"*": steps}) as server:
        timeout = 0.3 if "0.3 s" in expected.reason else 1
        async with asyncio.timeout(20):
            result = await downloads.fetch(
                f"http://{server.host}/a.mp4?signature=s3cret",
                timeout=timeout,
                max_size=10_000_000,
            )
    assert isinstance(result, Unavailable)
    (fault,) = result.faults
    assert fault.reason.startswith(expected.reason)
    assert fault.pause == (None if expected.pause is None else pytest.approx(expected.pause, 0.1))
    assert fault == replace(
        expected, link=f"http://{server.host}/a.mp4", reason=fault.reason, pause=fault.pause
    )
    assert everything(downloads.root) == {}


@pytest.mark.parametrize(
    ("url", "shown", "reason"),
    [
        ("ftp://a.example/x?y", "ftp://a.example/x", "not an http(s) link"),
        ("//a.example/x", "//a.example/x", "not an http(s) link"),
        ("x.mp4", "x.mp4", "not an http(s) link"),
        ("", "", "not an http(s) link"),
        ("http://", "http://", "not an http(s) link"),
        ("http://[a/x", "http://[a/x", "not a link"),
        (f"http://a.example/?key={REDACTED}", "http://a.example/",
         "not followed: the link contains the API key"),
    ],
)  # fmt: skip
async def test_a_link_that_leads_nowhere_is_one_value(
    downloads: Downloads, url: str, shown: str, reason: str
) -> None:
    """Nothing is requested, and another try would not help."""
    result = await downloads.fetch(url, retries=3)
    assert result == Unavailable((LinkFault("primary", shown, reason),))


async def test_a_host_that_refuses_connections_may_be_back(downloads: Downloads) -> None:
    """Another try may succeed."""
    host = f"127.0.0.1:{closed_port()}"
    result = await downloads.fetch(f"http://{host}/a.mp4")
    reason = "no connection (Connection refused)"
    assert result == Unavailable(
        (LinkFault("primary", f"http://{host}/a.mp4", reason, transient=True),)
    )


async def test_every_link_that_fails_has_its_value_in_its_order(downloads: Downloads) -> None:
    """Also where one serves in the end; those after it are not tried."""
    paths: dict[str, Steps] = {
        "/1": status("404 x"), "/2": (sized(HTML),), "/3": (sized(MP4),), "/4": (sized(MP4),)
    }  # fmt: skip
    async with RawServer(paths) as server:
        links = [f"http://{server.host}/{number}" for number in (1, 2, 3, 4)]
        downloaded = await downloads.fetch(*links)
    assert content(downloaded, downloads.path) == MP4
    assert isinstance(downloaded, Downloaded)
    assert downloaded.served_by == f"proxy {links[2]}"
    assert [(fault.role, fault.link, fault.status) for fault in downloaded.faults] == [
        ("primary", links[0], 404), ("proxy", links[1], 0),
    ]  # fmt: skip
    assert len(server.heads) == 3


# --- Another try


class Changing(RawServer):
    """Responds to each request with the next of its responses; the last is for all that follow."""

    def __init__(self, *responses: Steps) -> None:
        super().__init__()
        self.responses = responses

    async def _read_head(self, reader: asyncio.StreamReader) -> str:
        request = await super()._read_head(reader)
        self.paths["*"] = self.responses[min(len(self.heads), len(self.responses)) - 1]
        return request


async def test_a_transient_fault_is_tried_again_on_the_same_link(downloads: Downloads) -> None:
    """One that passes is no fault of the link."""
    async with Changing(status("500 x"), status("504 x"), (sized(MP4),)) as server:
        downloaded = await downloads.fetch(f"http://{server.host}/a.mp4", retries=2)
    assert content(downloaded, downloads.path) == MP4
    assert isinstance(downloaded, Downloaded)
    assert downloaded.faults == ()
    assert len(server.heads) == 3


@pytest.mark.parametrize("retries", [0, 1, 3])
async def test_a_transient_fault_is_tried_again_so_often_and_no_more(
    downloads: Downloads, retries: int
) -> None:
    """Then the fault of the last try is the link's."""
    async with Changing(*[status("500 x")] * retries, status("502 x")) as server:
        result = await downloads.fetch(f"http://{server.host}/a.mp4", retries=retries)
    assert isinstance(result, Unavailable)
    assert [fault.status for fault in result.faults] == [502]
    assert len(server.heads) == retries + 1


@pytest.mark.parametrize(
    "steps", [status("404 x"), status("429 x"), status("503 x"), (sized(HTML),), (sized(MP4[:-1]),)]
)
async def test_what_is_not_transient_is_not_tried_again(downloads: Downloads, steps: Steps) -> None:
    """A file that is not there, or is no whole video, is the same a moment later."""
    async with RawServer({"*": steps}) as server:
        result = await downloads.fetch(f"http://{server.host}/a.mp4", retries=3)
    assert isinstance(result, Unavailable)
    assert len(server.heads) == 1


# --- A host that throttles


async def test_a_host_that_throttles_gets_no_other_request(downloads: Downloads) -> None:
    """Its other links are faults without one; a link on another host serves at once."""
    slow = status("429 Slow")
    async with RawServer({"*": slow}) as busy, RawServer({"*": (sized(MP4),)}) as idle:
        links = f"http://{busy.host}/1", f"http://{busy.host}/2", f"http://{idle.host}/3"
        downloaded = await downloads.fetch(*links)
    assert content(downloaded, downloads.path) == MP4
    assert isinstance(downloaded, Downloaded)
    refused, paused = downloaded.faults
    assert (refused.status, refused.reason) == (429, "429 Slow")
    assert (paused.status, paused.transient) == (0, False)
    assert paused.reason == "not tried: its host asked for a pause (429 Slow), which ends in 1 s"
    assert paused.pause == pytest.approx(1, abs=0.5)
    assert len(busy.heads) == 1


async def test_other_outputs_leave_a_host_alone_too(downloads: Downloads) -> None:
    """It was another output that it refused: this one may be tried when the pause is over."""
    async with RawServer({"*": status("503 Slow", "Retry-After: 20")}) as busy:
        downloader = downloads.downloader()
        first = await downloader.fetch(output(f"http://{busy.host}/1"), downloads.partial())
        second = await downloader.fetch(output(f"http://{busy.host}/2"), downloads.partial())
    assert isinstance(first, Unavailable)
    assert isinstance(second, Unavailable)
    assert (first.refused, second.refused) == (True, False)
    assert first.pause == pytest.approx(20, abs=1)
    assert second.pause == pytest.approx(20, abs=1)
    assert len(busy.heads) == 1


def fault(status: int = 0, pause: float | None = None) -> LinkFault:
    return LinkFault("primary", "http://a.example/", "x", status=status, pause=pause)


@pytest.mark.parametrize(
    ("faults", "pause", "refused"),
    [
        ((), None, False),
        ((fault(404), fault()), None, False),
        ((fault(429, 7),), 7, True),
        ((fault(0, 7),), 7, False),
        ((fault(404), fault(0, 7)), 7, False),
        ((fault(503, 7), fault(429, 3), fault(404)), 3, True),
        ((fault(429, 0.0),), 0.0, True),
    ],
)
def test_an_output_is_available_again_when_the_first_pause_is_over(
    faults: tuple[LinkFault, ...], pause: float | None, refused: bool
) -> None:
    """If any host has asked for one; refused is what was requested, and not just left alone."""
    unavailable = Unavailable(faults)
    assert (unavailable.pause, unavailable.refused) == (pause, refused)


# --- Resuming


STALL = 0.5
"""In seconds: so long may a connection be silent where responses stall."""


def cut(*lines: str) -> Steps:
    """A response that stalls in the middle of the large video."""
    return (head(f"Content-Length: {len(LARGE)}", *lines) + LARGE[:300_000], Close.NEVER)


def rest(request: str, *lines: str) -> Steps:
    """A response to a request for the rest of the large video."""
    start = int(request.partition("Range: bytes=")[2].partition("-")[0])
    span = f"Content-Range: bytes {start}-{len(LARGE) - 1}/{len(LARGE)}"
    return (sized(LARGE[start:], span, *lines, status="206 Partial Content"),)


class Resumable(RawServer):
    """Stalls in the middle of its first responses, and responds to ranges after that."""

    def __init__(self, stalls: int) -> None:
        super().__init__()
        self._stalls = stalls

    async def _read_head(self, reader: asyncio.StreamReader) -> str:
        request = await super()._read_head(reader)
        if len(self.heads) <= self._stalls:
            self.paths["*"] = cut(TAG)
        else:
            self.paths["*"] = rest(request, TAG) if "Range:" in request else (sized(LARGE, TAG),)
        return request


async def test_another_try_goes_on_where_the_last_one_stopped(downloads: Downloads) -> None:
    """On condition that it is the same file; nothing of it is requested twice."""
    async with Resumable(1) as server:
        downloaded = await downloads.fetch(f"http://{server.host}/a.mp4", retries=1, timeout=STALL)
    assert content(downloaded, downloads.path) == LARGE
    first, second = server.heads
    assert "Range:" not in first
    assert "Range: bytes=300000-\r\n" in second
    assert 'If-Range: "x"\r\n' in second


@slow
async def test_another_link_goes_on_where_the_last_one_stopped(downloads: Downloads) -> None:
    """On another host, under the same entity tag."""
    async with RawServer({"*": cut(TAG)}) as broken, Resumable(0) as server:
        downloaded = await downloads.fetch(
            f"http://{broken.host}/a.mp4", f"http://{server.host}/b.mp4", timeout=STALL
        )
    assert content(downloaded, downloads.path) == LARGE
    assert "Range: bytes=300000-\r\n" in server.heads[0]


@slow
async def test_another_run_goes_on_where_the_last_one_stopped(downloads: Downloads) -> None:
    """What has come is suspended on the disk with its origin."""
    async with Resumable(1) as server:
        result = await downloads.fetch(f"http://{server.host}/a.mp4", timeout=STALL)
        assert isinstance(result, Unavailable)
        assert names(downloads.directory) == ["1of1.part", "1of1.part.json"]
        assert downloads.path.read_bytes() == LARGE[:300_000]
        partial = PartialFile.resume(str(downloads.path))
        downloaded = await downloads.downloader().fetch(
            output(f"http://{server.host}/a.mp4"), partial
        )
    assert content(downloaded, downloads.path) == LARGE


@slow
@pytest.mark.parametrize(
    "response",
    [
        status("416 Range Not Satisfiable"),
        (sized(LARGE[300_000:], f"Content-Range: bytes 300000-{len(LARGE) - 1}/{len(LARGE)}",
               'ETag: "y"', status="206 x"),),
        (sized(LARGE[300_000:], TAG, status="206 x"),),
    ],
)  # fmt: skip
async def test_what_is_not_the_rest_is_followed_by_one_request_for_the_whole(
    downloads: Downloads, response: Steps
) -> None:
    """Nothing is spliced."""
    async with Changing(cut(TAG), response, (sized(LARGE, TAG),)) as server:
        downloaded = await downloads.fetch(f"http://{server.host}/a.mp4", retries=1, timeout=STALL)
    assert content(downloaded, downloads.path) == LARGE
    assert len(server.heads) == 3
    assert "Range:" not in server.heads[2]


@slow
async def test_a_spoilt_file_is_fetched_anew_once(downloads: Downloads) -> None:
    """What has become no whole video by a rest that seemed to fit is not resumed for ever."""
    span = f"Content-Range: bytes 1500-{len(OTHER_MP4) - 1}/{len(OTHER_MP4)}"
    spoilt = sized(bytes(len(OTHER_MP4) - 1500), span, TAG, status="206 x")
    begun = head(TAG) + OTHER_MP4[:1500], Close.NEVER
    async with Changing(begun, (spoilt,), (sized(OTHER_MP4),)) as server:
        downloaded = await downloads.fetch(f"http://{server.host}/a.mp4", retries=1, timeout=STALL)
        assert content(downloaded, downloads.path) == OTHER_MP4
        assert ["Range:" in head for head in server.heads] == [False, True, False]
        server.heads.clear()
        server.responses = (begun, (spoilt,), (sized(HTML),))
        result = await downloads.fetch(f"http://{server.host}/a.mp4", retries=1, timeout=STALL)
        assert isinstance(result, Unavailable)
        assert len(server.heads) == 3
    assert everything(downloads.root) == {}


@slow
async def test_without_a_validator_the_next_try_begins_anew(downloads: Downloads) -> None:
    """And nothing is left for the next run."""
    async with Changing(cut(), (sized(LARGE),)) as server:
        downloaded = await downloads.fetch(f"http://{server.host}/a.mp4", retries=1, timeout=STALL)
        assert content(downloaded, downloads.path) == LARGE
        assert "Range:" not in server.heads[1]
        downloads.path.unlink()
        server.responses = (cut(),)
        result = await downloads.fetch(f"http://{server.host}/a.mp4", timeout=STALL)
        assert isinstance(result, Unavailable)
    assert names(downloads.directory) == []


async def test_a_response_without_a_body_leaves_no_trace(
    downloads: Downloads, disk: DiskLog
) -> None:
    """Not even briefly, whatever its head promises."""
    promising = head(f"Content-Length: {len(LARGE)}", TAG)
    async with RawServer({"*": (promising,)}) as server:
        result = await downloads.fetch(f"http://{server.host}/a.mp4", retries=2)
    assert isinstance(result, Unavailable)
    assert len(server.heads) == 3
    assert [step for step in disk.steps if step != "open boot_id r"] == []


class Reached(Counted):
    """Progress that reports when so much has come."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.reached = asyncio.Event()
        self._count = count

    def received(self, count: int) -> None:
        """Count them."""
        super().received(count)
        if self.come >= self._count:
            self.reached.set()


async def test_what_came_before_a_cancellation_can_be_resumed(downloads: Downloads) -> None:
    """An interrupted run loses nothing."""
    steps = (head(f"Content-Length: {len(LARGE)}", TAG) + LARGE[:300_000], Close.NEVER)
    progress = Reached(300_000)
    async with RawServer({"*": steps}) as server:
        link = output(f"http://{server.host}/a.mp4")
        downloader = downloads.downloader(progress, timeout=20)
        task = asyncio.create_task(downloader.fetch(link, downloads.partial()))
        await asyncio.wait_for(progress.reached.wait(), 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert names(downloads.directory) == ["1of1.part", "1of1.part.json"]
    assert downloads.path.read_bytes() == LARGE[:300_000]


# --- Bounds


async def test_a_payload_that_does_not_fit_is_a_fault(downloads: Downloads) -> None:
    """Before a byte of the body is written; another link may lead to what fits."""
    (state := downloads.root / ".archiver").mkdir()
    large = head(f"Content-Length: {10**13}", TAG) + LARGE
    async with RawServer({"/large.mp4": (large,), "*": (sized(LARGE, TAG),)}) as server:
        urls = [f"http://{server.host}/{name}.mp4" for name in ("large", "a")]
        result = await downloads.fetch(urls[0], max_size=10**18)
        assert isinstance(result, Unavailable)
        assert result.faults[0].no_space
        assert re.match(r"needs 10\.0 TB, .* kept free", result.faults[0].reason)
        assert everything(downloads.root) == {state.name: None}
        result = await downloads.fetch(*urls, max_size=10**18)
    assert content(result, downloads.path) == LARGE


async def test_a_disk_that_is_full_for_everything_ends_the_run(downloads: Downloads) -> None:
    """It is no fault of the link."""
    async with RawServer({"*": (sized(LARGE, TAG),)}) as server:
        with pytest.raises(StorageError, match=r"the disk is full: .*\(--min-free\)"):
            await downloads.fetch(f"http://{server.host}/a.mp4", reserve=10**18)
    assert everything(downloads.root) == {}


async def test_what_goes_on_beyond_the_largest_size_is_a_fault(downloads: Downloads) -> None:
    """Where its length is not announced, as soon as it is too much."""
    async with RawServer({"*": (head(TAG) + LARGE,)}) as server:
        result = await downloads.fetch(f"http://{server.host}/a.mp4", max_size=500_000)
    assert isinstance(result, Unavailable)
    assert result.faults[0].reason == "it goes on beyond what --max-size allows"
    assert not result.faults[0].transient


@slow
async def test_progress_counts_what_has_come_of_a_payload(downloads: Downloads) -> None:
    """The bytes of tries that came to nothing are taken back."""
    counted = Counted()
    async with Changing(cut(), status("500 x"), (sized(HTML),)) as server:
        link = output(f"http://{server.host}/a.mp4")
        downloader = downloads.downloader(counted, retries=2, timeout=STALL)
        result = await downloader.fetch(link, downloads.partial())
        assert isinstance(result, Unavailable)
        assert (counted.to_come, counted.come) == (0, 0)
        server.heads.clear()
        server.responses = (cut(), (sized(LARGE),))
        result = await downloader.fetch(link, downloads.partial())
        assert isinstance(result, Downloaded)
        assert (counted.to_come, counted.come) == (len(LARGE), len(LARGE))
