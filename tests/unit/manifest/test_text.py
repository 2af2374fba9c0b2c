"""A text manifest lists a generation a line."""

import io

import pytest

from archiver.generation import Generation
from archiver.manifest.entries import BadLine, read
from tests.unit.manifest.reading import SPELLING, URL, each, names, readings


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
def test_spellings(spelling: str, name: str, suffix: str) -> None:
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
        "26\ufeff3",
        "263\x0b264",
        "263\u2028264",
        "https://modelslab.com/api/v6/video/fetch/",
        "https://modelslab.com/api/v6/fetch/263",
        "https://modelslab.com/api/v5/other/video/fetch/263",
        "https://modelslab.com/api/v6/video/fetch/26 3",
        "https://modelslab.com/api/v6/video/fetch/263/more",
        "https://pub-1.r2.dev/generations/263.mp4",
        "ftp://modelslab.com/api/v6/video/fetch/263",
    ],
)
def test_bad_lines(bad: str) -> None:
    """Anything else is one bad line, and the lines around it are still read."""
    (first, problem, last) = readings(f"1\n{bad}\n2\n")
    assert (str(first), str(last)) == ("v6/deepfake/1", "v6/deepfake/2")
    assert isinstance(problem, BadLine)
    assert (problem.manifest, problem.line) == ("ids", 2)
    assert problem.reason.endswith(f": {SPELLING}")


def test_message() -> None:
    """A bad line names the manifest and the line, shows the text and what was expected."""
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
def test_shown(text: bytes, shown: str) -> None:
    """A bad line shows its text shortened and printable."""
    assert names(text) == [f"ids:1: {shown}: {SPELLING}"]


def test_comments_and_blank_lines() -> None:
    """Comments, in any encoding, and blank lines are ignored."""
    assert names(b"# one\n\n \t\r\n  #caf\xe9\n263\n#") == ["v6/deepfake/263"]


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85", "\v", "\f", "\ufeff"])
def test_comment_that_hides_an_entry(mark: str) -> None:
    """A comment with an entry in it where some programs begin a line is bad, and named."""
    found = names(f"1\n# two{mark}2\n3 # three{mark}a few words{mark}video/4\n5", "ids.txt")
    assert [one for one in found if not one.startswith("ids.txt:")] == [
        "v6/deepfake/1",
        "v6/deepfake/3",
        "v6/deepfake/5",
    ]
    bad = [one for one in found if one.startswith("ids.txt:")]
    assert [one.split(": ")[0] for one in bad] == ["ids.txt:2", "ids.txt:3"]
    assert all(one.endswith("expected lines that end in LF, CR LF or CR") for one in bad)


@pytest.mark.parametrize("mark", ["\u2028", "\x85", "\v", "\f"])
def test_comment_of_several_lines(mark: str) -> None:
    """A comment may have words where some programs begin a line."""
    assert names(f"# a prompt{mark}of two lines{mark}\n263 # a cat{mark} and a dog") == [
        "v6/deepfake/263"
    ]


def test_long_line() -> None:
    """A line over 64 KiB is bad, whatever it begins with, and the next is read."""
    lines = b"1\n2" + b" " * 70_000 + b"\n" + b"x" * 300_000 + b"\n3"
    good, padded, long, last = names(lines)
    assert (good, last) == ("v6/deepfake/1", "v6/deepfake/3")
    assert padded == f"ids:2: '2': {SPELLING}"
    assert long.startswith("ids:3: 'xxx")


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\n\n"])
@pytest.mark.parametrize("odd", ["", "video/1", "no id", " 5 # a comment"])
def test_many_bare_ids(newline: str, odd: str) -> None:
    """A line that is not a bare ID changes nothing for the bare IDs around it."""
    numbers = [str(number) for number in range(10**6, 10**6 + 30_000)]
    text = newline.join([*numbers[:20_000], odd, *numbers[20_000:]])
    expected = [f"v6/deepfake/{id_}" for id_ in numbers]
    line = 20_000 * len(newline.strip("\r")) + 1
    between = {
        "video/1": ["v6/video/1"],
        "no id": [f"ids:{line}: 'no id': {SPELLING}"],
        " 5 # a comment": ["v6/deepfake/5"],
    }
    assert names(text) == expected[:20_000] + between.get(odd, []) + expected[20_000:]


def test_default_endpoint() -> None:
    """A bare ID belongs to the default endpoint, in whatever spelling that is given."""
    for text in (b"1", b"1\n", b"[1]", b"id\n1\n"):
        assert list(each(read(io.BytesIO(text), "-", "faceswap"))) == [
            Generation("v6/deepfake", "1")
        ]
        assert list(each(read(io.BytesIO(text), "-", "v7/x"))) == [Generation("v7/x", "1")]
    with pytest.raises(ValueError, match="expected an endpoint"):
        list(read(io.BytesIO(b"1"), "-", "not one"))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('[{"key": "sk-1234", "request_id": 263]\n', "ids.json"),
        ('{"key":"sk-1234"', "ids.jsonl"),
        ('{\n  "key": "sk-1234",\n  \'x\'\n}', "ids.json"),
        ('{"api_key": "sk-1234"}', "ids.json"),
        ("{'key': 'sk-1234'}", "ids.txt"),
        ("key=sk-1234", "ids.txt"),
        ("id,key\n!,sk-1234\n", "ids.csv"),
        ("id\tkey\nx y\tsk-1234\n", "ids.tsv"),
        ("https://a.example/?key=sk-1234&x=1", "ids.txt"),
    ],
)
def test_a_bad_line_shows_no_api_key(text: str, name: str) -> None:
    """A saved request has the key in it, which is not for a report, a log or an e-mail."""
    found = names(text, name)
    assert any("[API key]" in one for one in found)
    assert "sk-1234" not in "".join(found)
