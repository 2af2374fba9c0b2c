"""A generation's identity: all its spellings, and the names that follow from it alone."""

import posixpath
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from archiver.generation import Generation, canonical_endpoint, entry_number, generation_at

ENDPOINTS = ["v6/deepfake", "v6/video", "v7/video-fusion", "v1/enterprise/deepfake"]
IDS = st.one_of(
    st.from_regex(r"[A-Za-z0-9_-]{1,128}", fullmatch=True),
    st.text("1-0a", min_size=1, max_size=6),
    st.builds(
        "{}{}".format,
        st.from_regex(r"[A-Za-z0-9_-]{1,120}", fullmatch=True),
        st.sampled_from(["-1", "-01", "-0", "-10", "--1", "-"]),
    ),
)
GENERATIONS = st.builds(Generation.of, st.sampled_from(ENDPOINTS), IDS)
NUMBERED = st.tuples(GENERATIONS, st.integers(1, 120), st.integers(1, 120)).filter(
    lambda place: place[1] <= place[2]
)
EXTENSIONS = st.sampled_from(["mp4", "mov", "webm", "mkv", "gif"])


@pytest.mark.parametrize(
    ("spelling", "canonical"),
    [
        ("deepfake", "v6/deepfake"),
        ("faceswap", "v6/deepfake"),
        ("FaceSwap", "v6/deepfake"),
        (" deepfake\n", "v6/deepfake"),
        ("/v6/deepfake/", "v6/deepfake"),
        ("V6/Faceswap", "v6/deepfake"),
        ("realtime", "v6/realtime"),
        ("video", "v6/video"),
        ("image_editing", "v6/image_editing"),
        ("3d", "v6/3d"),
        ("video-fusion", "v7/video-fusion"),
        ("v7/video-fusion", "v7/video-fusion"),
        ("v7/images", "v7/images"),
        ("v5/deepfake", "v5/deepfake"),
        ("v10/video", "v10/video"),
        ("enterprise/video", "v1/enterprise/video"),
        ("v1/enterprise/video", "v1/enterprise/video"),
        ("enterprise/faceswap", "v1/enterprise/deepfake"),
        ("v1/enterprise/faceswap", "v1/enterprise/deepfake"),
        ("v1/enterprise/deepfake", "v1/enterprise/deepfake"),
    ],
)
def test_an_endpoint_has_one_spelling(spelling: str, canonical: str) -> None:
    """Every spelling that people use gives the canonical one, which gives itself."""
    assert canonical_endpoint(spelling) == canonical
    assert canonical_endpoint(canonical) == canonical


BAD_ENDPOINTS = [
    "", " ", "/", "//", ".", "..", "../etc", "v6/..", "v6/../deepfake", ".hidden", "-x", "_x",
    "v6//deepfake", "v6/deep fake", "v6/deepfake/fetch", "v6/deepfake/263", "video/v6", "v100/x",
    "v6.1/video", "v٦/deepfake", "deepfäke", "deep\0fake", "deepfake\nx", "a" * 41,
    "https://modelslab.com/api/v6/deepfake", "enterprise", "v1/enterprise", "enterprise/enterprise",
    "v1/enterprise/enterprise", "v6", "v06/deepfake", "v0/deepfake",
]  # fmt: skip


@pytest.mark.parametrize("spelling", BAD_ENDPOINTS)
def test_an_invalid_endpoint_is_rejected(spelling: str) -> None:
    """The error describes what was expected."""
    with pytest.raises(ValueError, match="expected an endpoint such as deepfake"):
        canonical_endpoint(spelling)


BAD_IDS = [
    "", " ", " 263", "263 ", "263\n", ".", "..", "../263", "a/b", "a\\b", "a\0b", "263.mp4",
    "٣", "²", "é", "~", "%2e", "a b", "a" * 129,
]  # fmt: skip


@pytest.mark.parametrize("id_", BAD_IDS)
def test_an_invalid_id_is_rejected(id_: str) -> None:
    """An ID that could not be a file name everywhere is rejected."""
    with pytest.raises(ValueError, match="expected an ID of 1 to 128 letters"):
        Generation.of("deepfake", id_)


@given(st.text(), st.text())
@example("deepfake", "..")
@example("..", "263")
@example("v6/..", "..")
def test_nothing_leaves_the_data_directory(endpoint: str, id_: str) -> None:
    """Whatever a manifest lists is rejected, or its files have a plain path in `data/`."""
    try:
        generation = Generation.of(endpoint, id_)
    except ValueError:
        return
    for path in (generation.sidecar_path, generation.payload_path(1, 2, "mp4")):
        assert re.fullmatch(r"data/(?:[a-z0-9_-]+/){2,3}[A-Za-z0-9_-]+\.[a-z0-9]+", path)
        assert posixpath.normpath(path) == path


def test_faceswap_and_deepfake_name_the_same_generation() -> None:
    """The family's two names give equal generations, under v6 as under v1/enterprise."""
    assert Generation.of("faceswap", "263") == Generation.of("v6/deepfake", "263")
    assert Generation.of("v1/enterprise/faceswap", "263") == Generation.of(
        "enterprise/deepfake", "263"
    )
    assert Generation.of("enterprise/deepfake", "263") != Generation.of("deepfake", "263")


def test_a_bare_family_belongs_to_version_6() -> None:
    """The default endpoint has a canonical spelling like any other."""
    assert canonical_endpoint("deepfake") == "v6/deepfake"


