"""A sync is between two places, and neither is in the other."""

from pathlib import Path

import pytest

from archiver.errors import ConfigurationError
from archiver.location import BucketUrl, Location
from archiver.sync.places import check_apart

HERE = "https://s3.example.com"


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (Path("/srv/videos"), Path("/srv/videos/")),
        (Path("/srv/videos"), Path("/srv/other/../videos")),
        (BucketUrl("b", "videos"), BucketUrl("b", "videos")),
        (BucketUrl("b", "videos", endpoint_url=HERE), BucketUrl("b", "videos", endpoint_url=HERE)),
        (BucketUrl("b"), BucketUrl("b", state_dir=Path("/elsewhere"))),
    ],
)
def test_one_place_is_refused(source: Location, target: Location) -> None:
    """However it is written."""
    with pytest.raises(ConfigurationError, match="the same place"):
        check_apart(source, target)


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        (Path("/srv/videos"), Path("/srv/videos/copy")),
        (BucketUrl("b", "videos"), BucketUrl("b", "videos/copy")),
        (BucketUrl("b"), BucketUrl("b", "copy")),
    ],
)
def test_a_place_in_another_is_refused(outer: Location, inner: Location) -> None:
    """Whichever of the two is the source."""
    for source, target in ((outer, inner), (inner, outer)):
        with pytest.raises(ConfigurationError, match=f"{inner} is in {outer}"):
            check_apart(source, target)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (Path("/srv/videos"), Path("/srv/videos2")),
        (Path("/srv/videos"), BucketUrl("srv", "videos")),
        (BucketUrl("b", "videos"), BucketUrl("b", "videos2")),
        (BucketUrl("b", "videos"), BucketUrl("c", "videos")),
        (BucketUrl("b", "v", endpoint_url=HERE), BucketUrl("b", "v", endpoint_url="http://other")),
    ],
)
def test_two_places_are_two(source: Location, target: Location) -> None:
    """A name that begins with another's is no part of it; nor is that of another store."""
    check_apart(source, target)


def test_a_link_to_the_source_is_the_source(tmp_path: Path) -> None:
    """A symbolic link is no other place."""
    (tmp_path / "videos").mkdir()
    (tmp_path / "link").symlink_to("videos")
    with pytest.raises(ConfigurationError, match="the same place"):
        check_apart(tmp_path / "videos", tmp_path / "link")
