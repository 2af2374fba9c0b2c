"""An entry brings along what it says of its generation: the endpoint, and links to its videos."""

import io
import json

import pytest

from archiver.manifest.carried import LINKS_LIMIT
from archiver.manifest.entries import Ids, read

A, B = "https://pub-1.r2.dev/generations/a.mp4", "https://h/b.mp4?sig=%2F"


def entries(text: str, name: str = "ids") -> list[Ids]:
    """Return the entries, none of which is a bad line."""
    return [
        one for one in read(io.BytesIO(text.encode()), name, "deepfake") if isinstance(one, Ids)
    ]


@pytest.mark.parametrize(
    ("text", "assumed"),
    [
        ("263", True),
        ("263 # the cat", True),
        ("263\n264\n265\n", True),
        ("[263, 264, 265]", True),
        ('["263"]', True),
        ('{"id": 263}', True),
        ('{"request_id": "263", "endpoint": ""}', True),
        ("id,endpoint\n263,\n", True),
        ("deepfake/263", False),
        ('["deepfake/263"]', False),
        ("https://h/api/v6/deepfake/fetch/263", False),
        ('{"id": 263, "endpoint": "deepfake"}', False),
        ('{"id": 263, "fetch_result": "https://h/api/v6/deepfake/fetch/263"}', False),
        ('{"id": "", "fetch_result": "https://h/api/v6/deepfake/fetch/263"}', False),
        ("id,endpoint\n263,deepfake\n", False),
    ],
)
def test_assumed_endpoint(text: str, assumed: bool) -> None:
    """It is known whether the manifest names the endpoint or the default one is assumed."""
    found = entries(text)
    assert found
    assert {one.assumed for one in found} == {assumed}


@pytest.mark.parametrize(
    "fields",
    [
        {"output": [A, B]},
        {"output": f"{A},{B}"},
        {"output": json.dumps([A, B])},
        {"output": {"0": A, "1": B}},
        {"output": [{"url": A, "thumbnail": "https://h/t.jpg"}, {"url": B}]},
        {"output": [[A], None, "", B, A, 5, "data:video/mp4;base64,AAAA", "/b.mp4"]},
        {"output": A, "proxy_links": [B]},
        {"output": "", "future_links": [A], "links": {"0": B}},
        {"output": [A], "proxy_links": {"0": B}, "meta": {"init_video": "https://h/in.mp4"}},
    ],
)
def test_links(fields: dict[str, object]) -> None:
    """The links of a saved response are kept, whatever the shape of their list."""
    (entry,) = entries(json.dumps({"status": "success", "id": 263} | fields))
    assert (list(entry.names()), entry.links) == (["v6/deepfake/263"], (A, B))


def test_links_in_a_table() -> None:
    """A column of links is read too."""
    (entry,) = entries(f"id,output\n263,{A}\n")
    assert entry.links == (A,)


def test_many_links() -> None:
    """Of hundreds of links the first hundred are kept."""
    links = [f"https://h/{number}.mp4" for number in range(500)]
    (entry,) = entries(json.dumps({"id": 263, "output": links}))
    assert list(entry.links) == links[:LINKS_LIMIT]


@pytest.mark.parametrize("text", ["263", '{"id": 263, "output": []}', '{"id": 263, "output": 5}'])
def test_no_links(text: str) -> None:
    """Most entries carry no links."""
    (entry,) = entries(text)
    assert entry.links == ()
