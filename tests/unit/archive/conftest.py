"""Fixtures of the archive's tests."""

from pathlib import Path

import pytest

from archiver.archive.layout import Layout
from archiver.archive.partial_file import Origin
from tests.support.disk import DiskLog
from tests.support.videos import MP4


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> DiskLog:
    return DiskLog(monkeypatch)


@pytest.fixture
def origin(monkeypatch: pytest.MonkeyPatch) -> Origin:
    """The origin of a partial file that can be resumed: the machine is still up."""
    monkeypatch.setattr("archiver.archive.partial_file.this_boot", lambda: "this boot")
    return Origin('"tag"', "", len(MP4), "this boot")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """The layout of an archive that has its directories and nothing in them."""
    layout = Layout(tmp_path)
    layout.incoming.mkdir(parents=True)
    layout.data.mkdir()
    return layout
