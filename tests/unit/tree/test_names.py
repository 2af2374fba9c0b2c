"""Names are safe on every file system, whatever text they are made from."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.tree import names

DEVICES = ["CON", "prn", "Aux", "NUL", "COM1", "com¹", "LPT9", "CONIN$", "clock$"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A cat, sitting", "A cat, sitting"),
        ("a/b\\c", "a_b_c"),
        ('she said "go": <now>?', "she said 'go'_ _now__"),
        ("two\nlines\tand\x00more\x7f", "two lines and more"),
        ("  too   much\u00a0space\u3000", "too much space"),
        ("\u202egpj.exe\u202c", "gpj.exe"),
        ("\u200frtl\u200e \u2066iso\u2069 \ufeffbom \u00adsoft", "rtl iso bom soft"),
        ("cafe\u0301", "caf\u00e9"),
        ("\ud800lone", "_lone"),
        ("\U0001f468\u200d\U0001f469\u200d\U0001f467 family", None),
        ("\u0645\u06cc\u200c\u062e\u0648", None),
    ],
)
def test_text_becomes_part_of_a_name(text: str, expected: str | None) -> None:
    """Forbidden characters are replaced, invisible ones dropped; letters and emoji stay."""
    assert names.safe(text) == (text if expected is None else expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-263.mp4", "263.mp4"),
        ("...hidden", "hidden"),
        ("ends in dots. . .", "ends in dots"),
        ("a prompt - .mp4", "a prompt.mp4"),
        ("", "unknown"),
        (" . ", "unknown"),
        ("looks like ours~0123abcd.mp4", "looks like ours-0123abcd.mp4"),
        ("connect.mp4", "connect.mp4"),
        ("con.tar.mp4", "con_.tar.mp4"),
    ],
)
def test_no_part_of_a_path_is_hidden_empty_or_ends_badly(text: str, expected: str) -> None:
    """Dots, spaces and hyphens at its ends are taken away; what is left empty gets a name."""
    assert names.component(text) == expected


@pytest.mark.parametrize("device", DEVICES)
def test_no_name_is_a_device_of_windows(device: str) -> None:
    """With or without an extension, in any case."""
    assert names.component(device) == f"{device}_"
    assert names.component(f"{device}.mp4") == f"{device}_.mp4"


@given(st.text(alphabet=st.characters(), max_size=300))
def test_any_text_is_safe(text: str) -> None:
    """It can be encoded, is in NFC and in one line, and has nothing in it that is forbidden."""
    found = names.component(names.safe(text))
    assert found.encode()
    assert found == unicodedata.normalize("NFC", found)
    assert not set(found) & {*names.FORBIDDEN, "/"}
    assert not {unicodedata.category(c) for c in found} & {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert found[0] not in " .-"
    assert found[-1] not in " ."


@pytest.mark.parametrize(
    ("text", "length", "expected"),
    [
        ("short", 40, "short"),
        ("a cat that sits on a mat", 12, "a cat that"),
        ("a cat that sits", 5, "a cat"),
        ("incomprehensibilities", 10, "incomprehe"),
        ("one, two", 4, "one"),
        ("ae\u0301\u0302\u0303o", 3, "a"),
        ("ab\U0001f468\u200d\U0001f469", 4, "ab"),
        ("ab\U0001f44d\U0001f3fdc", 3, "ab"),
        ("\u0301" * 9, 3, "\u0301" * 3),
    ],
)
def test_text_is_cut_between_letters(text: str, length: int, expected: str) -> None:
    """At the end of a word where one is near, and never within a letter or an emoji."""
    assert names.cut(text, length) == expected


@given(st.text(max_size=60), st.integers(0, 60))
def test_what_is_cut_fits(text: str, length: int) -> None:
    """In characters or in bytes, it is at most that long, and the beginning of the text."""
    for found, size in (
        (names.cut(text, length), len(names.cut(text, length))),
        (names.cut_to_bytes(text, length), len(names.cut_to_bytes(text, length).encode())),
    ):
        assert size <= length
        assert text.startswith(found)


# --- Each once


def nothing_taken(_source: str, _name: str) -> bool:
    return False


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a.mp4", "a.mp4"),
        ("Cat/a.mp4", "cat/A.mp4"),
        ("caf\u00e9.mp4", "CAF\u00c9.mp4"),
        ("stra\u00dfe", "STRASSE"),
        ("a\u200db", "ab"),
        ("\u2764\ufe0f", "\u2764"),
        ("\ufb01x", "fix"),
    ],
)
def test_names_that_some_file_system_takes_for_one_get_suffixes(one: str, other: str) -> None:
    """Each of them, so that their order does not matter; a third name stays as it is."""
    given = {"data/1.mp4": one, "data/2.mp4": other, "data/3.mp4": "c.mp4"}
    found = names.unique(given, nothing_taken)
    assert found == names.unique(dict(reversed(given.items())), nothing_taken)
    assert found["data/3.mp4"] == "c.mp4"
    for source in ("data/1.mp4", "data/2.mp4"):
        assert found[source] == names.suffixed(given[source], source)
    assert len({names.key(name) for name in found.values()}) == 3


def test_a_suffix_comes_before_the_extension() -> None:
    """It is `~` and eight digits; a name that is too long for it is shortened."""
    assert names.suffixed("a/cat.mp4", "data/v6/deepfake/263.mp4") == "a/cat~30e2b92c.mp4"
    long = names.suffixed(f"{'x' * 226}.mp4", "s")
    assert len(long) <= names.PATH
    assert long.endswith(".mp4")


def test_a_name_that_is_taken_gets_a_suffix() -> None:
    """What a person has put there stays."""
    found = names.unique({"s": "a.mp4", "t": "b.mp4"}, lambda source, name: name == "b.mp4")
    assert found == {"s": "a.mp4", "t": names.suffixed("b.mp4", "t")}


@given(st.lists(st.text(alphabet="aAé~0fß.\u200d", max_size=12), max_size=20))
def test_names_are_unique(texts: list[str]) -> None:
    """Whatever the names, and whatever they look like."""
    given = {f"data/{n}.mp4": names.component(text) for n, text in enumerate(texts)}
    found = names.unique(given, nothing_taken)
    assert len({names.key(name) for name in found.values()}) == len(texts)
