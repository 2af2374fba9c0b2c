"""Fixtures of the downloads' tests."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from archiver.http.session import open_session
from tests.support.disk import DiskLog


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """A session that may connect to this machine, and gives up after a second of silence."""
    async with open_session(1, allow_private=True) as session:
        yield session


@pytest.fixture
def disk(session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch) -> DiskLog:
    """The requests to the disk, once the session is open."""
    return DiskLog(monkeypatch)
