"""A run is pinged, or the log has the reason; the URL, which is a secret, goes nowhere else."""

import asyncio
import logging
import pickle
import pprint
import shutil
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.cli.params import ping_url
from archiver.http.retry import Backoff
from archiver.monitoring.ping import Patience, Pinger, PingUrl, tail
from archiver.version import __version__
from tests.support.authorities import certified, trust
from tests.support.marks import slow
from tests.support.raw_server import (
    Close,
    Endless,
    ForwardProxy,
    Pause,
    RawServer,
    Steps,
    closed_port,
)

SECRET = "5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278"
RID = "123e4567-e89b-12d3-a456-426614174000"
SHORT = Backoff(tries=3, first=0.01, longest=0.04)
QUICK = Patience(SHORT)
HASTY = Patience(SHORT, each=0.4)
SOON = 15.0
"""In seconds: three hasty tries have ended by then, on a busy machine too."""


@dataclass(frozen=True)
class Ping:
    """A request that the service received."""

    method: str
    path: str
    body: str
    headers: dict[str, str]


class Service:
    """A monitoring service on loopback that answers with these statuses, and then with 200."""

    def __init__(self, *statuses: int, **headers: str) -> None:
        self.pings: list[Ping] = []
        self._statuses = iter(statuses)
        self._headers = headers

    def __enter__(self) -> "Service":
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                service.respond(self)

            def do_GET(self) -> None:
                service.respond(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name)
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.host = f"127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def respond(self, request: BaseHTTPRequestHandler) -> None:
        """Remember the request, and send the next status."""
        body = request.rfile.read(int(request.headers.get("Content-Length", 0))).decode()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.pings.append(Ping(request.command, request.path, body, headers))
        # A reason phrase may quote the URL, as this does.
        request.send_response(next(self._statuses, 200), f"about {request.path}")
        for name, value in self._headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("Content-Length", "2")
        request.end_headers()
        request.wfile.write(b"OK")

    @property
    def pinger(self) -> Pinger:
        """Return one that pings this service, and soon tries again."""
        return pinger(self.host)


def pinger(host: str, scheme: str = "http", patience: Patience = QUICK) -> Pinger:
    """Return one that pings a host, and soon tries again."""
    return Pinger(PingUrl(f"{scheme}://{host}/{SECRET}?rid={RID}"), patience)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as running:
        yield running


