"""Links may not lead to private addresses, however these are written, unless that is allowed."""

import re
import socket

import pytest

from archiver.http import address_guard
from archiver.http.address_guard import is_public
from archiver.outcomes import Failed
from tests.support.backups import Backups
from tests.support.hostile import (
    G263,
    LONGEST_TRY,
    PUBLIC_ONLY,
    SLACK,
    TRIES,
    VIDEO,
    assert_for_people,
    assert_no_trace,
    assert_refused,
    back_up_from,
    bounded,
    linked,
    redirect,
    sized,
)
from tests.support.raw_server import RawServer, closed_port

pytestmark = pytest.mark.slow

PRIVATE = [
    "http://127.0.0.1:{port}/a.mp4",
    "https://127.0.0.1:{port}/a.mp4",
    "http://localhost:{port}/a.mp4",
    "http://me:s3cret@127.0.0.1:{port}/a.mp4",
    "http://[::1]:{port}/a.mp4",
    "http://[::]:{port}/a.mp4",
    "http://0.0.0.0:{port}/a.mp4",
    "http://\uff11\uff12\uff17.0.0.1:{port}/a.mp4",
    "http://[::ffff:127.0.0.1]:{port}/a.mp4",
    "http://[64:ff9b::7f00:1]:{port}/a.mp4",
    "http://10.0.0.1/a.mp4",
    "http://192.168.1.1/a.mp4",
    "http://100.64.0.1/a.mp4",
    "http://169.254.169.254/latest/meta-data/",
    "http://[fe80::1]/a.mp4",
    "http://[fd00::1]/a.mp4",
]


@pytest.mark.parametrize("url", PRIVATE)
async def test_a_link_may_not_lead_to_a_private_address(backups: Backups, url: str) -> None:
    """However a private address is written, no connection is made to it."""
    async with RawServer({"*": (sized(VIDEO),)}) as server:
        backups.emulator.scripts[G263] = linked(url.format(port=server.port))
        with bounded(LONGEST_TRY + SLACK):
            report = await backups.run("263", download=PUBLIC_ONLY)
        assert server.connections == 0
    assert_refused(report, backups.outcomes)
    assert_no_trace(backups)


@pytest.mark.parametrize(
    "host", ["0", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1",
             "127.0.0.1.", "localhost.", "127.0.0.1%00.example.com"],
)  # fmt: skip
async def test_an_odd_spelling_of_an_address_leads_nowhere(backups: Backups, host: str) -> None:
    """The short forms of `inet_aton` are refused as private, or as invalid."""
    async with RawServer({"*": (sized(VIDEO),)}) as server:
        backups.emulator.scripts[G263] = linked(f"http://{host}:{server.port}/a.mp4")
        with bounded(LONGEST_TRY + SLACK):
            report = await backups.run("263", download=PUBLIC_ONLY)
        assert server.connections == 0
    (outcome,) = backups.outcomes
    assert isinstance(outcome, Failed)
    assert re.search("--allow-private|not an? |no such host", outcome.faults[0].reason)
    assert report.exit_status == 3
    assert_no_trace(backups)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Addresses of names, by which a test extends the real DNS."""
    known: dict[str, list[str]] = {}
    real = socket.getaddrinfo

    def look_up(host: object, port: object, *rest: object, **named: object) -> list[object]:
        addresses = known.get(str(host), [host])
        return [one for at in addresses for one in real(at, port, *rest, **named)]  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known


async def test_a_name_may_not_lead_to_private_addresses(
    backups: Backups, names: dict[str, list[str]]
) -> None:
    """Each address counts that the DNS has for a name."""
    names["videos.example"] = ["10.0.0.1", "127.0.0.1", "169.254.169.254"]
    async with RawServer({"*": (sized(VIDEO),)}) as server:
        backups.emulator.scripts[G263] = linked(f"http://videos.example:{server.port}/a.mp4")
        report = await backups.run("263", download=PUBLIC_ONLY)
        assert server.connections == 0
    assert_refused(report, backups.outcomes)


@pytest.mark.usefixtures("localhost_is_public")
async def test_a_name_with_a_public_and_a_private_address_serves(
    backups: Backups, names: dict[str, list[str]]
) -> None:
    """The private address is passed over."""
    names["videos.example"] = ["10.0.0.1", "127.0.0.1"]
    async with RawServer({"*": (sized(VIDEO),)}) as server:
        backups.emulator.scripts[G263] = linked(f"http://videos.example:{server.port}/a.mp4")
        assert (await backups.run("263", download=PUBLIC_ONLY)).archived == 1


@pytest.mark.usefixtures("localhost_is_public")
async def test_a_name_with_a_dead_and_a_private_address_is_reported_in_words(
    backups: Backups, names: dict[str, list[str]]
) -> None:
    """Several failures to connect make one reason that people understand."""
    names["videos.example"] = ["127.0.0.1", "10.0.0.1"]
    backups.emulator.scripts[G263] = linked(f"http://videos.example:{closed_port()}/a.mp4")
    assert (await backups.run("263", download=PUBLIC_ONLY)).failed == 1
    (outcome,) = backups.outcomes
    assert isinstance(outcome, Failed)
    assert_for_people(outcome.faults[0].reason)


async def test_a_link_may_lead_to_a_private_address_where_that_is_allowed(backups: Backups) -> None:
    """With `--allow-private-links` the same server serves."""
    async with RawServer({"*": (sized(VIDEO),)}) as server:
        report, _ = await back_up_from(backups, f"http://localhost:{server.port}/a.mp4")
    assert report.archived == 1


@pytest.fixture
def localhost_is_public(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count 127.0.0.1 as public, and no other loopback address."""
    monkeypatch.setattr(address_guard, "is_public", lambda ip: ip == "127.0.0.1" or is_public(ip))


@pytest.mark.usefixtures("localhost_is_public")
@pytest.mark.parametrize(
    "target",
    ["http://127.0.0.2:{port}/", "http://[::1]:{port}/",
     "https://127.0.0.2:{port}/", "//127.0.0.2:{port}/", "http://10.0.0.1/",
     "http://169.254.169.254/"],
)  # fmt: skip
async def test_a_redirect_may_not_lead_to_a_private_address(backups: Backups, target: str) -> None:
    """No connection is made to a private address that a public host redirects to."""
    async with (
        RawServer({"*": (sized(VIDEO),)}, address="127.0.0.2") as private,
        RawServer() as public,
    ):
        public.paths["*"] = (redirect(target.format(port=private.port)),)
        backups.emulator.scripts[G263] = linked(f"http://{public.host}/a.mp4")
        report = await backups.run("263", download=PUBLIC_ONLY)
        assert (public.connections, private.connections) == (TRIES, 0)
    assert_refused(report, backups.outcomes)
    assert_no_trace(backups)


@pytest.mark.usefixtures("localhost_is_public")
async def test_a_redirect_may_lead_to_a_public_address(backups: Backups) -> None:
    """The guard checks where each hop leads, and nothing else."""
    async with RawServer({"*": (sized(VIDEO),)}) as there, RawServer() as here:
        here.paths["*"] = (redirect(f"http://{there.host}/"),)
        backups.emulator.scripts[G263] = linked(f"http://{here.host}/a.mp4")
        report = await backups.run("263", download=PUBLIC_ONLY)
    assert report.archived == 1
