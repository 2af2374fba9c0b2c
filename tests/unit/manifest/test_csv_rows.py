"""A CSV manifest is a table whose header names its columns."""

import pytest

from archiver.manifest.entries import BadLine
from tests.unit.manifest.reading import NO_ID, SPELLING, URL, ids, names, readings


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
def test_tables(table: str, suffix: str) -> None:
    """Columns are found by their header, whatever separates, quotes or surrounds them."""
    assert names(table, f"ids.{suffix}") == ["v6/realtime/263"]


def test_one_column() -> None:
    """A header alone makes a table of one column; without one it is plain text."""
    assert names("id\n263\n264", "ids.txt") == ["v6/deepfake/263", "v6/deepfake/264"]
    assert names("263\n264", "ids.csv") == ["v6/deepfake/263", "v6/deepfake/264"]


@pytest.mark.parametrize(
    "table", ["# x\n263,realtime\n264,video\n", "\nname;when\n263;now\n", '\n"263","5"\n264\n']
)
def test_no_header(table: str) -> None:
    """A table in whose header no column is named id is one bad line."""
    (problem,) = names(table, "ids.CSV")
    assert problem.startswith("ids.CSV:2: ")
    assert problem.endswith(": expected a header with a column named id")


def test_no_table() -> None:
    """Without the suffix of a table, a list with commas is text, read line by line."""
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
        ("0,video,#263", "expected a fetch URL such as "),
    ],
)
def test_bad_rows(row: str, expected: str) -> None:
    """A row that names no generation is one bad line, and the rows around it are read."""
    first, problem, last = names(f"id,endpoint,fetch_result\n1,,\n{row}\n2,,\n")
    assert (first, last) == ("v6/deepfake/1", "v6/deepfake/2")
    assert problem.startswith("ids:3: ")
    assert f": {expected}" in problem


def test_lines_of_rows() -> None:
    """A bad row is named by the line where it begins, even below rows of several lines."""
    assert names('id,prompt\n1,"a\nb\nc"\n?,\n2,') == [
        "v6/deepfake/1",
        "ids:5: '?,': expected an ID of 1 to 128 letters, digits, '_' or '-'",
        "v6/deepfake/2",
    ]


@pytest.mark.parametrize("rows", [1, 20_000])
def test_open_quote(rows: int) -> None:
    """A quote left open spoils its own row at most, however long the table goes on."""
    good = "".join(f"{number},x\n" for number in range(rows))
    problem, *rest = readings(f'id,prompt\n"5,x\n{good}6,"open\n"7","x"\n')
    assert isinstance(problem, BadLine)
    assert problem.line == 2
    assert ids(rest) == [*map(str, range(rows)), "6", "7"]
