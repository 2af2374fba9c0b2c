"""What a manifest may look like, and what is said of one that is not understood."""

import csv
import io
import json
import string
import tracemalloc
from collections.abc import Iterable, Iterator
from itertools import chain, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.generation import Generation
from archiver.manifest.entries import BadLine, Ids, read

SPELLING = "expected an ID, ENDPOINT/ID or a fetch URL"
SCALAR = "expected an ID, a string or a whole number"
NO_ID = "expected id, request_id or fetch_result"
WHOLE = "expected a whole JSON element of at most 1 MiB"
URL = "https://modelslab.com/api/v6/video/fetch/147"

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


def readings(content: bytes | str, name: str = "ids") -> list[Generation | BadLine]:
    data = content.encode() if isinstance(content, str) else content
    return list(each(read(io.BytesIO(data), name, "deepfake")))


def each(read: Iterable[Ids | BadLine]) -> Iterator[Generation | BadLine]:
    """Every generation for itself."""
    for item in read:
        if isinstance(item, Ids):
            yield from (Generation(item.endpoint, id_) for id_ in item.ids)
        else:
            yield item


def names(content: bytes | str, name: str = "ids") -> list[str]:
    """The names of what is good, and where and why what is bad is so."""
    return [str(reading) for reading in readings(content, name)]


def fetch_url(generation: Generation) -> str:
    return f"https://modelslab.com/api/{generation.fetch_path}"


