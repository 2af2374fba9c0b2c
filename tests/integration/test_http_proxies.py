"""HTTP proxies of the environment: links are requested through them, and they may be private."""

import re

import pytest

from archiver.errors import ConfigurationError
from archiver.outcomes import Failed
from tests.support.authorities import trust
from tests.support.backups import Backups
from tests.support.hostile import (
    G263,
    GARBAGE,
    HTML,
    NOT_HTTP,
    PUBLIC_ONLY,
    VIDEO,
    Certificate,
    assert_archived,
    assert_for_people,
    assert_refused,
    back_up_from,
    linked,
    redirect,
    sized,
)
from tests.support.raw_server import ForwardProxy, RawServer, closed_port
from tests.support.running import Workspace


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY"])
async def test_a_proxy_of_the_environment_may_be_private(
    backups: Backups, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """All requests go through the proxy, which then decides where links may lead."""
    async with ForwardProxy() as proxy, RawServer({"*": (sized(VIDEO),)}) as server:
        monkeypatch.setenv(variable, f"http://{proxy.host}")
        backups.emulator.scripts[G263] = linked(f"http://{server.host}/a.mp4")
        report = await backups.run("263", download=PUBLIC_ONLY)
    assert report.archived == 1
    assert f"GET http://{server.host}/a.mp4 HTTP/1.1" in "".join(proxy.heads)
    assert_archived(backups, VIDEO)


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY"])
async def test_https_goes_through_a_tunnel(
    backups: Backups, monkeypatch: pytest.MonkeyPatch, certificate: Certificate, variable: str
) -> None:
    """An https link is requested through CONNECT; the certificate of its own host is verified."""
    trust(f"{certificate.path}.crt", monkeypatch)
    tls = certificate.context()
    async with ForwardProxy() as proxy, RawServer({"*": (sized(VIDEO),)}, tls=tls) as server:
        monkeypatch.setenv(variable, f"http://{proxy.host}")
        backups.emulator.scripts[G263] = linked(f"https://{server.host}/a.mp4")
        report = await backups.run("263", download=PUBLIC_ONLY)
    assert report.archived == 1
    assert [head.split("\r\n")[0] for head in proxy.heads] == [f"CONNECT {server.host} HTTP/1.1"]
    assert "Authorization" not in "".join(proxy.heads)


async def test_a_tunnel_does_not_excuse_a_certificate(
    backups: Backups, monkeypatch: pytest.MonkeyPatch, certificate: Certificate
) -> None:
    """Behind a proxy as elsewhere, a self-signed certificate is not accepted."""
    tls = certificate.context()
    async with ForwardProxy() as proxy, RawServer({"*": (sized(VIDEO),)}, tls=tls) as server:
        monkeypatch.setenv("https_proxy", f"http://{proxy.host}")
        _, outcome = await back_up_from(backups, f"https://{server.host}/a.mp4")
    assert isinstance(outcome, Failed)
    assert "certificate is not accepted" in outcome.faults[0].reason


@pytest.mark.parametrize("variable", ["no_proxy", "NO_PROXY"])
async def test_what_bypasses_the_proxy_may_not_be_private(
    backups: Backups, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """Hosts in `NO_PROXY` are connected to directly, and so may not be private."""
    async with ForwardProxy() as proxy, RawServer({"*": (sized(VIDEO),)}) as server:
        monkeypatch.setenv("http_proxy", f"http://{proxy.host}")
        monkeypatch.setenv(variable, "127.0.0.1")
        backups.emulator.scripts[G263] = linked(f"http://{server.host}/a.mp4")
        report = await backups.run("263", download=PUBLIC_ONLY)
        assert (proxy.connections, server.connections) == (0, 0)
    assert_refused(report, backups.outcomes)


@pytest.mark.parametrize("proxy", ["nonsense", "http://", "socks5://127.0.0.1:1", "socks5://[::1"])
async def test_an_invalid_proxy_is_reported_at_once(
    backups: Backups, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    """A proxy that is of no use is a configuration error, before any request."""
    monkeypatch.setenv("http_proxy", proxy)
    backups.emulator.scripts[G263] = linked("http://127.0.0.1:9/a.mp4")
    with pytest.raises(ConfigurationError, match="http_proxy"):
        await backups.run("263", download=PUBLIC_ONLY)
    assert not backups.emulator.requests


async def test_a_proxy_that_is_not_used_exempts_no_address(
    backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only those of http and https may be private."""
    async with RawServer({"*": (sized(VIDEO),)}) as server:
        monkeypatch.setenv("ftp_proxy", f"http://{server.host}")
        backups.emulator.scripts[G263] = linked(f"http://{server.host}/a.mp4")
        report = await backups.run("263", download=PUBLIC_ONLY)
        assert server.connections == 0
    assert_refused(report, backups.outcomes)


@pytest.mark.parametrize("variable", ["ALL_PROXY", "all_proxy", "http_proxy"])
@pytest.mark.parametrize("userinfo", ["", "me:p%40ss@"])
async def test_a_proxy_needs_no_scheme(
    backups: Backups, monkeypatch: pytest.MonkeyPatch, variable: str, userinfo: str
) -> None:
    """The one for all will do; its user and password go to the proxy and nowhere else."""
    async with ForwardProxy() as proxy, RawServer({"*": (sized(VIDEO),)}) as server:
        monkeypatch.setenv(variable, f"{userinfo}{proxy.host}")
        backups.emulator.scripts[G263] = linked(f"http://{server.host}/a.mp4")
        report = await backups.run("263", download=PUBLIC_ONLY)
    assert report.archived == 1
    assert f"GET http://{server.host}/a.mp4 HTTP/1.1" in "".join(proxy.heads)
    authorized = "Proxy-Authorization: Basic bWU6cEBzcw==\r\n"  # me:p@ss
    assert all((authorized in head) is bool(userinfo) for head in proxy.heads)
    assert "\r\nAuthorization" not in "".join((*proxy.heads, *server.heads))


@pytest.mark.parametrize("no_proxy", ["127.0.0.0/8", "example, 127.0.0.1"])
async def test_a_network_needs_no_proxy(
    backups: Backups, monkeypatch: pytest.MonkeyPatch, no_proxy: str
) -> None:
    """What is excepted is requested directly: the API, the link, and where that redirects."""
    async with ForwardProxy() as proxy, RawServer({"*": (sized(VIDEO),)}) as server:
        server.paths["/b.mp4"] = (redirect("/a.mp4"),)
        monkeypatch.setenv("http_proxy", f"http://{proxy.host}")
        monkeypatch.setenv("NO_PROXY", no_proxy)
        backups.emulator.scripts[G263] = linked(f"http://{server.host}/b.mp4")
        report = await backups.run("263")
        assert (report.archived, proxy.connections) == (1, 0)


async def test_each_redirect_finds_its_proxy(
    backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link that is requested directly may redirect to a host behind the proxy, to the letter."""
    async with ForwardProxy() as proxy, RawServer({"*": (sized(VIDEO),)}) as server:
        server.paths["/b.mp4"] = (redirect(f"http://localhost:{server.port}/a%2f|[1].mp4?"),)
        monkeypatch.setenv("ALL_PROXY", proxy.host)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        backups.emulator.scripts[G263] = linked(f"http://{server.host}/b.mp4")
        assert (await backups.run("263")).archived == 1
    (request,) = proxy.heads
    assert request.startswith(f"GET http://localhost:{server.port}/a%2f|[1].mp4? HTTP/1.1\r\n")


@pytest.mark.parametrize("proxy", ["socks5://me:s3cret@127.0.0.1:1080", "s3cret"])
async def test_every_command_that_connects_reports_an_invalid_proxy(
    workspace: Workspace, proxy: str
) -> None:
    """With one line and status 2, also when there is nothing to fetch."""
    empty, one = workspace.manifest(name="none.txt"), workspace.manifest("1")
    assert (await workspace.backup(empty)).status == 0
    archive = ("-a", str(workspace.archive))
    for command in (
        ("backup", *archive, one),
        ("backup", *archive, empty),
        ("backup", *archive, "--dry-run", one),
        ("verify", *archive, "--repair"),
    ):
        result = await workspace.run(*command, ALL_PROXY=proxy)
        assert result.status == 2
        (line,) = result.err.splitlines()
        assert "the proxy in ALL_PROXY is" in line
        assert "s3cret" not in line
    assert (await workspace.run("verify", *archive, ALL_PROXY=proxy)).status == 0


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (sized(HTML, status="HTTP/1.1 403 Forbidden"), "proxy.*403"),
        (sized(HTML, status="HTTP/1.1 407 Proxy Authentication Required"), "proxy.*407"),
        (GARBAGE, NOT_HTTP),
    ],
)
async def test_a_proxy_that_refuses_a_tunnel_is_reported(
    backups: Backups, monkeypatch: pytest.MonkeyPatch, refusal: bytes, reason: str
) -> None:
    """The proxy's response is not taken for the link host's."""
    async with ForwardProxy(refusal) as proxy:
        monkeypatch.setenv("https_proxy", f"http://me:s3cret@{proxy.host}")
        report, outcome = await back_up_from(backups, "https://127.0.0.1:9/a.mp4")
    assert isinstance(outcome, Failed)
    assert_for_people(outcome.faults[0].reason)
    assert re.search(reason, outcome.faults[0].reason), outcome.faults[0].reason
    assert "s3cret" not in "".join(report.lines())


async def test_a_proxy_that_is_down_is_reported(
    backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that refuses connections is a fault like any other; its password is not shown."""
    monkeypatch.setenv("https_proxy", f"http://me:s3cret@127.0.0.1:{closed_port()}")
    report, outcome = await back_up_from(backups, "https://127.0.0.1:9/a.mp4")
    assert isinstance(outcome, Failed)
    assert "proxy" in outcome.faults[0].reason
    assert "s3cret" not in "".join(report.lines())
