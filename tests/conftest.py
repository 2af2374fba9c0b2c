"""Fixtures that most tests share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from archiver.emulator.server import Emulator
from tests.support.backups import KEY, Backups


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator({}, key=KEY) as running:
        yield running


@pytest.fixture
def backups(tmp_path: Path, emulator: Emulator) -> Backups:
    return Backups(tmp_path / "archive", emulator)
