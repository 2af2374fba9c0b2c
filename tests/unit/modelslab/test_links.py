"""The links of each output: which proxy belongs to which primary, and what a list may look like."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.modelslab.links import paired_outputs, primary_links, proxy_links
from tests.support.cost import calls

A, B = "https://a.example/1.mp4", "https://a.example/2.mp4"


def pairs(primaries: list[str], proxies: list[str]) -> list[list[str]]:
    """Return for each output its proxies, all of them named without their hosts."""
    outputs = paired_outputs(
        [f"https://a.example/{name}" for name in primaries],
        [f"https://b.example/{name}" for name in proxies],
    )
    assert [len([link for link in each.links if link.role == "primary"]) for each in outputs] == [
        1 for _ in primaries
    ]
    return [[link.url.partition("example/")[2] for link in each.links[1:]] for each in outputs]


@pytest.mark.parametrize(
    ("primaries", "proxies", "expected"),
    [
        (["x", "two"], ["ok", "two"], [["ok"], ["two"]]),
        (["x", "two", "y"], ["ok", "two", "z"], [["ok"], ["two"], ["z"]]),
        (["x", "y"], ["ok", "fine"], [["ok"], ["fine"]]),
        (["v", "v?1", "w"], ["v", "v?1", "w"], [["v"], ["v?1"], ["w"]]),
        (["x/v", "y/v"], ["x/v", "z/v"], [["x/v"], ["z/v"]]),
    ],
)
def test_proxies_are_used_by_place_when_place_is_all_that_is_left(
    primaries: list[str], proxies: list[str], expected: list[list[str]]
) -> None:
    """There are as many as outputs, and each whose name is known stands where its output does."""
    assert pairs(primaries, proxies) == expected


@pytest.mark.parametrize(
    ("primaries", "proxies", "expected"),
    [
        (["one", "two"], ["two", "ok"], [[], ["two"]]),
        (["x", "two", "three"], ["ok", "three", "two"], [[], ["two"], ["three"]]),
        (["x", "two", "three"], ["ok", "two"], [[], ["two"], []]),
        (["x", "two"], ["two"], [[], ["two"]]),
        (["x", "two"], ["ok", "two", "more"], [[], ["two"]]),
        (["v", "v?1", "w"], ["v", "other", "v?1"], [[], [], []]),
        (["one", "two"], ["two?1", "two?2"], [[], ["two?1", "two?2"]]),
    ],
)
def test_places_count_for_nothing_where_a_name_contradicts_them(
    primaries: list[str], proxies: list[str], expected: list[list[str]]
) -> None:
    """A wrong pair would archive one video as another: rather no proxy than a wrong one."""
    assert pairs(primaries, proxies) == expected


def test_paths_count_more_than_names() -> None:
    """Two outputs of one name in two directories are told apart, in whatever order."""
    assert pairs(["x/v", "y/v"], ["y/v", "x/v"]) == [["x/v"], ["y/v"]]
    assert pairs(["x/v", "y/w"], ["z/w", "z/v"]) == [["z/v"], ["z/w"]]


NAMES = st.lists(st.sampled_from(["a", "b", "c", "d", "x/a", "y/a"]), min_size=2, unique=True)


@given(NAMES, NAMES)
def test_no_proxy_is_paired_with_an_output_whose_name_another_output_has(
    primaries: list[str], proxies: list[str]
) -> None:
    """Whatever is listed: a proxy whose name is that of one output only is no other's."""
    short = [name.rpartition("/")[2] for name in primaries]
    for name, found in zip(short, pairs(primaries, proxies), strict=True):
        for proxy in found:
            other = proxy.rpartition("/")[2]
            assert other == name or other not in short


def test_a_proxy_belongs_to_one_output() -> None:
    """Of several outputs it is a candidate for one at most."""
    found = pairs(["x", "y", "z"], ["x", "y", "z"])
    assert found == [["x"], ["y"], ["z"]]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, []), ("", []), ([], []), ({}, []), (0, []), (False, []), ([None], []),
        ([[], A], [A]), ([A, ""], None), ([A, {"width": 5}], None), (5, None), (True, None),
        ({"0": A, "1": B}, [A, B]), ({"10": B, "9": A}, [A, B]), ({"0": A, "1": ""}, None),
        ({"0": A, "url": B}, [B]), ({"video": A, "image": B}, [A]), ({"file": A}, [A]),
        ([{"url": A}, {"url": B}], [A, B]), ({"videos": [A, B]}, [A, B]),
        ({"url": "soon", "file": A}, [A]), ({"poster": A}, None),
        (f"{A},{B}", [A, B]), (f"{A},\n  {B}", [A, B]), (f"{A},,{B}", [f"{A},", B]),
        (f"{A}?w=1,2", [f"{A}?w=1,2"]), (f" {A}\n", [A]),
        (json.dumps([A, None]), [A]), ("[not JSON", ["[not JSON"]), ("[]", []), (["{}"], None),
    ],
)  # fmt: skip
def test_a_list_of_outputs_is_read_in_any_shape(value: object, expected: list[str] | None) -> None:
    """None is for a list of which one output is not there yet."""
    assert primary_links(value) == expected


@pytest.mark.parametrize(
    "value", [[A, None, B], {"0": A, "1": B}, f"{A},{B}", [[A], [B]], [{"url": A}, {"cdn": B}]]
)
def test_a_list_of_proxies_is_read_in_any_shape(value: object) -> None:
    """Also as a map, which is documented."""
    assert proxy_links(value) == [A, B]


def nested(depth: int, inner: object = A) -> object:
    for _ in range(depth):
        inner = [inner]
    return inner


MIB = 1 << 20
HOSTILE: dict[str, object] = {
    "backslashes": "\\" * MIB,
    "backslashes in a string of JSON": '["' + "\\" * MIB,
    "brackets": "[" * MIB,
    "braces": '{"a":' * (MIB // 5),
    "spaces": " " * MIB + "x",
    "commas": "," * MIB,
    "commas and spaces": (", " * 9 + " " * 99) * (MIB // 120),
    "URLs with commas": f"{A}," * (MIB // len(A)),
    "commas before http": ",http" * (MIB // 5),
    "nested lists": nested(900),
    "a wide map": {str(n): A for n in range(100_000)},
    "a wide object": {f"x{n}": A for n in range(100_000)},
    "lists of JSON in strings": [json.dumps([A])] * 50_000,
    "objects of objects": [{"url": {"url": {"url": {"url": {"url": A}}}}}] * 20_000,
    "objects with every name": [
        {name: dict.fromkeys(("url", "video", "output"), "") for name in ("url", "video")}
    ]
    * 20_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_list_takes_no_longer_than_its_size_deserves(name: str) -> None:
    """As much as a response may have is taken apart with the work of a moment."""
    value, began = HOSTILE[name], time.process_time()
    assert calls(lambda: (primary_links(value), proxy_links(value))) < 10_000_000
    assert time.process_time() - began < 60  # for what calls nothing
