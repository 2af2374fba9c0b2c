"""Saved responses, webhook bodies and pages of `assets_generated` are manifests."""

import io
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.manifest.entries import BadLine, Ids, read
from archiver.manifest.pages import page_items
from tests.unit.manifest.reading import NO_ID, names

LINK = "https://pub-1.r2.dev/generations/e9b7.mp4"
OTHER = "https://cdn2.stablediffusionapi.com/generations/two.mp4"
CREATED = {
    "status": "processing",
    "eta": 605,
    "message": "Request processing, try fetching after eta",
    "fetch_result": "https://modelslab.com/api/v6/video/fetch/278",
    "id": 278,
    "output": [],
    "meta": {"prompt": "a cat", "id": 5, "init_video": "https://h/in.mp4"},
    "future_links": [LINK],
}
FETCHED = {"status": "success", "id": 278, "output": [LINK], "tip": "…", "proxy_links": None}
WEBHOOK = {
    "status": "success",
    "id": "278",
    "output": [LINK],
    "generationTime": 61.5,
    "track_id": "263",
    "meta": {"prompt": "a cat"},
}
FAILED = {"status": "failed", "id": 278, "message": "Failed, Try Again", "track_id": 263}
WRAPPED: dict[str, object] = {"status": "success", "data": {"id": 278, "output": [LINK]}}
PAGE: dict[str, object] = {
    "status": "success",
    "type": "video",
    "data": [{"id": 278, "output": [LINK]}, {"id": 279, "output": [OTHER]}],
    "pagination": {"current_page": 2, "per_page": 15, "total": 53, "last_page": 4},
}
MAPPED: dict[str, object] = PAGE | {
    "data": {"0": {"id": 278, "output": [LINK]}, "1": {"id": 279, "output": OTHER}}
}
ONE = [Ids("v6/deepfake", ("278",), True, (LINK,))]
TWO = [*ONE, Ids("v6/deepfake", ("279",), True, (OTHER,))]


def written(documents: list[dict[str, object]], form: str) -> str:
    """Write documents to a manifest in one of the usual forms."""
    match form:
        case "lines":
            return "".join(f"{json.dumps(one)}\n" for one in documents)
        case "joined":
            return "".join(json.dumps(one, ensure_ascii=False) for one in documents)
        case "pretty":
            return "\n".join(json.dumps(one, indent=4) for one in documents)
        case "list":
            return json.dumps(documents)
        case _:
            return json.dumps(documents, indent=2).replace("\n", "\r\n")


@pytest.mark.parametrize("form", ["lines", "joined", "pretty", "list", "pretty list"])
@pytest.mark.parametrize("suffix", ["json", "jsonl", "txt"])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(
    ("document", "listed"),
    [
        (CREATED, [Ids("v6/video", ("278",), False, (LINK,))]),
        (FETCHED, ONE),
        (WEBHOOK, ONE),
        (FAILED, [Ids("v6/deepfake", ("278",), True)]),
        (WRAPPED, ONE),
        (PAGE, TWO),
        (MAPPED, TWO),
        (PAGE | {"data": []}, []),
    ],
    ids=["created", "fetched", "webhook", "failed", "wrapped", "page", "mapped", "empty"],
)
def test_documents(
    document: dict[str, object], listed: list[Ids], count: int, suffix: str, form: str
) -> None:
    """A saved document is read with its links: alone, in lines, in a list and pretty-printed."""
    text = written([document] * count, form)
    found = read(io.BytesIO(text.encode()), f"saved.{suffix}", "deepfake")
    assert [
        replace(one, said="") if isinstance(one, Ids) else one for one in found
    ] == listed * count


