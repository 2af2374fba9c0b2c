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
newlines = st.sampled_from(["\n", "\r\n"])


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
            assert lines <= reading.line <= content.count(b"\n") + 1
            lines = reading.line
        else:
            assert Generation.of(reading.endpoint, reading.id) == reading


@pytest.mark.parametrize("content", ["", "\n\n", "# none\n", "[]", "id,endpoint\n", "\ufeff"])
def test_nothing(content: str) -> None:
    """A manifest that lists nothing gives nothing."""
    assert readings(content) == []


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
@pytest.mark.timeout(10)
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
@pytest.mark.timeout(10)
def test_broken_megabyte(document: bytes) -> None:
    """A megabyte that proves broken is not decoded again for each of its lines."""
    assert all(isinstance(one, BadLine) for one in readings(document))
