"""Which WebM and Matroska files are whole videos, and which are not."""

import pytest

from archiver.media.info import MediaInfo
from tests.unit.media.checks import assert_not_whole, chunked, shown, validate
from tests.unit.media.samples import (
    CLUSTER,
    EMPTY_LIVE_CLUSTER,
    HTML,
    LIVE_CLUSTER,
    SIMPLE_BLOCK,
    TRACKS,
    WEBM,
    ebml,
    element,
    segment,
)

SIZED_WEBM = MediaInfo("webm", open_ended=False)
OPEN_ENDED_WEBM = MediaInfo("webm", open_ended=True)
MKV = MediaInfo("mkv", open_ended=False)


@pytest.mark.parametrize(
    ("data", "media"),
    [
        (WEBM + segment(TRACKS, CLUSTER), SIZED_WEBM),
        (ebml(b"matroska\0") + segment(TRACKS, CLUSTER), MKV),
        (WEBM + segment(TRACKS, CLUSTER) + element(0xEC, b"void"), SIZED_WEBM),
        (WEBM + segment(TRACKS, CLUSTER) + b"\n", SIZED_WEBM),
        (WEBM + segment(TRACKS, CLUSTER) + bytes(5000), SIZED_WEBM),
        (WEBM + segment(element(0x4DBB, b"?"), TRACKS, CLUSTER), SIZED_WEBM),
        (WEBM + segment(TRACKS, LIVE_CLUSTER, LIVE_CLUSTER), SIZED_WEBM),
        (WEBM + segment(TRACKS, CLUSTER, unknown=True), OPEN_ENDED_WEBM),
        (WEBM + segment(TRACKS, LIVE_CLUSTER, unknown=True), OPEN_ENDED_WEBM),
        (
            WEBM + segment(TRACKS, LIVE_CLUSTER, EMPTY_LIVE_CLUSTER, TRACKS, unknown=True),
            OPEN_ENDED_WEBM,
        ),
    ],
    ids=shown,
)
def test_matroska_whole(data: bytes, media: MediaInfo) -> None:
    """These arrangements of elements are whole videos."""
    assert validate(data) == media == validate(*chunked(data, range(len(data))))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (ebml(b"doc") + segment(TRACKS, CLUSTER), "an EBML document of type 'doc'"),
        (element(0x1A45DFA3), "an EBML document of type ''"),
        (WEBM, "it has no 'Segment'"),
        (WEBM + TRACKS, "it goes on with 'Tracks' where only a 'Segment' belongs"),
        (WEBM + segment(TRACKS, CLUSTER) * 2, "it goes on with 'Segment' where it should end"),
        (WEBM + segment(TRACKS, CLUSTER) + WEBM, "it goes on with 'EBML' where it should end"),
        (WEBM + segment(CLUSTER), "it has no 'Tracks'"),
        (WEBM + segment(TRACKS), "no 'Cluster', or only empty ones"),
        (WEBM + segment(TRACKS, element(0x1F43B675)), "no 'Cluster', or only empty ones"),
        (WEBM + segment(TRACKS, EMPTY_LIVE_CLUSTER), "no 'Cluster', or only empty ones"),
        (WEBM + segment(TRACKS, unknown=True), "no 'Cluster', or only empty ones"),
        (
            WEBM + segment(TRACKS, SIMPLE_BLOCK, unknown=True),
            "its 'SimpleBlock' at 56 does not belong in a 'Segment'",
        ),
        (WEBM + segment(TRACKS, LIVE_CLUSTER, b"\xec\x81", unknown=True), "inside its 'Void'"),
        (WEBM + segment(TRACKS, LIVE_CLUSTER, b"\xa3", unknown=True), "inside its 'Segment'"),
        (
            WEBM + segment(TRACKS, LIVE_CLUSTER, HTML, unknown=True),
            "does not belong in a 'Segment'",
        ),
        (
            WEBM + segment(TRACKS, LIVE_CLUSTER, CLUSTER, SIMPLE_BLOCK, unknown=True),
            "'SimpleBlock'",
        ),
        (WEBM + segment(TRACKS, CLUSTER)[:-1], "inside its 'Cluster', which ends at"),
        (WEBM + segment(TRACKS, CLUSTER) + bytes(9) + b"x", "it goes on after its end"),
        (WEBM + bytes(9), "expected an element at 26, found 0x00"),
        (WEBM + segment(TRACKS, CLUSTER, CLUSTER)[: -len(CLUSTER)] + bytes(99), "found 0x00"),
        (WEBM + segment(TRACKS, LIVE_CLUSTER, unknown=True) + bytes(9), "found 0x00"),
        (WEBM + segment(TRACKS, CLUSTER[:-1]), "a 'Cluster' that ends at"),
        (WEBM + segment(TRACKS, CLUSTER, b"\xec"), "does not fit inside its 'Segment'"),
        (WEBM + segment(TRACKS, b"\x08\x80"), "expected an element at 56, found 0x08"),
        (WEBM + segment(TRACKS, b"\xec\x00"), "expected an element at 57, found 0x00"),
        (
            WEBM + segment(element(0x1654AE6B, unknown=True), CLUSTER),
            "its 'Tracks' at 38 gives no size, as only a 'Segment' or a 'Cluster' may",
        ),
    ],
    ids=shown,
)
def test_matroska_not_whole(data: bytes, reason: str) -> None:
    """These are not whole videos, and the reason says why."""
    assert_not_whole(data, reason)
