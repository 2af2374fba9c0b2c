"""What an item says is kept, without links and the key; sources are merged by addition."""

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.manifest.entries import Ids, read
from archiver.manifest.said import Document, additions, said_in

LINK = "https://pub-1.r2.dev/generations/a.mp4"
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
NAMES = st.sampled_from(["meta", "data", "prompt", "id", "seed", "key", "output", "status"])
DOCUMENTS = st.dictionaries(
    NAMES | st.text(max_size=3),
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner),
        max_leaves=6,
    ),
)


def said(value: object) -> Any:
    return json.loads(said_in(value) or "null")


@pytest.mark.parametrize(
    "item",
    [
        263, "deepfake/263", None, [1], {"id": 263}, {"request_id": "1", "endpoint": "video"},
        {"fetch_result": "https://h/api/v6/video/fetch/1", "id": 1}, {"id": 1, "output": [LINK]},
        {"id": 1, "prompt": "", "seed": None, "meta": {}, "tags": [], "note": "  "},
        {"status": "processing", "eta": 5, "message": "later", "id": 1, "future_links": [LINK]},
        {"status": "success", "id": 1, "output": LINK, "tip": "x", "proxy_links": None},
        {"status": "success", "data": {"id": 1, "output": [LINK], "links": [LINK]}},
        {"id": 1, "key": "sk-1", "API Key": "sk-1", "Authorization": "Bearer sk-1"},
        {"id": 1, "video": LINK}, {"id": 1, "": "in no column"}, {"id": 1, "seed": float("nan")},
    ],
)  # fmt: skip
def test_what_says_nothing(item: object) -> None:
    """IDs, links, how far it was, keys and empty cells are nothing to keep."""
    assert said_in(item) == ""


@pytest.mark.parametrize(
    ("item", "kept"),
    [
        ({"id": 1, "prompt": "a cat", "seed": 0, "nsfw": False},
         {"prompt": "a cat", "seed": 0, "nsfw": False}),
        ({"id": 1, "status": "approved", "message": "mine"},
         {"status": "approved", "message": "mine"}),
        ({"status": "success", "id": 1, "output": [LINK], "meta": {"init_video": LINK, "key": 1}},
         {"meta": {"init_video": LINK}}),
        ({"status": "failed", "id": 1, "message": "x", "track_id": 7}, {"track_id": 7}),
        ({"id": 1, "video": "the third", "data": "2026"}, {"video": "the third", "data": "2026"}),
        ({"id": 1, "data": {"id": 1, "output": [LINK], "prompt": "a"}}, {"data": {"prompt": "a"}}),
        ({"id": 1, "hook": "https://h/?a=1&api_key=sk-old&b=2"},
         {"hook": "https://h/?a=1&api_key=[API key]&b=2"}),
        ({"id": 1, "sent": '{"key": "sk-old", "prompt": "a"}'},
         {"sent": '{"key": "[API key]", "prompt": "a"}'}),
        ({"id": 1, "prompt": "the key: gold"}, {"prompt": "the key: gold"}),
    ],
)  # fmt: skip
def test_what_is_kept(item: object, kept: object) -> None:
    """All else is, as it stands there."""
    assert said(item) == kept


def test_nesting_without_end_is_cut() -> None:
    """What is nested deeply is left out, and what stands beside it is kept."""
    deep: object = "x"
    for _ in range(900):
        deep = {"a": [deep]}
    assert said({"id": 1, "prompt": "a cat", "deep": deep})["prompt"] == "a cat"
    assert len(said_in({"id": 1, "prompt": "a cat", "deep": deep})) < 300


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", '{"id": 1}\n{"id": 263, "prompt": "a cat"}\n'),
        ("a.csv", "ID,Prompt,key,seed\n1,,sk-1,\n263,a cat,sk-1,\n"),
        ("a.json", '{"status": "success", "data": [{"id": 1}, {"id": 263, "prompt": "a cat"}]}'),
    ],
)
def test_items_of_manifests(name: str, text: str) -> None:
    """Rows, lines and the items of a page come with what they say; bare IDs say nothing."""
    found = [one for one in read(io.BytesIO(text.encode()), name, "video") if isinstance(one, Ids)]
    assert [(list(one.ids), one.said) for one in found] == [
        (["1"], ""), (["263"], '{"prompt": "a cat"}'),
    ]  # fmt: skip


# --- Merging


@pytest.mark.parametrize(
    ("known", "item", "added"),
    [
        ([], {"prompt": "a"}, [{"prompt": "a"}]),
        ([{"prompt": "a", "seed": 7}], {"seed": "7", "prompt": "a"}, []),
        ([{"prompt": "a"}], {"prompt": "a", "model": "m"}, [{"model": "m"}]),
        ([{"prompt": "a"}], {"prompt": "a and more"}, [{"prompt": "a and more"}]),
        ([{"meta": {"a": 1}}], {"meta": {"a": 1, "b": 2}}, [{"meta": {"b": 2}}]),
        ([{"a": 1}, {"a": 2}], {"a": 2}, []),
        ([{"meta": "x"}], {"meta": {"a": 1}}, [{"meta": {"a": 1}}]),
    ],
)  # fmt: skip
def test_one_more_source(known: list[Document], item: Document, added: list[Document]) -> None:
    """It adds what no other has said; what differs stands beside what was there."""
    assert additions(known, [item]) == added


def test_sources_of_one_run_share_a_document_where_they_agree() -> None:
    """A creation response and a webhook body are one document, a contradiction another."""
    created: Document = {"meta": {"prompt": "a", "seed": 1}}
    finished: Document = {"meta": {"prompt": "a", "fps": 8}, "track_id": "7"}
    other: Document = {"meta": {"prompt": "b"}, "track_id": "7", "note": "mine"}
    assert additions([], [created, finished, other]) == [
        {"meta": {"prompt": "a", "seed": 1, "fps": 8}, "track_id": "7"},
        {"meta": {"prompt": "b"}, "note": "mine"},
    ]


@given(DOCUMENTS)
def test_what_is_said_can_be_written_and_says_the_same(document: Document) -> None:
    """It is JSON without keys, and says no more when it is read again."""
    text = said_in(document)
    assert text == "" or said_in(json.loads(text)) in (text, said_in(document))
    assert "key" not in (json.loads(text) if text else {})


@given(st.lists(DOCUMENTS, max_size=4))
def test_nothing_is_lost_or_said_twice(documents: list[Document]) -> None:
    """All that the sources say is said then, in whatever order and however often they come."""
    items = [said(document) for document in documents if said_in(document)]
    added = additions([], items)
    assert additions(added, items) == []
    assert additions(added, reversed(items)) == []
    one_by_one: list[Document] = []
    for item in items:
        one_by_one += additions(one_by_one, [item])
    assert additions(one_by_one, added) == additions(added, one_by_one) == []
