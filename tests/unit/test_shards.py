"""Shards: each generation belongs to one, and what names a run's shard must agree."""

import hashlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.errors import ConfigurationError
from archiver.generation import Generation
from archiver.shards import Shard, chosen, placed, shard_of

GOLDEN = {
    "263": (3, 835, 6_398_633),
    "147": (1, 561, 2_586_208),
    "6351": (4, 140, 2_645_513),
    "abc123-def456": (1, 697, 6_202_358),
    "0263": (0, 88, 289_121),
}
"""Of some IDs the shard of 8, of 1,000 and of a prime number: they must never change."""


@pytest.mark.parametrize(("id_", "shards"), GOLDEN.items())
def test_the_shard_of_a_generation_never_changes(id_: str, shards: tuple[int, int, int]) -> None:
    """Archives were filled by it: another shard would fetch everything a second time."""
    assert tuple(shard_of(id_, of) for of in (8, 1000, 9_999_991)) == shards


@given(st.from_regex(r"[A-Za-z0-9_-]{1,128}", fullmatch=True), st.integers(1, 100_000))
def test_sha256sum_shows_the_shard(id_: str, of: int) -> None:
    """It is the first sixteen digits of the ID's SHA-256, modulo the number of shards."""
    assert shard_of(id_, of) == int(hashlib.sha256(id_.encode()).hexdigest()[:16], 16) % of


@given(st.lists(st.integers(0, 10**9).map(str), unique=True), st.integers(1, 20))
def test_the_parts_are_the_whole(ids: list[str], of: int) -> None:
    """Each ID is in the part of one shard, in the order of the list."""
    parts = [Shard(number, of).part(ids) for number in range(of)]
    assert sorted(id_ for part in parts for id_ in part) == sorted(ids)
    assert all(part == [id_ for id_ in ids if id_ in {*part}] for part in parts)


def test_shards_are_about_as_large_as_each_other() -> None:
    """IDs that follow each other, as ModelsLab gives them, are spread evenly."""
    sizes = Counter(shard_of(str(id_), 8) for id_ in range(10_000_000, 10_080_000))
    assert len(sizes) == 8
    assert all(9_600 < size < 10_400 for size in sizes.values())


def test_a_name_in_any_spelling_leads_to_one_shard() -> None:
    """The endpoint has no part in it: an assumed one may prove to be another."""
    endpoints = ("deepfake", "faceswap", "v6/faceswap", "video", "v7/video-fusion")
    ids = {Generation.of(endpoint, "263").id for endpoint in endpoints}
    assert {shard_of(id_, 8) for id_ in ids} == {GOLDEN["263"][0]}


@pytest.mark.parametrize("text", ["0/1", "0/8", "7/8", " 3/8 ", "999999/1000000"])
def test_a_shard_is_written_as_it_is_read(text: str) -> None:
    """`K/N` is parsed and printed."""
    assert str(Shard.parse(text)) == text.strip()


@pytest.mark.parametrize("text", ["", "3", "8/8", "9/8", "-1/8", "1/0", "0/0", "1/8/2", "a/8",
                                  "1.0/8", "1/1000001", "٣/٨", "1 / 8", "3/-8"])  # fmt: skip
def test_what_is_no_shard_is_refused(text: str) -> None:
    """Shards count from 0, and there is at least one."""
    with pytest.raises(ValueError, match="is not a shard"):
        Shard.parse(text)


# --- Which shard this run is


@pytest.mark.parametrize(
    ("shard", "shards", "environ", "expected"),
    [
        (None, None, {}, None),
        (None, None, {"SLURM_ARRAY_TASK_ID": "3"}, None),
        (None, None, {"SLURM_ARRAY_TASK_ID": "3", "JOB_COMPLETION_INDEX": "x"}, None),
        ("3/8", None, {}, "3/8"),
        ("3/8", 8, {}, "3/8"),
        ("3/8", None, {"JOB_COMPLETION_INDEX": "3"}, "3/8"),
        (None, 8, {"SLURM_ARRAY_TASK_ID": "3"}, "3/8"),
        (None, 8, {"JOB_COMPLETION_INDEX": "0"}, "0/8"),
        (None, 8, {"AWS_BATCH_JOB_ARRAY_INDEX": "7"}, "7/8"),
        (None, 8, {"AWS_BATCH_JOB_ARRAY_INDEX": "7", "AWS_BATCH_JOB_ARRAY_SIZE": "8"}, "7/8"),
        (None, 8, {"JOB_COMPLETION_INDEX": "7", "AWS_BATCH_JOB_ARRAY_SIZE": "9"}, "7/8"),
        (None, 8, {"JOB_COMPLETION_INDEX": "7", "AWS_BATCH_JOB_ARRAY_INDEX": "7"}, "7/8"),
        (None, 8, {"JOB_COMPLETION_INDEX": "7", "SLURM_ARRAY_TASK_ID": ""}, "7/8"),
        (None, 8, {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_MIN": "3",
                   "SLURM_ARRAY_TASK_MAX": "5"}, "3/8"),
    ],
)  # fmt: skip
def test_the_shard_is_said_or_counted_by_the_array(
    shard: str | None, shards: int | None, environ: dict[str, str], expected: str | None
) -> None:
    """How many there are is always said; an array alone makes no shard, and a part of one may."""
    found = chosen(Shard.parse(shard) if shard else None, shards, environ)
    assert (str(found) if found else None) == expected


@pytest.mark.parametrize(
    ("shard", "shards", "environ", "message"),
    [
        ("3/8", 9, {}, "--shard 3/8 and --shards 9 disagree"),
        ("3/8", None, {"SLURM_ARRAY_TASK_ID": "4"}, "--shard is 3 and SLURM_ARRAY_TASK_ID is 4"),
        (None, 8, {"SLURM_ARRAY_TASK_ID": "4", "JOB_COMPLETION_INDEX": "0"}, "unset"),
        (None, 8, {}, "--shard 0/8"),
        (None, 8, {"SLURM_ARRAY_TASK_ID": ""}, "--shard 0/8"),
        (None, 8, {"JOB_COMPLETION_INDEX": "8"}, "no shard 8"),
        (None, 8, {"JOB_COMPLETION_INDEX": "-1"}, "'-1'"),
        (None, 8, {"JOB_COMPLETION_INDEX": "three"}, "'three'"),
        (None, 8, {"SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_MIN": "1",
                   "SLURM_ARRAY_TASK_MAX": "8"}, "--array=0-7"),
        (None, 8, {"AWS_BATCH_JOB_ARRAY_INDEX": "1", "AWS_BATCH_JOB_ARRAY_SIZE": "9"}, "9 tasks"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused_in_one_line(
    shard: str | None, shards: int | None, environ: dict[str, str], message: str
) -> None:
    """Two sources that disagree, too few, or an array that does not count as shards do: 2."""
    with pytest.raises(ConfigurationError) as refused:
        chosen(Shard.parse(shard) if shard else None, shards, environ)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert refused.value.exit_status == 2


def test_the_number_takes_its_place_in_a_path() -> None:
    """In any archive's: a directory or a bucket; without a shard there is nothing to put there."""
    assert placed("/srv/videos/{shard}", Shard(3, 8)) == "/srv/videos/3"
    assert placed("s3://b/{shard}/of-8", Shard(3, 8)) == "s3://b/3/of-8"
    assert placed("/srv/videos", Shard(3, 8)) == "/srv/videos"
    assert placed("/srv/videos", None) == "/srv/videos"
    with pytest.raises(ConfigurationError, match="--shard"):
        placed("/srv/videos/{shard}", None)
