"""A JSON manifest is a list, a saved response, or one of them on each line."""

import json

import pytest

from archiver.generation import Generation
from archiver.manifest.entries import BadLine
from tests.unit.manifest.reading import NO_ID, SPELLING, URL, names, readings

SCALAR = "expected an ID, a string or a whole number"
WHOLE = "expected a whole JSON element of at most 1 MiB"


@pytest.mark.parametrize(
    "element",
    [
        "263",
        '"263"',
        '" 263 "',
        '"deepfake/263"',
        '"https://h/api/v6/deepfake/fetch/263"',
        '{"id": 263}',
        '{"id": "263", "endpoint": "faceswap"}',
        '{"id": " 263 ", "fetch_result": " https://h/api/v6/deepfake/fetch/263 "}',
        '{"id": null, "request_id": 263, "endpoint": ""}',
        '{"id": "", "fetch_result": "https://h/api/v6/deepfake/fetch/263"}',
        '{"endpoint": "video", "fetch_result": "https://h/api/v6/deepfake/fetch/263/"}',
        '{"id": 263, "fetch_result": "", "seed": NaN, "meta": {"id": [1, {"\\"": "]}"}]}}',
        '{"status":"success","id":263,"output":["https://h/a.mp4"],"proxy_links":null}',
    ],
)
@pytest.mark.parametrize(
    "document",
    ["{}", "[{}]", "[{},]", "\n [\n {}\n]\n", "[]\n[{}]", "# x\n{} # y\n", "{},\r\n"],
)
def test_elements(element: str, document: str) -> None:
    """An ID, an object and a saved response are understood, alone, in a list and on a line."""
    text = document.replace("{}", element)
    assert names(text, "ids.json") == ["v6/deepfake/263"]


@pytest.mark.parametrize(
    "field",
    [
        b'"prompt": "caf\xe9"',
        rb'"prompt": "\ud83d"',
        rb'"prompt": "\u0000"',
        b'"seed": 1e999999999',
        b'"seed": -Infinity',
        b'"seed": ' + b"9" * 4300,
        b'"id": 5',
    ],
)
def test_odd_fields(field: bytes) -> None:
    """Odd values in other fields do no harm; of two fields of one name the last counts."""
    document = b'[1, {%s, "id": 263}, 2]' % field
    assert names(document) == ["v6/deepfake/1", "v6/deepfake/263", "v6/deepfake/2"]


def test_late_beginning() -> None:
    """If the first 64 KiB are blank, the file name decides the format."""
    assert names("\n" * 70_000 + "[\n1]", "ids.json") == ["v6/deepfake/1"]


def test_pretty_printed() -> None:
    """A response may be spread over many lines, and others may follow it."""
    meta: dict[str, object] = {"a": [[]]}
    responses = [{"id": id_, "output": ["x"] * 5000, "meta": meta} for id_ in (1, 2)]
    listed = json.dumps(responses, indent=1)
    alone = "\n".join(json.dumps(response, indent=4) for response in responses)
    joined = "".join(json.dumps(response) for response in responses)
    for document in (listed, alone, joined):
        assert names(document) == ["v6/deepfake/1", "v6/deepfake/2"]


@pytest.mark.parametrize(
    ("element", "expected"),
    [
        ("263.0", SCALAR),
        ("2e3", SCALAR),
        ("-1", SCALAR),
        ("NaN", SCALAR),
        ("true", SCALAR),
        ("null", SCALAR),
        ("[1, 2]", SCALAR),
        ('"foo bar"', SPELLING),
        (r'"\u0662"', SPELLING),
        ("9" * 200, "expected an ID of 1 to 128 letters"),
        ("{}", NO_ID),
        ('{"id": true}', SCALAR),
        ('{"id": [1]}', SCALAR),
        ('{"status": "processing", "output": ""}', NO_ID),
        ('{"id": 5, "endpoint": 6}', "expected an endpoint"),
        ('{"id": 5, "fetch_result": []}', "expected a fetch URL"),
        (f'{{"id": 5, "fetch_result": "{URL}"}}', "expected id and fetch_result to agree"),
    ],
)
def test_bad_elements(element: str, expected: str) -> None:
    """An element that names no generation is bad, and the rest of its line is read."""
    first, problem, last = names(f"[\n1,\n{element}, 2]")
    assert (first, last) == ("v6/deepfake/1", "v6/deepfake/2")
    assert problem.startswith("ids:3: ")
    assert f": {expected}" in problem
    assert element[:59] in problem.replace(r"\\", "\\")