def test_mixed_documents() -> None:
    """All kinds may stand in one file, among bare IDs."""
    kinds: list[dict[str, object]] = [CREATED, FETCHED, WEBHOOK, FAILED, WRAPPED, PAGE, MAPPED]
    text = f"[1, {written(kinds, 'list')[1:-1]}, 2]"
    expected = ["deepfake/1", "video/278", *["deepfake/278"] * 5, "deepfake/279"]
    expected += ["deepfake/278", "deepfake/279", "deepfake/2"]
    assert names(text) == [f"v6/{name}" for name in expected]


def test_items_that_name_their_endpoint() -> None:
    """An item of a page may have the fetch URL of its generation, or its endpoint."""
    items = [{"id": 278, "fetch_result": CREATED["fetch_result"]}, {"id": 1, "endpoint": "3d"}, 5]
    assert names(json.dumps({"data": items})) == ["v6/video/278", "v6/3d/1", "v6/deepfake/5"]


@pytest.mark.parametrize("data", ["[\n%s,\n%s,\n%s\n]", '{"0":\n%s, "1" :\n%s,"2":\n%s}'])
@pytest.mark.parametrize(
    ("before", "after"), [("", ""), ("# page 1\n1\n", ""), ('[{"id": 1,\n"x": []},', "]")]
)
def test_bad_items(data: str, before: str, after: str) -> None:
    """A bad item of a page is one bad line with its number, and the other items are read."""
    items = data % ('{"id": 2}', '{"id":\n "", "output": ["https://h/a.mp4"]}', '{"id": "3"}')
    text = before + '{"status":"success",\n"type":\n"video","data":' + items + '\n, "n": {}}'
    text += after
    first, problem, last = list(read(io.BytesIO(text.encode()), "p.json", "deepfake"))[-3:]
    assert isinstance(first, Ids)
    assert isinstance(last, Ids)
    assert (first.ids, last.ids) == (("2",), ("3",))
    assert isinstance(problem, BadLine)
    assert problem.line == before.count("\n") + 5
    assert problem.shown == r"""'{"id":\n "", "output": ["https://h/a.mp4"]}'"""
    assert problem.reason.endswith(NO_ID)


@pytest.mark.parametrize(
    "document",
    [
        '{"status": "processing", "message": "try again later.", "output": ""}',
        '{"status": "failed", "id": "", "message": "Request not found", "output": ""}',
        '{"status": "error", "message": "Invalid Api Key", "data": []}',
        '{"status": "success", "data": null}',
        '{"status": "success", "data": "none"}',
        '{"data": {"user": {"id": 7}, "plan": {"id": 3}}}',
        '{"data": {"code": 5}}',
    ],
)
def test_documents_without_an_id(document: str) -> None:
    """A document that names no generation is one bad line: it is not passed over."""
    (problem,) = names(document, "saved.json")
    assert problem.endswith(NO_ID)


@pytest.mark.parametrize("id_", ["279", 279])
def test_contradictory_id(id_: object) -> None:
    """A saved response whose ID is not that of its fetch URL is a bad line, also on a page."""
    for document in (CREATED | {"id": id_}, {"data": [CREATED | {"id": id_}]}):
        (problem,) = names(json.dumps(document))
        assert problem.endswith("expected id and fetch_result to agree")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=9,
)


@given(st.lists(values), values, st.sampled_from([None, 0, 2]), st.booleans())
def test_places_of_items(items: list[object], other: object, indent: int, escaped: bool) -> None:
    """Each item of a page is found where it stands, whatever stands around it."""
    page = {"a": other, "data": items, "b": other}
    text = json.dumps(page, indent=indent, ensure_ascii=escaped)
    found = list(page_items(text, 0))
    assert [one.value for one in found] == items
    assert [json.loads(text[one.at : one.end]) for one in found] == items


def test_items_between_blocks() -> None:
    """A page is read the same wherever the blocks of the stream end."""
    for size in (16_384, 65_536, 81_920):
        for shift in range(-60, 3):
            text = " " * (size + shift) + json.dumps({"data": [{"id": 2}, {"id": 3}]})
            assert names(f"[{text}]") == ["v6/deepfake/2", "v6/deepfake/3"]
