"""Rows: what the page is given of each generation.

What the grid, the search and the filters need is in one file, so that the page opens soon; the
details are in another, which the page loads when one of its generations is looked at. `data.js`
takes both apart, in the same order: lists are a third shorter than objects.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any, TypeAlias

from archiver.catalogue.queries import HeldFile, Known
from archiver.media.info import Properties

Row: TypeAlias = list[Any]
Poster: TypeAlias = str | None
"""What a poster is called; "" if there can be none, None if none was made yet."""

# `dataclasses.asdict` copies each value deeply, which took half of the time.
_rest_of_metadata = attrgetter(
    "negative_prompt", "seed", "width", "height", "duration", "track_id", "created"
)
_metadata = attrgetter("prompt", "model")
_properties = attrgetter("duration", "width", "height", "frame_rate", "video_codec", "audio_codec")
_HOST = re.compile(r"(?:.* )?\w+://(?:[^/?#]*@)?(?P<host>\[[^\]]*\]|[^/?#:]+)")


def row_of(known: Known, poster: Poster) -> Row:
    """Return what the grid needs of a generation."""
    said, videos = known.metadata, videos_of(known)
    found = videos[0].properties if videos else Properties()
    sized = found if found.width and found.height else said
    name = known.generation.name
    row = [
        name,
        known.state,
        _seconds(said.created) or _seconds(known.since),
        *_metadata(said),
        sized.width,
        sized.height,
        found.duration or said.duration,
        sum(video.bytes for video in videos),
        [video.path.removeprefix(f"data/{name}") for video in videos],
        poster,
        known.reason,
    ]
    while row[-1] is None:
        row.pop()
    return row


def details_of(known: Known) -> Row:
    """Return what is shown of a generation beside its video, other than what is in its row."""
    return [
        _seconds(known.since),
        _seconds(known.checked),
        sorted({_host(link) for link in known.served_by}),
        _rest_of_metadata(known.metadata),
        [_file(video) for video in videos_of(known)],
    ]


def videos_of(known: Known) -> list[HeldFile]:
    """Return the videos of a generation, in their order, without its sidecar."""
    videos = [file for file in known.files if not file.path.endswith(".json")]
    if len(videos) > 1:
        videos.sort(key=lambda video: (len(video.path), video.path))
    return videos


def facts_of(known: Known) -> int:
    """Return how many fields of the metadata and of the videos' properties are known."""
    facts = [*_metadata(known.metadata), *_rest_of_metadata(known.metadata)]
    for file in known.files:
        facts += _properties(file.properties)
    return len(facts) - facts.count(None)


def newest_first(rows: Iterable[Row]) -> list[Row]:
    """Return rows in the order in which the page shows them first."""
    return sorted(rows, key=lambda row: row[2] or 0, reverse=True)


def _file(video: HeldFile) -> Row:
    facts = _properties(video.properties)
    return [video.bytes, video.sha256, _seconds(video.verified), *facts]


def _host(link: str) -> str:
    """Return the host of a link, which is named by its kind before it; or what there is instead."""
    match = _HOST.match(link)
    return match["host"] if match else link


@lru_cache
def _seconds(moment: str | None) -> int | None:
    """Return a moment as seconds since 1970; None if it cannot be read."""
    try:
        at = datetime.fromisoformat(moment or "")
        return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None
