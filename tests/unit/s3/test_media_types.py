"""Objects are served as what they are: a browser plays a video, and shows a page."""

from dataclasses import replace

import pytest

from archiver.s3.media_types import media_type
from archiver.s3.objects import Absent
from tests.support.bodies import body
from tests.support.seaweed import Place

TYPES = {
    "data/v6/deepfake/263.mp4": "video/mp4",
    "data/v6/deepfake/263.webm": "video/webm",
    "data/v6/deepfake/263.json": "application/json",
    "manifest-sha256.txt": "text/plain; charset=utf-8",
    "index.html": "text/html; charset=utf-8",
    ".archiver/browse/data.js": "text/javascript; charset=utf-8",
    ".archiver/browse/posters/ab/cd.webp": "image/webp",
    ".archiver/lease": "application/octet-stream",
}


def test_each_kind_of_file_has_its_type() -> None:
    """It follows from the name alone, the same on every machine."""
    assert {path: media_type(path) for path in TYPES} == TYPES


@pytest.mark.parametrize("path", TYPES)
def test_the_store_serves_it_so(place: Place, path: str) -> None:
    """What was put is served with its type, and a copy of it as well."""
    with place.open() as objects:
        objects.put(path, body(b"content"), Absent())
        objects.copy(path, f"copy/{path}")
    assert place.media_type(path) == TYPES[path]
    assert place.media_type(f"copy/{path}") == TYPES[path]


def test_so_is_a_large_one(place: Place) -> None:
    """Written and copied in parts, it is served with its type too."""
    path, least = "data/v6/deepfake/263.mp4", 5 << 20
    settings = replace(place.settings, multipart_above=least, part_size=least)
    with replace(place, settings=settings).open() as objects:
        objects.put(path, body(bytes(least + 1)), Absent())
        objects.copy(path, f"copy/{path}")
    assert place.media_type(path) == place.media_type(f"copy/{path}") == "video/mp4"