@pytest.fixture
def warning(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """Return the one warning there is, of any logger; it does not show the URL."""
    caplog.set_level(logging.DEBUG)

    def the_warning() -> str:
        [message] = [
            record.getMessage() for record in caplog.records if record.levelno > logging.DEBUG
        ]
        assert message.startswith("the ping at the ")
        assert message.endswith(". The run is not affected")
        shown = caplog.text + repr([vars(record) for record in caplog.records])
        for secret in (SECRET, SECRET[:8], RID, "127.0.0.1", "http:", "https:"):
            assert secret not in shown
        assert all(record.exc_info is None for record in caplog.records)
        return message

    return the_warning


# --- Pings


def test_a_run_is_pinged(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    """First when it begins, then with its exit status and summary; the query is kept."""
    service.pinger.start()
    service.pinger.end(3, "2 archived, 1 failed\nfailed 263: n\u00f6 link\n")
    assert [(ping.method, ping.path, ping.body) for ping in service.pings] == [
        ("POST", f"/{SECRET}/start?rid={RID}", ""),
        ("POST", f"/{SECRET}/3?rid={RID}", "2 archived, 1 failed\nfailed 263: n\u00f6 link"),
    ]  # fmt: skip
    assert caplog.messages == []


def test_the_headers_of_a_ping(service: Service) -> None:
    """The program and its version, plain text in UTF-8, and nothing else of ours."""
    service.pinger.end(0, "x")
    assert service.pings[0].headers == {
        "accept": "*/*",
        "accept-encoding": "identity",
        "content-length": "1",
        "content-type": "text/plain; charset=utf-8",
        "host": service.host,
        "user-agent": f"archiver/{__version__}",
    }


def test_a_cookie_is_not_kept() -> None:
    """A cookie that the service sets is not sent back to it."""
    with Service(Set_Cookie="a=b") as service:
        pinger = service.pinger
        pinger.start()
        pinger.end(0, "")
        assert [ping.headers.get("cookie") for ping in service.pings] == [None, None]


@pytest.mark.parametrize(
    ("path", "requested"),
    [
        ("", "/0"),
        ("/", "/0"),
        ("/uuid", "/uuid/0"),
        ("/uuid/", "/uuid/0"),
        ("/key/a-slug?create=1&rid=2", "/key/a-slug/0?create=1&rid=2"),
        ("/ping/uuid/?rid=a/b%20c", "/ping/uuid/0?rid=a/b%20c"),
        ("?rid=1", "/0?rid=1"),
        ("/uuid#fragment", "/uuid/0"),
    ],
)
def test_the_signal_ends_the_path(service: Service, path: str, requested: str) -> None:
    """Whatever the URL looks like, the signal is added to the path and the query is kept."""
    Pinger(ping_url(f" http://{service.host}{path}\n"), QUICK).end(0, "")
    assert [ping.path for ping in service.pings] == [requested]


async def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """`http_proxy` is used, unless `no_proxy` names the host."""
    async with ForwardProxy() as proxy:
        with Service() as service:
            monkeypatch.setenv("http_proxy", f"http://{proxy.host}")
            await asyncio.to_thread(service.pinger.start)
            assert len(proxy.heads) == len(service.pings) == 1
            monkeypatch.setenv("no_proxy", "127.0.0.1")
            await asyncio.to_thread(service.pinger.end, 0, "")
            assert (len(proxy.heads), len(service.pings)) == (1, 2)


# --- Failures


@pytest.mark.parametrize("statuses", [(500,), (503, 429), (408, 502)])
def test_a_transient_failure_is_retried(
    statuses: tuple[int, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """It is tried again with the same body, and not logged."""
    with Service(*statuses) as service:
        service.pinger.end(0, "all well")
        assert {ping.body for ping in service.pings} == {"all well"}
        assert len(service.pings) == len(statuses) + 1
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("status", "tries", "why"),
    [
        (500, 3, "it answers HTTP 500"),
        (503, 3, "it answers HTTP 503"),
        (429, 3, "it answers HTTP 429"),
        (400, 1, "it answers HTTP 400"),
        (403, 1, "it answers HTTP 403"),
        (404, 1, "no such check (HTTP 404): look at the ping URL again"),
        (409, 1, "no such check (HTTP 409): look at the ping URL again"),
    ],
)
def test_a_refusal_is_a_warning(
    status: int, tries: int, why: str, warning: Callable[[], str]
) -> None:
    """What is transient is tried three times, the rest once; the log has the status."""
    with Service(*[status] * 9) as service:
        service.pinger.end(0, "")
        assert len(service.pings) == tries
    assert f"at the end of the run failed: {why}. " in warning()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("where", ["http://{other}/elsewhere", "/elsewhere", "//{other}", "ftp:x"])
def test_no_redirect_is_followed(status: int, where: str, warning: Callable[[], str]) -> None:
    """Neither to another host, which would learn the URL, nor to the same."""
    with Service() as other, Service(status, Location=where.format(other=other.host)) as service:
        service.pinger.start()
        assert len(service.pings) == 1
        assert other.pings == []
    why = f"it redirects (HTTP {status}), which is not followed: use the URL it leads to"
    assert f"at the start of the run failed: {why}. " in warning()


ANSWER = b"HTTP/1.1 200 OK\r\n"
SLOW: dict[str, Steps] = {
    "silent": (Close.NEVER,),
    "silent after a while": (ANSWER, Close.NEVER),
    "a byte at a time": tuple(step for byte in ANSWER for step in (bytes([byte]), Pause(0.05))),
    "a header at a time": (ANSWER, Endless(b"X: y\r\n", 0.05)),
    "forever to be continued": (Endless(b"HTTP/1.1 100 Continue\r\n\r\n", 0.05),),
    "later than can be waited for": (Pause(30), ANSWER),
}
BROKEN: dict[str, tuple[Steps, str]] = {
    "closed": ((), "the connection was closed early"),
    "reset": ((Close.RESET,), "the connection broke"),
    "no HTTP": ((b"SSH-2.0-OpenSSH_9.2\r\n",), "the response is not HTTP"),
    "headers without end": ((ANSWER, b"X" * 999_999), "the head of the response is too large"),
    "no number": ((b"HTTP/1.1 soon\r\n\r\n",), "the response is not HTTP"),
    "an unknown status": ((b"HTTP/1.1 999 ?\r\n\r\n",), "it answers HTTP 999"),
}


@slow
@pytest.mark.parametrize("fault", SLOW)
async def test_a_slow_service_is_a_warning(fault: str, warning: Callable[[], str]) -> None:
    """However slowly it answers, or sends without answering, it is given up in time."""
    async with RawServer({"*": SLOW[fault]}) as server:
        began = time.monotonic()
        await asyncio.to_thread(pinger(server.host, patience=HASTY).end, 0, "")
        assert time.monotonic() - began < SOON
    assert "at the end of the run failed: no response within 0.4 s. " in warning()


@pytest.mark.parametrize("fault", BROKEN)
async def test_a_broken_service_is_a_warning(fault: str, warning: Callable[[], str]) -> None:
    """Whatever it sends, nothing is raised, and it is tried three times."""
    steps, why = BROKEN[fault]
    async with RawServer({"*": steps}) as server:
        await asyncio.to_thread(pinger(server.host).end, 0, "")
        assert server.connections == 3
    assert f"at the end of the run failed: {why}. " in warning()


async def test_an_answer_without_end_is_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    """Only the status is waited for."""
    endless = (ANSWER + b"\r\n", Endless(b"OK", 0.01))
    async with RawServer({"*": endless}) as server:
        await asyncio.to_thread(pinger(server.host).start)
        assert server.connections == 1
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("host", "scheme", "why"),
    [
        ("127.0.0.1:{closed}", "http", "no connection (Connection refused)"),
        ("127.0.0.1:{open}", "https", "no TLS connection"),
        ("%0d%0a:80", "http", "no such host"),
        (f"{'a' * 70}.example", "http", "no usable address: look at the ping URL"),
    ],
)
def test_no_service_is_a_warning(
    service: Service, host: str, scheme: str, why: str, warning: Callable[[], str]
) -> None:
    """Where no server listens, or none that speaks the protocol, nothing is raised."""
    host = host.format(closed=closed_port(), open=service.host.rpartition(":")[2])
    pinger(host, scheme).start()
    assert f"at the start of the run failed: {why}" in warning()


def test_a_host_without_an_address_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, warning: Callable[[], str]
) -> None:
    """An unknown name is reported as such, and not quoted."""

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, f"{SECRET}: Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    pinger("service.invalid").start()
    assert "at the start of the run failed: no such host" in warning()


def test_a_name_that_never_resolves_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, warning: Callable[[], str]
) -> None:
    """The system's resolver has no timeout, and is not waited for."""
    over = threading.Event()

    def forever(*_: object, **__: object) -> None:
        over.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", forever)
    began = time.monotonic()
    pinger("service.invalid", patience=HASTY).start()
    took = time.monotonic() - began
    over.set()
    assert took < SOON
    assert "at the start of the run failed: no response within " in warning()


