"""Whatever its format, a manifest is read to its end, in little memory and little time."""

import csv
import io
import json
import string
import tracemalloc
from collections.abc import Iterator
from itertools import chain, repeat
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.generation import Generation
from archiver.manifest.entries import BadLine, read
from tests.support.marks import slow
from tests.unit.manifest.reading import each, names, readings, stream

generations = st.builds(
    Generation,
    st.sampled_from(["v6/deepfake", "v6/video", "v7/video-fusion", "v1/enterprise/video"]),
    st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=128)
    # A first line that reads like a header is one.
    .filter(lambda id_: id_.lower() not in {"id", "request_id", "fetch_result"}),
)
lists = st.lists(generations, max_size=20)
scraps = b'263 video/ id , ; [ ] { } " \\ : # - . 1e \n \r \0'.split(b" ")
marks = [b" ", b"\xff", b"\xff\xfe", b"\xef\xbb\xbf"]
manifests = st.lists(st.sampled_from(scraps + marks) | st.binary(max_size=3)).map(b"".join)
newlines = st.sampled_from(["\n", "\r\n", "\r"])


def fetch_url(generation: Generation) -> str:
    return f"https://modelslab.com/api/{generation.fetch_path}"


@given(lists, newlines)
def test_text_round_trip(listed: list[Generation], newline: str) -> None:
    """Generations written as text come back the same, in order."""
    assert readings(newline.join(one.name for one in listed)) == listed
    assert readings(newline.join(map(fetch_url, listed))) == listed


@given(lists, newlines, st.sampled_from(",;\t"), st.text(), st.booleans())
def test_csv_round_trip(
    listed: list[Generation], newline: str, delimiter: str, prompt: str, quoted: bool
) -> None:
    """Generations written as a table come back the same, in order."""
    out = io.StringIO(newline="")
    # With some ends of lines Python leaves others unquoted, which end a line as well.
    quoted = quoted or not {*"\r\n"}.isdisjoint(prompt)
    quoting: Literal[0, 1] = csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
    writer = csv.writer(out, delimiter=delimiter, lineterminator=newline, quoting=quoting)
    writer.writerow(["id", "prompt", "endpoint"])
    writer.writerows([one.id, prompt, one.endpoint] for one in listed)
    assert readings(out.getvalue()) == listed


@given(lists, st.sampled_from([None, 0, 2]), st.booleans(), st.text())
def test_json_round_trip(
    listed: list[Generation], indent: int | None, escaped: bool, prompt: str
) -> None:
    """Generations written as JSON come back the same, in order."""
    responses = [
        {"id": one.id, "meta": {"prompt": prompt}, "fetch_result": fetch_url(one)} for one in listed
    ]
    texts = [json.dumps(one, indent=indent, ensure_ascii=escaped) for one in responses]
    whole = json.dumps(responses, indent=indent, ensure_ascii=escaped)
    assert readings(whole) == readings("\n".join(texts)) == listed
    assert readings(json.dumps([one.name for one in listed], indent=indent)) == listed


@given(manifests, st.sampled_from(["-", "a.txt", "a.csv", "a.tsv", "a.json", "a.jsonl"]))
def test_anything_is_read(content: bytes, name: str) -> None:
    """Any bytes give generations and printable bad lines, whose numbers exist and ascend."""
    lines = 0
    for reading in readings(content, name):
        if isinstance(reading, BadLine):
            assert str(reading).isprintable()
            assert len(str(reading)) < 200
            assert lines <= reading.line <= content.count(b"\n") + content.count(b"\r") + 1
            lines = reading.line
        else:
            assert Generation.of(reading.endpoint, reading.id) == reading


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r", "\r\r\n"])
@pytest.mark.parametrize(
    "lines",
    [
        ["# mine", "1", "", "2 # two", "x y", "3"],
        ["id;name", "1;", ";;", "2;a", "x y;", "3;"],
        ['"id","name"', '"1","a"', "#0,", '"2","b"', '"x y",', '"3",'],
        ["# mine", '{"id": 1}', "", '{"id": "2"}', '{"id": "x y"}', '{"id": 3}'],
        ["[1,", "# mine", "", "2,", '"x y",', "3]"],
    ],
)
def test_ends_of_lines(lines: list[str], newline: str) -> None:
    """However its lines end, a manifest is read, and a bad line has its number."""
    found = names(newline.join(lines), "ids")
    assert [one for one in found if "bad" not in one and ":" not in one] == [
        "v6/deepfake/1",
        "v6/deepfake/2",
        "v6/deepfake/3",
    ]
    (problem,) = [one for one in found if ":" in one]
    number = 5 + (newline == "\r\r\n") * 4
    assert problem.startswith(f"ids:{number}: ")


