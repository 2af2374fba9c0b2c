"""The layout: where each file of an archive lies, from the first version on."""

from pathlib import Path

import pytest

from archiver.archive.layout import Layout

ROOT = Path("/srv/videos")


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("declaration", "bagit.txt"),
        ("info", "bag-info.txt"),
        ("manifest", "manifest-sha256.txt"),
        ("data", "data"),
        ("state", ".archiver"),
        ("catalogue", ".archiver/catalogue.sqlite"),
        ("lock", ".archiver/lock"),
        ("journal", ".archiver/settling.json"),
        ("incoming", ".archiver/incoming"),
        ("quarantine", ".archiver/quarantine"),
    ],
)
def test_each_file_has_its_place(name: str, path: str) -> None:
    """Archives of today are opened by later versions: no place ever changes."""
    assert getattr(Layout(ROOT), name) == ROOT / path


@pytest.mark.parametrize("path", ["manifest-sha256.txt", "data/v6/deepfake/263.mp4"])
def test_a_path_of_the_archive_is_below_its_root(path: str) -> None:
    """As a checksum line names it."""
    assert Layout(ROOT).at(path) == f"/srv/videos/{path}"
    assert Layout(Path("videos")).at(path) == f"videos/{path}"