@slow
def test_a_process_ends_while_a_name_never_resolves() -> None:
    """The resolver does not keep the process from ending either."""
    script = "import socket, time\nfrom archiver.monitoring.ping import *\n"
    script += "socket.getaddrinfo = lambda *a, **k: time.sleep(60)\n"
    script += "url = PingUrl('http://service.invalid')\n"
    script += "Pinger(url, Patience(each=0.1)).start()"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, timeout=30, check=True
    )
    assert b"no response within 0.1 s" in done.stderr


@pytest.mark.parametrize(
    ("proxy", "why"),
    [
        ("http://127.0.0.1:{}", "no connection to the proxy (Connection refused)"),
        ("no proxy:at:all", "the proxy that the environment names is of no use"),
        ("http://[::1", "the proxy that the environment names is of no use"),
    ],
)
def test_an_unusable_proxy_is_a_warning(
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
    proxy: str,
    why: str,
    warning: Callable[[], str],
) -> None:
    """The ping does not bypass the proxy, and nothing is raised."""
    monkeypatch.setenv("http_proxy", proxy.format(closed_port()))
    service.pinger.start()
    assert service.pings == []
    assert f"at the start of the run failed: {why}" in warning()


async def test_a_tunnel_that_is_refused_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, warning: Callable[[], str]
) -> None:
    """A proxy for an https URL learns the host and nothing else."""
    async with ForwardProxy(b"HTTP/1.1 403 Forbidden\r\n\r\n") as proxy:
        monkeypatch.setenv("https_proxy", f"http://{proxy.host}")
        await asyncio.to_thread(pinger("service.invalid", "https").start)
        assert len(proxy.heads) == 3
        assert SECRET not in "".join(proxy.heads)
    assert (
        "at the start of the run failed: the proxy refuses the connection (HTTP 403)" in warning()
    )


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")
async def test_a_certificate_is_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warning: Callable[[], str]
) -> None:
    """A host without a valid certificate learns nothing; `SSL_CERT_FILE` names authorities."""
    tls = certified(tmp_path / "server.pem")
    async with RawServer({"*": (ANSWER + b"\r\n",)}, tls=tls) as server:
        await asyncio.to_thread(pinger(server.host, "https").start)
        assert server.heads == []
        trust(tmp_path / "server.pem", monkeypatch)
        await asyncio.to_thread(pinger(server.host, "https").end, 0, "")
        assert [head.split(" ")[1] for head in server.heads] == [f"/{SECRET}/0?rid={RID}"]
    assert "at the start of the run failed: its TLS certificate is not accepted" in warning()