def test_mixed_ends_of_lines() -> None:
    """Each of several ends of lines counts as one, also where a block of the stream ends."""
    for size in range(65_520, 65_540):
        *good, problem, last = names("\n" * size + "1\r\n2\r3\n\r\nx y\r\n4")
        assert [*good, last] == [f"v6/deepfake/{id_}" for id_ in (1, 2, 3, 4)]
        assert problem.startswith(f"ids:{size + 5}: ")


@pytest.mark.parametrize("mark", [True, False])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    "lines", [["263", "# é", "video/4"], ["# é", "id;é", "263;", "4;"], ["[263,", "4]"]]
)
def test_encodings(lines: list[str], newline: str, encoding: str, mark: bool) -> None:
    """UTF-16 and UTF-32 are read, with a byte order mark and, where the zeros show it, without."""
    text = newline.join(lines)
    found = readings((("\ufeff" if mark else "") + text).encode(encoding))
    assert [one.id for one in found if isinstance(one, Generation)] == ["263", "4"]
    assert len(found) == 2


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("1\r\n", "2\r\nvideo/3\r\n"),
        ("1\n", "# two\n2 # two\nvideo/3"),
        ("id,endpoint\n1,\n", "2,\n3,video"),
        ("ID,Endpoint\n1,\n", '"ID","Endpoint"\r\n2,\r\n3,video'),
        ('"id","endpoint"\n1,\n', '"2",\n"3","video"\n'),
        ("[1]", '[2, "video/3"]'),
        ("[1]\n", '{"id": 2}\n{"id": 3, "endpoint": "video"}\n'),
        ('{"id": 1}', '{"id": 2}{"id": 3, "endpoint": "video"}'),
    ],
)
def test_byte_order_marks(first: str, second: str) -> None:
    """A byte order mark is white space, also where a list was appended to another one."""
    for middle in ("\ufeff", "\ufeff\ufeff", " \ufeff "):
        text = f"\ufeff{first}{middle}{second}"
        assert names(text) == ["v6/deepfake/1", "v6/deepfake/2", "v6/video/3"]


@pytest.mark.parametrize(
    "content",
    [
        *["", "\n\n", "\r\r", " \f\u2028\n", "\ufeff", "\ufeff\ufeff\n"],
        *["# none\n", "# none\r# not one\r", "\ufeff# none", "\n\ufeff# none"],
        *["[]", "[\n]\n", "[\n# none\n]", "id,endpoint\n", "id;name\n# 5;x\n;;\n"],
        *['{"status": "success", "data": []}', '{"data": {}, "pagination": {"total": 0}}'],
    ],
)
def test_nothing(content: str) -> None:
    """A manifest that is empty, or all comments, gives nothing."""
    assert readings(content) == []


@pytest.mark.parametrize(
    "content",
    [
        b"# mine\xc2\x85263\xc2\x85264",
        "# mine\u2028263\u2028264".encode(),
        "# mine\u2029263".encode(),
        b"# mine\x0b263",
        b"# mine\x0c263",
        b"# mine\x0c263, # one\x0c",
        b"# mine\x00263\x00264\x00",
        b"# mine" + bytes(5000) + b"263",
        b"# mine\xef\xbb\xbf263\n",
        "id,name\u2028263,a\u2028264,b".encode(),
        "id\u2028;\u2028263\n".encode(),
        b"id;263;264;265",
        b'id,"name\n263,a\n264,b"\n',
        b"name,id\n# 263\x0c264,\n",
        "# mine\u2028[263]".encode(),
        '[\n# mine\u2028"263", "264"\n]'.encode(),
        b"{}",
        b"[{}]",
        b"[[]]",
        b"null",
        b'""',
        b"0,#263",
        b"name,id\na,#263\n",
        b'{"ids": [263]}',
        b'{"data": null}',
        b'{"data": {"message": "none"}}',
        b'{"status": "error", "message": "Invalid Api Key", "data": []}',
        b'{"status": "error", "data": {}}',
        bytes(4),
        bytes(100_000),
        b"#\0m\0\n\0",
        b"5\0",
        b"\0#",
        b"\x1f\x8b\x08\0\0\0\0\0",
    ],
)
@pytest.mark.parametrize("suffix", ["txt", "csv", "json"])
def test_not_in_silence(content: bytes, suffix: str) -> None:
    """A manifest that is neither empty nor all comments gives an entry or a bad line."""
    assert readings(content, f"ids.{suffix}")


