"""Fixtures that most tests share."""

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis
import pytest

from archiver.emulator.server import Emulator
from tests.support.backups import KEY, Backups
from tests.support.rclone import rclone_place
from tests.support.seaweed import place, seaweed
from tests.support.store_proxy import proxy

hypothesis.settings.register_profile("no timed test", deadline=None)
hypothesis.settings.load_profile("no timed test")

__all__ = ["place", "proxy", "rclone_place", "seaweed"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Count no lines in slow tests: that takes half as long again, and others run the same."""
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker("no_cover")


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator({}, key=KEY) as running:
        yield running


@pytest.fixture
def backups(tmp_path: Path, emulator: Emulator) -> Backups:
    return Backups(tmp_path / "archive", emulator)


@pytest.fixture(autouse=True)
def clean_logger() -> Iterator[None]:
    """Each test begins and ends with a logger without handlers."""
    logger = logging.getLogger("archiver")
    before = (logger.level, list(logger.handlers))
    yield
    for handler in set(logger.handlers) - set(before[1]):
        logger.removeHandler(handler)
        handler.close()
    logger.setLevel(before[0])
