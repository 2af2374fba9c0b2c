"""Problems count all that is wrong with the manifests, and keep the first of it."""

import pytest

from archiver.manifest import BadLine, Problems, Unreadable


def problems(bad_lines: int = 0, unreadable: int = 0) -> Problems:
    found = Problems()
    for number in range(bad_lines):
        found.add(BadLine("ids.txt", number + 1, "'x y': expected an ID", "'x y'"))
    for number in range(unreadable):
        found.add(Unreadable(f"{number}.txt", "cannot be read: No such file or directory"))
    return found


@pytest.mark.parametrize(
    ("found", "any_"),
    [
        (problems(), False),
        (problems(bad_lines=1), True),
        (problems(unreadable=1), True),
        (problems(bad_lines=1, unreadable=1), True),
    ],
)
def test_truth(found: Problems, any_: bool) -> None:
    """Problems are true if there is one."""
    assert bool(found) is any_


def test_lines() -> None:
    """Each problem is one line with its place and reason, unreadable manifests first."""
    assert list(problems(bad_lines=2, unreadable=1).lines()) == [
        "0.txt: cannot be read: No such file or directory",
        "ids.txt:1: 'x y': expected an ID",
        "ids.txt:2: 'x y': expected an ID",
    ]


def test_no_lines() -> None:
    """Without a problem there are no lines."""
    assert list(problems().lines()) == []


def test_many_bad_lines() -> None:
    """Twenty bad lines are shown; the rest is counted."""
    assert len(list(problems(bad_lines=20).lines())) == 20
    *shown, rest = problems(bad_lines=12_345).lines()
    assert shown == [f"ids.txt:{number}: 'x y': expected an ID" for number in range(1, 21)]
    assert rest == "… and 12,325 more like these"


def test_every_unreadable_manifest_is_shown() -> None:
    """All unreadable manifests are shown, however many they are."""
    assert len(list(problems(unreadable=50).lines())) == 50


def test_few_are_kept() -> None:
    """A thousand bad lines are kept; all are counted."""
    found = problems(bad_lines=1500)
    assert found.bad_lines == 1500
    assert [bad.line for bad in found.kept_lines] == list(range(1, 1001))


def test_json() -> None:
    """The JSON report has the kept bad lines, the number of the others, and the unreadable ones."""
    assert problems(bad_lines=1, unreadable=1).as_json() == {
        "bad_lines": ["ids.txt:1: 'x y': expected an ID"],
        "bad_lines_omitted": 0,
        "unreadable_manifests": ["0.txt: cannot be read: No such file or directory"],
    }
    found = problems(bad_lines=1003).as_json()
    assert found["bad_lines_omitted"] == 3
    assert problems().as_json() == {
        "bad_lines": [],
        "bad_lines_omitted": 0,
        "unreadable_manifests": [],
    }