def test_binary_file() -> None:
    """A binary file is one bad line, whatever in it looks like an ID."""
    (problem,) = readings(bytes(range(256)) * 1000 + b"\n263\n", "clip.mp4")
    assert isinstance(problem, BadLine)
    assert problem.reason.endswith("expected text, CSV or JSON, not a binary file")


def test_zeros() -> None:
    """Zeros that a crash left are one bad line, and the lines around them are read."""
    first, problem, last = names(b"1\n" + bytes(5000) + b"\n2\n")
    assert (first, last) == ("v6/deepfake/1", "v6/deepfake/2")
    assert problem.startswith(r"ids:2: '\x00\x00")


def test_unreadable_stream() -> None:
    """A failing stream raises its error, after the generations that could be read."""

    def failing() -> Iterator[bytes]:
        yield from repeat(b"263\n", 30_000)
        raise OSError(5, "Input/output error")

    reading = each(read(stream(failing()), "ids", "deepfake"))
    assert next(reading) == Generation("v6/deepfake", "263")
    with pytest.raises(OSError, match="Input/output error"):
        list(reading)


@slow
@pytest.mark.parametrize(
    ("head", "element"),
    [
        (b"", b"%d\n"),
        (b"id,endpoint\n", b"%d,video\n"),
        (b"id,prompt\n", b'%d,"a\nb"\n'),
        (b"", b'{"id":%d}\n'),
        (b"[", b"%d,"),
        (b"[", b'{\n"id": %d\n},\n'),
        (b"[\n", b"x%d\n"),
        (b"#", b"%d"),
        (b"263\n", b"%d"),
        (b"[", b"[%d"),
        (b"id,x\n", b"%d"),
        (b'id,x\n"', b"%d\n"),
    ],
)
def test_flat_memory(head: bytes, element: bytes) -> None:
    """Memory does not grow with the manifest, in any format, all on one line or broken."""
    numbers = range(10**90, 10**90 + 20_000)
    chunks = chain([head], (element % number for number in numbers))
    tracemalloc.start()
    try:
        for _ in read(stream(chunks), "ids", "deepfake"):
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize("head", [b'["', b'[{"a":["', b'["x", '])
def test_endless_element(head: bytes) -> None:
    """An element without end takes no more memory than the longest permitted one."""
    chunks = chain([head], repeat(b"1" * 65_536, 300))
    tracemalloc.start()
    try:
        assert isinstance(list(read(stream(chunks), "ids", "deepfake"))[-1], BadLine)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6_000_000


@slow
@pytest.mark.parametrize(
    "garbage",
    [b'{"a":\n', b'{"a":[', b"[\n", b"[", b"{\n", b'"', b'"\n', b"9", b"x\n", b"\\", b"/v6/"],
)
@pytest.mark.parametrize("head", [b"", b"{\n", b"id,x\n", b"https://h"])
@pytest.mark.timeout(60)
def test_garbage(head: bytes, garbage: bytes) -> None:
    """Garbage is read in linear time."""
    for _ in read(io.BytesIO(head + garbage * (100_000 // len(garbage))), "ids", "deepfake"):
        pass


@slow
@pytest.mark.parametrize(
    "document",
    [
        b'{"a":\n' * 800 + (b'{"a":[' + b"1," * 500 + b"1]},\n") * 1000,
        b'{"a":"' + b" " * 1_000_000 + b'",\n' + b"x\n" * 60_000,
    ],
    ids=["nested", "late"],
)
@pytest.mark.timeout(60)
def test_broken_megabyte(document: bytes) -> None:
    """A megabyte that proves broken is not decoded again for each of its lines."""
    assert all(isinstance(one, BadLine) for one in readings(document))