@pytest.mark.parametrize(
    ("endpoint", "name", "fetch", "other"),
    [
        ("deepfake", "v6/deepfake/263", "v6/deepfake/fetch/263", "v6/faceswap/fetch/263"),
        ("video", "v6/video/263", "v6/video/fetch/263", None),
        ("v7/video-fusion", "v7/video-fusion/263", "v7/video-fusion/fetch/263", None),
        ("enterprise/faceswap", "v1/enterprise/deepfake/263", "v1/enterprise/deepfake/fetch/263",
         "v1/enterprise/faceswap/fetch/263"),
    ],
)  # fmt: skip
def test_the_fetch_path_follows_from_the_name(
    endpoint: str, name: str, fetch: str, other: str | None
) -> None:
    """A renamed family has a second fetch path."""
    generation = Generation.of(endpoint, "263")
    assert (generation.name, str(generation)) == (name, name)
    assert (generation.fetch_path, generation.other_fetch_path) == (fetch, other)


@pytest.mark.parametrize(
    ("id_", "number", "of", "path"),
    [
        ("263", 1, 1, "data/v6/deepfake/263.mp4"),
        ("263", 1, 2, "data/v6/deepfake/263-1.mp4"),
        ("263", 2, 2, "data/v6/deepfake/263-2.mp4"),
        ("263", 12, 120, "data/v6/deepfake/263-12.mp4"),
        ("263-1", 1, 1, "data/v6/deepfake/263-1-1.mp4"),
        ("263-01", 1, 1, "data/v6/deepfake/263-01.mp4"),
        ("263-0", 1, 1, "data/v6/deepfake/263-0.mp4"),
        ("-1", 1, 1, "data/v6/deepfake/-1.mp4"),
        ("abc123-def456", 1, 1, "data/v6/deepfake/abc123-def456.mp4"),
    ],
)
def test_the_payload_path_follows_from_the_generation(
    id_: str, number: int, of: int, path: str
) -> None:
    """Several outputs are numbered, and so is a single one whose ID ends in a number."""
    assert Generation.of("deepfake", id_).payload_path(number, of, "mp4") == path


def test_the_sidecar_is_beside_the_payload() -> None:
    """It is named after the ID, also where that ends in a number."""
    assert Generation.of("deepfake", "263-1").sidecar_path == "data/v6/deepfake/263-1.json"


@given(GENERATIONS)
def test_a_name_is_read_back(generation: Generation) -> None:
    """The name is enough to restore a generation."""
    assert Generation.from_name(generation.name) == generation
    assert Generation.of(generation.endpoint, generation.id) == generation


@given(NUMBERED, EXTENSIONS)
@example((Generation("v6/deepfake", "263-1"), 1, 1), "mp4")
@example((Generation("v6/deepfake", "263-01"), 1, 1), "mp4")
@example((Generation("v6/deepfake", "-1"), 1, 1), "mp4")
def test_a_path_leads_back_to_its_generation(
    place: tuple[Generation, int, int], extension: str
) -> None:
    """`generation_at` is the inverse of the paths, for every ID and number."""
    generation, number, of = place
    assert generation_at(generation.payload_path(number, of, extension)) == generation
    assert generation_at(generation.sidecar_path) == generation
    assert entry_number(generation.sidecar_path) is None
    for entry in (1, 2, 10, 999):
        assert generation_at(generation.entry_path(entry)) == generation
        assert entry_number(generation.entry_path(entry)) == entry


@given(NUMBERED, NUMBERED)
@example((Generation("v6/deepfake", "263"), 1, 2), (Generation("v6/deepfake", "263-1"), 1, 1))
@example((Generation("v6/deepfake", "263-1"), 1, 2), (Generation("v6/deepfake", "263"), 1, 2))
def test_no_two_payloads_share_a_path(
    one: tuple[Generation, int, int], other: tuple[Generation, int, int]
) -> None:
    """Different generations or outputs never have the same file."""
    if one[0].payload_path(*one[1:], "mp4") == other[0].payload_path(*other[1:], "mp4"):
        assert one[:2] == other[:2]


@given(GENERATIONS, NUMBERED)
def test_no_sidecar_shares_a_path(one: Generation, other: tuple[Generation, int, int]) -> None:
    """It is neither the path of a payload nor that of another generation's sidecar."""
    assert one.sidecar_path != other[0].payload_path(*other[1:], "mp4")
    assert (one.sidecar_path == other[0].sidecar_path) == (one == other[0])


@pytest.mark.parametrize(
    "path",
    [
        "", "data", "data/", "263.mp4", "data/263.mp4", "data/v6/deepfake", "data/v6/deepfake/",
        "data/v6/deepfake/263", "data/v6/deepfake/.mp4", "data/v6/deepfake/a b.mp4",
        "data/v6/deepfake/263.entry-1.json", "data/v6/deepfake/263.entry-02.json",
        "data/v6/deepfake/263.entry.entry.json", "data/v6/deepfake/263.entry.mp4",
        "data/v6/deepfake/.entry.json", "data/v6/deepfake/263.entry-.json",
        "data/v6/deepfake/263.tar.gz", "data/v6/deepfake/263.MP4", "data/deepfake/263.mp4",
        "data/v6/faceswap/263.mp4", "data/V6/deepfake/263.mp4", "data/v6/deepfake//263.mp4",
        "data/../v6/deepfake/263.mp4", "data/v6/../deepfake/263.mp4", "/data/v6/deepfake/263.mp4",
        "other/v6/deepfake/263.mp4", "data/v6/deepfake/263.mp4\n", "data/v6/deepfake/٣.mp4",
    ],
)  # fmt: skip
def test_other_paths_belong_to_no_generation(path: str) -> None:
    """Other files in the archive are unknown."""
    assert generation_at(path) is None


@given(st.text())
def test_any_path_can_be_read(tail: str) -> None:
    """Any path of a checksum manifest leads to a valid generation, or to none."""
    if generation := generation_at(f"data/{tail}"):
        assert Generation.of(generation.endpoint, generation.id) == generation
