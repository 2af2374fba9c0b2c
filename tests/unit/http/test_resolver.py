"""Names are looked up as the system does, and one that nobody answers for holds up nothing."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator

import aiohttp
import pytest

from archiver.http.session import open_session
from tests.support.http import sized
from tests.support.raw_server import RawServer


@pytest.fixture
def dead() -> Iterator[None]:
    """For names that end in `.dead`, no name server responds before the test is over."""
    over, real = threading.Event(), socket.getaddrinfo

    def look_up(host: str, *args: object, **kwargs: object) -> object:
        if str(host).endswith(".dead"):
            over.wait(20)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return real(host, *args, **kwargs)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", look_up)
        yield
        over.set()


async def get(session: aiohttp.ClientSession, url: str) -> bytes:
    async with session.get(url) as response:
        return await response.read()


async def get_beside_dead_names() -> bytes:
    """Request one URL while fifty others wait for the addresses of their hosts."""
    async with (
        RawServer({"*": (sized(b"here"),)}) as server,
        open_session(1, allow_private=True) as session,
    ):
        waiting = [asyncio.ensure_future(get(session, f"http://{n}.dead/")) for n in range(50)]
        await asyncio.sleep(0)
        try:
            async with asyncio.timeout(15):
                return await get(session, f"http://localhost:{server.port}/")
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.usefixtures("dead")
def test_names_without_an_answer_hold_up_nothing() -> None:
    """Neither another name nor the end of the program."""
    started = time.monotonic()
    assert asyncio.run(get_beside_dead_names()) == b"here"
    assert time.monotonic() - started < 15


async def test_a_name_that_there_is_not_is_an_error() -> None:
    """The session raises what it always raises for one."""
    async with open_session(5, allow_private=True) as session:
        with pytest.raises(aiohttp.ClientConnectorDNSError):
            await get(session, "http://nowhere.invalid/")