class Stream(io.RawIOBase):
    """A stream of chunks that are made when they are read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.chunks, self.rest = chunks, b""

    def read(self, size: int = -1) -> bytes:  # noqa: D102
        while len(self.rest) < size and (chunk := next(self.chunks, b"")):
            self.rest += chunk
        block, self.rest = self.rest[:size], self.rest[size:]
        return block


class TestText:
    """One generation a line."""

    @pytest.mark.parametrize(
        ("spelling", "name"),
        [
            ("263", "v6/deepfake/263"),
            ("abc123-def456", "v6/deepfake/abc123-def456"),
            ("  263\t", "v6/deepfake/263"),
            ("263 # the cat", "v6/deepfake/263"),
            ("263\t#the cat", "v6/deepfake/263"),
            ("realtime/263", "v6/realtime/263"),
            ("faceswap/263", "v6/deepfake/263"),
            ("v7/video-fusion/263", "v7/video-fusion/263"),
            ("v1/enterprise/video/263", "v1/enterprise/video/263"),
            (URL, "v6/video/147"),
            (f"{URL}/", "v6/video/147"),
            (f"{URL}?key=1;2,3#top", "v6/video/147"),
            (f"{URL} # the cat", "v6/video/147"),
            ("HTTP://localhost:8080/api/v7/video-fusion/fetch/a-b", "v7/video-fusion/a-b"),
            ("https://h/v1/enterprise/video/fetch/1", "v1/enterprise/video/1"),
            ("https://h/modelslab/api/v6/video/fetch/1", "v6/video/1"),
        ],
    )
    @pytest.mark.parametrize("suffix", ["txt", "csv", "json"])
    def test_spellings(self, spelling: str, name: str, suffix: str) -> None:
        """An ID alone, with its endpoint or as a fetch URL is understood, whatever the suffix."""
        assert names(f"{spelling}\n", f"ids.{suffix}") == [name]

    @pytest.mark.parametrize(
        "bad",
        [
            "foo bar",
            "263#5",
            "/263",
            "realtime/",
            "realtime/../263",
            "v6/realtime/fetch/263",
            "263,264",
            "263.mp4",
            "x" * 129,
            "\u0662\u0666\u0663",
            "\uff12\uff16\uff13",
            "é",
            "\ufeff263",
            "https://modelslab.com/api/v6/video/fetch/",
            "https://modelslab.com/api/v6/fetch/263",
            "https://modelslab.com/api/v5/other/video/fetch/263",
            "https://modelslab.com/api/v6/video/fetch/26 3",
            "https://modelslab.com/api/v6/video/fetch/263/more",
            "https://pub-1.r2.dev/generations/263.mp4",
            "ftp://modelslab.com/api/v6/video/fetch/263",
        ],
    )
    def test_bad_lines(self, bad: str) -> None:
        """Anything else is one bad line, and the lines around it are still read."""
        (first, problem, last) = readings(f"1\n{bad}\n2\n")
        assert (str(first), str(last)) == ("v6/deepfake/1", "v6/deepfake/2")
        assert isinstance(problem, BadLine)
        assert (problem.manifest, problem.line) == ("ids", 2)
        assert problem.reason.endswith(f": {SPELLING}")

    def test_message(self) -> None:
        """A bad line names the manifest and the line, shows the text and says what was expected."""
        assert names("# videos\n\nfoo bar\n", "ids.txt") == [f"ids.txt:3: 'foo bar': {SPELLING}"]

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            (b"26\x003", r"'26\x003'"),
            (b"\x1b[31m263", r"'\x1b[31m263'"),
            (b"caf\xe9", r"'caf\xe9'"),
            ("\u202e263".encode(), r"'\u202e263'"),
            (b"it's", '"it\'s"'),
            (b"x y" * 1000, f"'{('x y' * 1000)[:59]}…'"),
        ],
    )
    def test_shown(self, text: bytes, shown: str) -> None:
        """What stands on a bad line is shown printable and short."""
        assert names(text) == [f"ids:1: {shown}: {SPELLING}"]

    def test_what_is_passed_over(self) -> None:
        """Comments, in any encoding, and blank lines say nothing."""
        assert names(b"# one\n\n \t\r\n  #caf\xe9\n263\n#") == ["v6/deepfake/263"]

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
    @pytest.mark.parametrize("content", ["263\r\nvideo/4", "id;é\n263;\n4;", "[263,\n4]"])
    def test_byte_order_mark(self, encoding: str, content: str) -> None:
        """A file that begins with a byte order mark is in the encoding that this tells."""
        assert [one.id for one in readings(content.encode(encoding))] == ["263", "4"]

    def test_long_line(self) -> None:
        """A line over 64 KiB is bad, whatever it begins with, and the next is read."""
        lines = b"1\n2" + b" " * 70_000 + b"\n" + b"x" * 300_000 + b"\n3"
        good, padded, long, last = names(lines)
        assert (good, last) == ("v6/deepfake/1", "v6/deepfake/3")
        assert padded == f"ids:2: '2': {SPELLING}"
        assert long.startswith("ids:3: 'xxx")

    @pytest.mark.parametrize("newline", ["\n", "\r\n", "\n\n"])
    @pytest.mark.parametrize("odd", ["", "video/1", "no id", " 5 # a comment"])
    def test_many_bare_ids(self, newline: str, odd: str) -> None:
        """Bare IDs are taken by the block; one line among them that is not bare changes nothing."""
        ids = [str(number) for number in range(10**6, 10**6 + 30_000)]
        text = newline.join([*ids[:20_000], odd, *ids[20_000:]])
        expected = [f"v6/deepfake/{id_}" for id_ in ids]
        line = 20_000 * len(newline.strip("\r")) + 1
        between = {
            "video/1": ["v6/video/1"],
            "no id": [f"ids:{line}: 'no id': {SPELLING}"],
            " 5 # a comment": ["v6/deepfake/5"],
        }
        assert names(text) == expected[:20_000] + between.get(odd, []) + expected[20_000:]

    def test_default_endpoint(self) -> None:
        """A bare ID belongs to the default endpoint, in whatever spelling that is given."""
        for text in (b"1", b"1\n", b"[1]", b"id\n1\n"):
            assert list(each(read(io.BytesIO(text), "-", "faceswap"))) == [
                Generation("v6/deepfake", "1")
            ]
            assert list(each(read(io.BytesIO(text), "-", "v7/x"))) == [Generation("v7/x", "1")]
        with pytest.raises(ValueError, match="expected an endpoint"):
            list(read(io.BytesIO(b"1"), "-", "not one"))


class TestCsv:
    """A table whose header names its columns."""

    @pytest.mark.parametrize(
        "table",
        [
            "id,endpoint\n263,realtime\n",
            "endpoint;ID\r\nrealtime;263\r\n",
            "REQUEST_ID\tendpoint\n263\trealtime",
            '"id" , " Endpoint "\n "263" , "v6/realtime"\n',
            "# of May\n\nid,endpoint\n# later\n#5,video\n,\n\n263 , realtime \n",
            ",id,endpoint\n0,263,realtime\n",
            "id,request_id,endpoint\n,263,realtime\n",
            "id,fetch_result\n263,https://h/api/v6/realtime/fetch/263\n",
            "id,fetch_result,endpoint\n,https://h/api/v6/realtime/fetch/263,video\n",
            'prompt,id,endpoint\n"a ""red"", big\n\ncat",263,realtime\n',
            'id,endpoint,prompt\n263,realtime,5" nail\n',
        ],
    )
    @pytest.mark.parametrize("suffix", ["csv", "txt", "json"])
    def test_tables(self, table: str, suffix: str) -> None:
        """Columns are found by their header, whatever separates, quotes or surrounds them."""
        assert names(table, f"ids.{suffix}") == ["v6/realtime/263"]

    def test_one_column(self) -> None:
        """A header alone makes a table of one column; without one it is plain text."""
        assert names("id\n263\n264", "ids.txt") == ["v6/deepfake/263", "v6/deepfake/264"]
        assert names("263\n264", "ids.csv") == ["v6/deepfake/263", "v6/deepfake/264"]

    @pytest.mark.parametrize(
        "table", ["# x\n263,realtime\n264,video\n", "\nname;when\n263;now\n", '\n"263","5"\n264\n']
    )
    def test_no_header(self, table: str) -> None:
        """A table in whose header no column is named id is one bad line."""
        (problem,) = names(table, "ids.CSV")
        assert problem.startswith("ids.CSV:2: ")
        assert problem.endswith(": expected a header with a column named id")

    def test_no_table(self) -> None:
        """A list that is not named as a table need not be one: each line is for itself."""
        assert names("263,264\n265", "-") == [f"-:1: '263,264': {SPELLING}", "v6/deepfake/265"]

    @pytest.mark.parametrize(
        ("row", "expected"),
        [
            (",video,", NO_ID),
            ("26 3,video,", "expected an ID of 1 to 128 letters, digits, '_' or '-'"),
            ("263.0,video,", "expected an ID of 1 to 128 letters, digits, '_' or '-'"),
            ("5,no way,", "expected an endpoint such as deepfake, v7/video-fusion or"),
            (f"5,,{URL}", "expected id and fetch_result to agree"),
            ("5,,https://h/5.mp4", "expected a fetch URL such as "),
            ("x" * 70_000, "expected a CSV row of at most 64 KiB"),
        ],
    )
    def test_bad_rows(self, row: str, expected: str) -> None:
        """A row that names no generation is one bad line, and the rows around it are read."""
        first, problem, last = names(f"id,endpoint,fetch_result\n1,,\n{row}\n2,,\n")
        assert (first, last) == ("v6/deepfake/1", "v6/deepfake/2")
        assert problem.startswith("ids:3: ")
        assert f": {expected}" in problem

    def test_lines_of_rows(self) -> None:
        """A row is told by the line where it begins, though those before it take several."""
        assert names('id,prompt\n1,"a\nb\nc"\n?,\n2,') == [
            "v6/deepfake/1",
            "ids:5: '?,': expected an ID of 1 to 128 letters, digits, '_' or '-'",
            "v6/deepfake/2",
        ]

    @pytest.mark.parametrize("rows", [1, 20_000])
    def test_open_quote(self, rows: int) -> None:
        """A quote left open spoils its own row at most, however long the table goes on."""
        good = "".join(f"{number},x\n" for number in range(rows))
        problem, *rest = readings(f'id,prompt\n"5,x\n{good}6,"open\n"7","x"\n')
        assert isinstance(problem, BadLine)
        assert problem.line == 2
        assert [one.id for one in rest] == [*map(str, range(rows)), "6", "7"]


class TestJson:
    """A list, a saved response, or one of them on each line."""

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
    def test_elements(self, element: str, document: str) -> None:
        """An ID, an object and a saved response are understood, alone, in a list and on a line."""
        text = document.replace("{}", element)
        assert names(text, "ids.json") == ["v6/deepfake/263"]

    def test_late_beginning(self) -> None:
        """Where nothing is said in the first 64 KiB, the name tells the format."""
        assert names("\n" * 70_000 + "[\n1]", "ids.json") == ["v6/deepfake/1"]

    def test_pretty_printed(self) -> None:
        """A response may be spread over many lines, and others may follow it."""
        responses = [{"id": id_, "output": ["x"] * 5000, "meta": {"a": [[]]}} for id_ in (1, 2)]
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
    def test_bad_elements(self, element: str, expected: str) -> None:
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
    def test_broken_lines(self, broken: str) -> None:
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
    def test_cut_list(self, cut: str, line: int) -> None:
        """A list that is cut gives its whole elements, not a part of a number, and one bad line."""
        *good, problem = readings(f'[1,\n2,\n{{"id": 3}}{cut}')
        assert good == [Generation("v6/deepfake", id_) for id_ in "123"]
        assert isinstance(problem, BadLine)
        assert problem.line == line

    def test_list_goes_on_after_a_broken_line(self) -> None:
        """What is broken in a list is told once, even where it hides the list's end."""
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

    @pytest.mark.parametrize("size", [1000, 65_536, 81_920, 900_000])
    @pytest.mark.parametrize("shift", range(-30, 2))
    def test_cuts_between_blocks(self, size: int, shift: int) -> None:
        """Where the reading of the stream pauses makes no difference to an element."""
        pad = " " * (size + shift)
        for element in ("123456", r'"\u0031\u0032\u0033456"', '{"seed":-Infinity,"id":123456}'):
            assert names(f"[{pad}{element},7]") == ["v6/deepfake/123456", "v6/deepfake/7"]
        assert names(f'{{"x":"{pad}\\"","id":1}}') == ["v6/deepfake/1"]

    def test_long_element(self) -> None:
        """An element over 1 MiB is bad, and the next line is read."""
        document = '{"x":"' + "a" * 3_000_000 + '","id":1}\n{"id":2}'
        problem, good = names(document)
        assert problem.startswith("ids:1: ")
        assert good == "v6/deepfake/2"


