"""IDs that differ in letter case alone each have files of their own, or it is known that not."""

import pytest

from archiver.archive.layout import Layout
from archiver.archive.letter_case import LetterCase
from archiver.errors import StorageError
from tests.support.backups import generation
from tests.support.disk import IO_ERROR, in_any_case


def hold(layout: Layout, name: str) -> None:
    path = layout.data / "v6/deepfake" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_where_case_is_distinguished_there_are_no_rivals(layout: Layout) -> None:
    """Each ID has a path of its own."""
    hold(layout, "abc")
    letter_case = LetterCase(layout)
    assert [letter_case.rival(generation(id_)) for id_ in ("abc", "ABC", "x", "X")] == [None] * 4


@pytest.mark.parametrize("held", ["abc", "aBc"])
def test_what_is_held_keeps_its_name(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    """Whichever comes first on this run; nobody else of another endpoint is concerned."""
    hold(layout, held)
    in_any_case(monkeypatch, layout.root)
    letter_case = LetterCase(layout)
    assert letter_case.rival(generation("ABC")) == f"v6/deepfake/{held}"
    assert letter_case.rival(generation(held)) is None
    assert letter_case.rival(generation("video/ABC")) is None


def test_the_first_to_come_has_the_name(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may come again on the same run; the others wait for a run that it is not on."""
    in_any_case(monkeypatch, layout.root)
    letter_case = LetterCase(layout)
    rivals = [letter_case.rival(generation(id_)) for id_ in ("abc", "ABC", "abc", "abcd")]
    assert rivals == [None, "v6/deepfake/abc", None, None]
    assert LetterCase(layout).rival(generation("ABC")) is None


def test_a_directory_that_cannot_be_read_is_a_storage_error(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows then what would be replaced."""
    hold(layout, "abc")
    in_any_case(monkeypatch, layout.root)
    letter_case = LetterCase(layout)
    monkeypatch.setattr("os.listdir", IO_ERROR)
    with pytest.raises(StorageError, match="Input/output error"):
        letter_case.rival(generation("ABC"))