def test_a_bug_is_a_warning(monkeypatch: pytest.MonkeyPatch, warning: Callable[[], str]) -> None:
    """Not even a bug changes a run."""

    def broken(*_: object) -> None:
        raise RuntimeError(f"can't start new thread for {SECRET}")

    monkeypatch.setattr(threading.Thread, "start", broken)
    pinger("service.invalid").start()
    assert "at the start of the run failed: a bug: RuntimeError" in warning()


def test_a_ping_takes_at_most_half_a_minute() -> None:
    """Three tries of ten seconds, with pauses between, fit into thirty seconds."""
    patience = Patience()
    assert (patience.backoff.tries, patience.each, patience.in_all) == (3, 10, 30)
    longest_pauses = 2 * patience.backoff.longest
    assert 2 * patience.each + longest_pauses < patience.in_all


async def test_the_last_try_has_what_time_is_left(warning: Callable[[], str]) -> None:
    """A try is cut short at the end of the time for all."""
    async with RawServer({"*": (Close.NEVER,)}) as server:
        began = time.monotonic()
        patience = Patience(SHORT, each=20, in_all=0.5)
        await asyncio.to_thread(pinger(server.host, patience=patience).start)
        assert time.monotonic() - began < SOON
    assert "no response within 0." in warning()


@slow
def test_a_retry_counts_nothing_for_prometheus() -> None:
    """A retry does not import the metrics library, which only --metrics needs."""
    script = "import sys\nfrom archiver.monitoring.ping import *\n"
    script += f"url = PingUrl('http://127.0.0.1:{closed_port()}')\n"
    script += "Pinger(url).start()\nprint('prometheus_client' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, timeout=60, check=True
    )
    assert done.stdout == b"False\n"
    assert done.stderr.count(b"\n") == 1


# --- The body


def test_a_short_body_is_sent_whole() -> None:
    """Up to 10,000 bytes, without the space around them."""
    assert tail("one\ntwo\n") == b"one\ntwo"
    assert tail("x" * 10_000) == b"x" * 10_000
    assert tail("") == b""


def test_a_long_body_is_cut_at_a_line(service: Service) -> None:
    """Its last lines are sent, each of them whole, below a mark that some are missing."""
    lines = [f"failed deepfake/{n}: not found" for n in range(1000)]
    service.pinger.end(3, "\n".join(lines))
    first, *rest = service.pings[0].body.split("\n")
    assert first == "…"
    assert rest == lines[-len(rest) :]
    assert 9_900 < len(service.pings[0].body.encode()) <= 10_000