class TestAnyFormat:
    """What holds for each."""

    @given(lists, newlines)
    def test_text_round_trip(self, listed: list[Generation], newline: str) -> None:
        """Generations written as text come back the same, in order."""
        assert readings(newline.join(one.name for one in listed)) == listed
        assert readings(newline.join(map(fetch_url, listed))) == listed

    @given(lists, newlines, st.sampled_from(",;\t"), st.text(), st.sampled_from([0, 1]))
    def test_csv_round_trip(
        self, listed: list[Generation], newline: str, delimiter: str, prompt: str, quoting: int
    ) -> None:
        """Generations written as a table come back the same, in order."""
        out = io.StringIO(newline="")
        writer = csv.writer(out, delimiter=delimiter, lineterminator=newline, quoting=quoting)
        writer.writerow(["id", "prompt", "endpoint"])
        writer.writerows([one.id, prompt, one.endpoint] for one in listed)
        assert readings(out.getvalue()) == listed

    @given(lists, st.sampled_from([None, 0, 2]), st.booleans(), st.text())
    def test_json_round_trip(
        self, listed: list[Generation], indent: int | None, escaped: bool, prompt: str
    ) -> None:
        """Generations written as JSON come back the same, in order."""
        responses = [
            {"id": one.id, "meta": {"prompt": prompt}, "fetch_result": fetch_url(one)}
            for one in listed
        ]
        texts = [json.dumps(one, indent=indent, ensure_ascii=escaped) for one in responses]
        whole = json.dumps(responses, indent=indent, ensure_ascii=escaped)
        assert readings(whole) == readings("\n".join(texts)) == listed
        assert readings(json.dumps([one.name for one in listed], indent=indent)) == listed

    @given(manifests, st.sampled_from(["-", "a.txt", "a.csv", "a.tsv", "a.json", "a.jsonl"]))
    def test_anything_is_read(self, content: bytes, name: str) -> None:
        """Whatever the bytes, each is understood or told, printably, on a line that exists."""
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
    def test_nothing(self, content: str) -> None:
        """A manifest that lists nothing gives nothing."""
        assert readings(content) == []

    def test_binary_file(self) -> None:
        """A file that is no text is told once, and not searched for what looks like an ID."""
        (problem,) = readings(bytes(range(256)) * 1000 + b"\n263\n", "clip.mp4")
        assert isinstance(problem, BadLine)
        assert problem.reason.endswith("expected text, CSV or JSON, not a binary file")

    def test_zeros(self) -> None:
        """What a crash filled with zeros hides nothing of the rest."""
        first, problem, last = names(b"1\n" + bytes(5000) + b"\n2\n")
        assert (first, last) == ("v6/deepfake/1", "v6/deepfake/2")
        assert problem.startswith(r"ids:2: '\x00\x00")

    def test_unreadable_stream(self) -> None:
        """A stream that fails says so to the caller, after what could be read."""

        def failing() -> Iterator[bytes]:
            yield from repeat(b"263\n", 30_000)
            raise OSError(5, "Input/output error")

        reading = each(read(Stream(failing()), "ids", "deepfake"))
        assert next(reading) == Generation("v6/deepfake", "263")
        with pytest.raises(OSError, match="Input/output error"):
            list(reading)

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
    def test_flat_memory(self, head: bytes, element: bytes) -> None:
        """Memory does not grow with the manifest, in any format, all on one line or broken."""
        numbers = range(10**90, 10**90 + 20_000)
        chunks = chain([head], (element % number for number in numbers))
        tracemalloc.start()
        try:
            for _ in read(Stream(chunks), "ids", "deepfake"):
                pass
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 1_000_000

    @pytest.mark.parametrize("head", [b'["', b'[{"a":["', b'["x", '])
    def test_endless_element(self, head: bytes) -> None:
        """No more of an element is held than its longest permitted length asks for."""
        chunks = chain([head], repeat(b"1" * 65_536, 300))
        tracemalloc.start()
        try:
            assert isinstance(list(read(Stream(chunks), "ids", "deepfake"))[-1], BadLine)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 6_000_000

    @pytest.mark.parametrize(
        "garbage",
        [b'{"a":\n', b'{"a":[', b"[\n", b"[", b"{\n", b'"', b'"\n', b"9", b"x\n", b"\\", b"/v6/"],
    )
    @pytest.mark.parametrize("head", [b"", b"{\n", b"id,x\n", b"https://h"])
    @pytest.mark.timeout(10)
    def test_garbage(self, head: bytes, garbage: bytes) -> None:
        """Garbage takes no longer than its length: no part of it is read over and over."""
        for _ in read(io.BytesIO(head + garbage * (100_000 // len(garbage))), "ids", "deepfake"):
            pass

    @pytest.mark.parametrize(
        "document",
        [
            b'{"a":\n' * 800 + (b'{"a":[' + b"1," * 500 + b"1]},\n") * 1000,
            b'{"a":"' + b" " * 1_000_000 + b'",\n' + b"x\n" * 60_000,
        ],
        ids=["nested", "late"],
    )
    @pytest.mark.timeout(10)
    def test_broken_megabyte(self, document: bytes) -> None:
        """A megabyte that proves broken is not decoded again for each of its lines."""
        assert all(isinstance(one, BadLine) for one in readings(document))
