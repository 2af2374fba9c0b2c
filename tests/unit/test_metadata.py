"""What is said of a generation is read in all its spellings, and nothing hostile costs much."""

import json
from dataclasses import astuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.metadata import LONGEST_PROMPT, Metadata, merged, metadata_of

_NAMES = st.text() | st.sampled_from(
    ["meta", "data", "prompt", "seed", "W", "h", "size", "duration", "fps", "num_frames", "created"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(_NAMES, inner),
    max_leaves=20,
)


def test_a_response_of_the_old_api() -> None:
    """The settings in `meta` are read, by their old one-letter names too."""
    document = {
        "status": "success",
        "id": 302455,
        "generationTime": 2.9,
        "output": ["https://h/a.mp4"],
        "meta": {
            "H": 512,
            "W": 768,
            "model": "zeroscope",
            "negative_prompt": "blurry",
            "prompt": "a cat",
            "seed": 1793745243,
            "num_frames": 25,
            "fps": "10",
        },
    }
    assert metadata_of(document) == Metadata(
        "a cat", "blurry", "zeroscope", "1793745243", 768, 512, 2.5
    )


def test_a_row_of_a_table() -> None:
    """Columns are named as people name them, and every cell is a string."""
    row = {
        "id": "263",
        "Prompt": " a cat ",
        "Negative Prompt": "dogs",
        "Model ID": "cogvideox",
        "seed": "7",
        "Width": "512",
        "height": "512px",
        "Duration": "5 s",
        "Track-ID": "order 12",
        "Created At": "2026-02-03T04:05:06+01:00",
    }
    assert metadata_of(row) == Metadata(
        *("a cat", "dogs", "cogvideox", "7", 512, 512, 5.0, "order 12"),
        created="2026-02-03T03:05:06+00:00",
    )


@pytest.mark.parametrize(
    ("value", "seed"),
    [(7, "7"), ("7", "7"), (7.0, "7"), ([7, "8"], "7, 8"), (0, "0"), (-1, None), ("-1", None),
     (True, None), (None, None), ("", None), (10**300, None), ({"0": 7}, "7")],
)  # fmt: skip
def test_seeds(value: object, seed: str | None) -> None:
    """A seed is a number, a string or a list; -1 asks for any, and says nothing."""
    assert metadata_of({"seed": value}).seed == seed


@pytest.mark.parametrize(
    ("value", "prompt"),
    [("a", "a"), (["a", "b"], "a\nb"), ({"0": "a", "30": "b"}, "a\nb"), ([["a"]], "a"),
     ("a\nb\tc", "a\nb\tc"), ("a\0b\x1b[1m", "a\ufffdb\ufffd[1m"), ("\udcff", "\ufffd"),
     ("\u200f\u05e9 \U0001f469\u200d\U0001f467", "\u200f\u05e9 \U0001f469\u200d\U0001f467"),
     (7, "7"), ([], None), ("  ", None), ([None, {}], None)],
)  # fmt: skip
def test_prompts(value: object, prompt: str | None) -> None:
    """Lines, marks and emoji of a prompt stay; control characters and lone surrogates do not."""
    assert metadata_of({"prompt": value}).prompt == prompt


@pytest.mark.parametrize(
    ("fields", "frame"),
    [({"width": 512, "height": "512"}, (512, 512)), ({"resolution": "768x432"}, (768, 432)),
     ({"size": "768*432", "width": 9}, (9, 432)), ({"resolution": "720p"}, (None, None)),
     ({"width": 0, "height": -5}, (None, None)), ({"W": 1e9, "H": float("nan")}, (None, None))],
)  # fmt: skip
def test_frames(fields: dict[str, object], frame: tuple[int | None, int | None]) -> None:
    """The size of a frame is given in two fields or in one."""
    found = metadata_of(fields)
    assert (found.width, found.height) == frame


@pytest.mark.parametrize(
    ("fields", "duration"),
    [({"duration": 5}, 5), ({"duration": "5s"}, 5), ({"seconds": "2.5"}, 2.5),
     ({"num_frames": 25, "fps": 10}, 2.5), ({"num_frames": 25}, None), ({"fps": 0}, None),
     ({"duration": "long"}, None), ({"duration": float("inf")}, None), ({"duration": 1e9}, None),
     ({"num_frames": 1e-9, "fps": 80000}, None)],
)  # fmt: skip
def test_durations(fields: dict[str, object], duration: float | None) -> None:
    """A duration is in seconds, or follows from the frames and how many there are a second."""
    assert metadata_of(fields).duration == duration


@pytest.mark.parametrize(
    ("value", "created"),
    [("2026-02-03", "2026-02-03T00:00:00+00:00"),
     ("2026-02-03 04:05:06", "2026-02-03T04:05:06+00:00"),
     ("2026-02-03T04:05:06.789Z", "2026-02-03T04:05:06+00:00"),
     (1770091506, "2026-02-03T04:05:06+00:00"), ("1770091506", "2026-02-03T04:05:06+00:00"),
     (1770091506789, "2026-02-03T04:05:06+00:00"), ("yesterday", None), (5, None), (1e300, None),
     ("9999-12-31T23:59:59-12:00", None), ("0001-01-01T00:00:00+12:00", None)],
)  # fmt: skip
def test_times(value: object, created: str | None) -> None:
    """A time is in ISO 8601 or counted from 1970; one that is no time says nothing."""
    assert metadata_of({"created_at": value}).created == created


def test_what_is_said_in_several_places() -> None:
    """`meta` counts more than the fields around it, and these more than other parts."""
    document = {
        "prompt": "outside",
        "track_id": "7",
        "data": {"prompt": "in data", "seed": 1},
        "meta": '{"prompt": "in meta", "track_id": null}',
    }
    assert metadata_of(document) == Metadata("in meta", seed="1", track_id="7")
    assert metadata_of({"seed": 2}, document).seed == "2"


def test_what_says_nothing() -> None:
    """Whatever is no object says nothing, and neither does nothing."""
    assert metadata_of() == metadata_of(None, 5, "a cat", [{"prompt": "a cat"}], {}) == Metadata()


def test_hostile_documents_are_bounded() -> None:
    """A huge prompt is cut, and nesting without end is not followed."""
    deep: object = "a cat"
    for _ in range(100_000):
        deep = {"meta": deep, "prompt": [deep]}
    assert metadata_of(deep) == Metadata()
    found = metadata_of({"prompt": "x" * 10_000_000, "negative_prompt": ["y" * 9000] * 9999})
    assert [len(found.prompt or ""), len(found.negative_prompt or "")] == [LONGEST_PROMPT] * 2
    assert metadata_of({"meta": "[" * 200_000, "data": '{"a":' * 40_000}) == Metadata()


@given(JSON)
def test_any_document_is_read(document: object) -> None:
    """Whatever the document, what is read can be stored, and is read alike a second time."""
    found = metadata_of(document)
    assert found == metadata_of(document, document)
    for value in astuple(found):
        assert value is None or value == json.loads(json.dumps(value))
        assert not isinstance(value, str) or value.encode()


@given(st.lists(JSON))
def test_merging_is_reading_one_after_the_other(documents: list[object]) -> None:
    """The first document that has a field counts."""
    assert metadata_of(*documents) == merged(map(metadata_of, documents))