def test_a_line_that_just_fits_is_sent() -> None:
    """The line before the cut is whole where the cut falls on its beginning, and not otherwise."""
    mark = "…\n".encode()
    space = 10_000 - len(mark)
    assert tail("head\n" + "x" * space) == mark + b"x" * space
    assert tail("head\n" + "x" * (space + 1)) == mark + b"x" * space
    assert tail("head" * 9 + "\n" + "x" * (space - 2) + "\ny") == mark + b"x" * (space - 2) + b"\ny"
    assert tail("head" * 9 + "\n" + "x" * (space - 1) + "\ny") == mark + b"y"


def test_a_long_line_is_cut_at_a_character() -> None:
    """Where there is only one line, no character is cut in two."""
    for end in ("", "a", "aa", "aaa"):
        sent = tail("\N{FILM FRAMES}" * 3000 + end)
        assert 9_990 < len(sent) <= 10_000
        assert set(sent.decode()) == {"\N{HORIZONTAL ELLIPSIS}", "\n", "\N{FILM FRAMES}", *end}


@given(st.text(st.sampled_from("a\n\u00f6\U0001f39e\udc80 "), max_size=200), st.integers(1, 200))
def test_any_body_is_text_of_at_most_10_000_bytes(text: str, times: int) -> None:
    """It is UTF-8, whatever was cut, and ends as the summary does."""
    sent = tail(text * times)
    assert len(sent) <= 10_000
    whole = (text * times).strip().encode(errors="replace").decode()
    assert whole.endswith(sent.decode().removeprefix("…\n"))


# --- The URL


@pytest.mark.parametrize(
    "bad",
    [
        "", " ", SECRET, f"hc-ping.com/{SECRET}", f"//hc-ping.com/{SECRET}", f"/{SECRET}",
        f"ftp://hc-ping.com/{SECRET}", f"file:///{SECRET}", f"https:/{SECRET}", f"https:///{SECRET}",
        f"https://user:{SECRET}@hc-ping.com/", f"https://@hc-ping.com/{SECRET}",
        f"https://hc-ping.com:{SECRET}/", f"https://hc-ping.com:99999/{SECRET}",
        f"https://hc-ping.com:0/{SECRET}", f"https://[{SECRET}", f"https://[{SECRET}]/",
        f"https://hc-ping.com/{SECRET} x", f"https://hc-ping.com/\n{SECRET}",
        f"https://hc-ping.com/{SECRET}\u00e9", f"https://:80/{SECRET}", f"https://?{SECRET}",
    ],
)  # fmt: skip
def test_what_is_no_url_is_refused_unquoted(bad: str) -> None:
    """The error shows an example, and nothing of the value, also in its traceback."""
    with pytest.raises(ValueError, match=r"is not one such as https://hc-ping\.com/") as refusal:
        ping_url(bad)
    error = refusal.value
    assert error.__cause__ is error.__context__ is None
    assert SECRET[:8] not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize(
    "good",
    [
        f"https://hc-ping.com/{SECRET}", f"HTTPS://HC-PING.com/{SECRET}", "http://localhost",
        f"http://[::1]:8000/ping/{SECRET}?rid={RID}", f" https://hc.example/{SECRET}\n",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "show",
    [
        str, repr, format, lambda url: f"{url} {url!s} {url!r}",
        lambda url: pprint.pformat({"ping": [url]}), lambda url: str(ValueError(url)),
        lambda url: repr(ValueError(url)), lambda url: repr(Pinger(url)),
    ],
)  # fmt: skip
def test_a_url_does_not_show_itself(good: str, show: Callable[[PingUrl], str]) -> None:
    """Neither it nor an object that has it shows the URL, until a request is made."""
    shown = show(ping_url(good)).lower()
    for secret in ("http", SECRET[:8], "hc", "localhost", "::1"):
        assert secret not in shown


def test_a_url_is_a_value() -> None:
    """It equals another of the same text, can be pickled, and cannot be changed."""
    url = ping_url(f"https://hc-ping.com/{SECRET}")
    assert url == PingUrl(f"https://hc-ping.com/{SECRET}")
    assert pickle.loads(pickle.dumps(url)).reveal("start") == f"https://hc-ping.com/{SECRET}/start"
    with pytest.raises(FrozenInstanceError) as refusal:
        url._value = "other"  # type: ignore[misc]
    assert SECRET not in "".join(traceback.format_exception(refusal.value))