@pytest.mark.parametrize(
    "broken",
    [
        '{"id": 5',
        '{"id":',
        '{"id": 5, "output": [',
        '{"id": 5, "prompt": "a',
        '{"id" 5}',
        '{"id": 5}}',
        "{5}",
        '"abc',
        "0263",
        "263abc",
        "263/5",
        "--",
        "nul",
        "9" * 5000,
        "]",
        '{"a":' * 100_000,
    ],
)
def test_broken_lines(broken: str) -> None:
    """A line that cannot be decoded is one bad line, and all the lines after it are read."""
    document = f'{{"id": 1}}\n{broken}\n{{"id": 2}}\n{{"id": 3}}\n4'
    bad = [one for one in readings(document, "ids.jsonl") if isinstance(one, BadLine)]
    good = [one.id for one in readings(document, "ids.jsonl") if isinstance(one, Generation)]
    assert [(one.line, one.reason.rpartition(": ")[2]) for one in bad] == [(2, WHOLE)]
    assert [id_ for id_ in good if id_ != "5"] == ["1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("cut", "line"),
    [("", 3), (",", 3), (", ", 3), (",\n", 4), (', {"id"', 3), (',\n"ab', 4), (",\n26", 4)],
)
def test_cut_list(cut: str, line: int) -> None:
    """A list that is cut gives its whole elements, not a part of a number, and one bad line."""
    *good, problem = readings(f'[1,\n2,\n{{"id": 3}}{cut}')
    assert good == [Generation("v6/deepfake", id_) for id_ in "123"]
    assert isinstance(problem, BadLine)
    assert problem.line == line


def test_list_goes_on_after_a_broken_line() -> None:
    """A broken element is one bad line, even if it hides the end of its list."""
    assert names("[\n1,\nfoo,\n2]") == [
        "v6/deepfake/1",
        f"ids:3: 'foo,': {WHOLE}",
        "v6/deepfake/2",
    ]
    assert names("[\n1,\nfoo]\n") == ["v6/deepfake/1", f"ids:3: 'foo]': {WHOLE}"]
    assert names("[1, foo]\n[2]\n") == [
        "v6/deepfake/1",
        f"ids:1: 'foo]': {WHOLE}",
        "v6/deepfake/2",
    ]


@pytest.mark.parametrize("form", ["%d", '"%d"'])
@pytest.mark.parametrize("separator", [",", ", ", ",\n", "\n,\r\n"])
@pytest.mark.parametrize(
    ("odd", "expected"),
    [
        ('"video/1"', "v6/video/1"),
        ("0263", f"ids:{{}}: '0263,': {WHOLE}"),
        ("2e3", f"ids:{{}}: '2e3': {SCALAR}"),
    ],
)
def test_many_bare_ids(form: str, separator: str, odd: str, expected: str) -> None:
    """An element that is not a bare ID changes nothing for the bare IDs around it."""
    numbers = range(10**6, 10**6 + 30_000)
    listed = [form % number for number in numbers]
    before, after = separator.join(listed[:20_000]), separator.join(listed[20_000:])
    good = [f"v6/deepfake/{number}" for number in numbers]
    line = before.count("\n") + 2
    assert names(f"[{before},\n{odd},\n{after}]") == [
        *good[:20_000],
        expected.format(line),
        *good[20_000:],
    ]


@pytest.mark.parametrize("size", [1000, 65_536, 81_920, 900_000])
@pytest.mark.parametrize("shift", range(-30, 2))
def test_cuts_between_blocks(size: int, shift: int) -> None:
    """An element is read the same wherever the blocks of the stream end."""
    pad = " " * (size + shift)
    for element in ("123456", r'"\u0031\u0032\u0033456"', '{"seed":-Infinity,"id":123456}'):
        assert names(f"[{pad}{element},7]") == ["v6/deepfake/123456", "v6/deepfake/7"]
    assert names(f'{{"x":"{pad}\\"","id":1}}') == ["v6/deepfake/1"]


def test_long_element() -> None:
    """An element over 1 MiB is bad, and the next line is read."""
    document = '{"x":"' + "a" * 3_000_000 + '","id":1}\n{"id":2}'
    problem, good = names(document)
    assert problem.startswith("ids:1: ")
    assert good == "v6/deepfake/2"
