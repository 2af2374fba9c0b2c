"""What is to be copied comes in units, in the order of the source."""

import sqlite3
from contextlib import closing

from archiver.checksums import BagFile
from archiver.sync.difference import Difference

ORDER = [
    "data/v6/deepfake/2.json",
    "data/v6/deepfake/1.json",
    "data/notes/read me.txt",
    "data/v6/deepfake/2.entry-2.json",
    "data/v6/deepfake/2.mp4",
    "data/v6/deepfake/1.mp4",
    "data/v6/deepfake/2.entry.json",
]


def file(path: str, size: int = 1) -> BagFile:
    return BagFile(path, "a" * 64, size)


def difference(*paths: str) -> Difference:
    found = Difference(sqlite3.connect(":memory:"))
    found.add(map(file, paths))
    found.order()
    return found


def test_the_files_of_a_generation_are_a_unit() -> None:
    """Wherever its lines stand: the payload first, then the response, then other sidecars."""
    units = [(unit.name, [each.path for each in unit.files]) for unit in difference(*ORDER).units()]
    assert units == [
        (
            "v6/deepfake/2",
            [
                "data/v6/deepfake/2.mp4", "data/v6/deepfake/2.json",
                "data/v6/deepfake/2.entry.json", "data/v6/deepfake/2.entry-2.json",
            ],
        ),
        ("v6/deepfake/1", ["data/v6/deepfake/1.mp4", "data/v6/deepfake/1.json"]),
        ("data/notes/read me.txt", ["data/notes/read me.txt"]),
    ]  # fmt: skip


def test_units_are_whole_however_many_there_are() -> None:
    """A unit is not torn where one page of the table ends and the next begins."""
    paths = [f"data/v6/deepfake/{n}.{end}" for n in range(2_000) for end in ("json", "mp4")]
    units = list(difference(*paths).units())
    assert [unit.name for unit in units] == [f"v6/deepfake/{n}" for n in range(2_000)]
    assert {len(unit.files) for unit in units} == {2}


def test_of_two_lines_for_a_path_the_first_counts() -> None:
    """One file is copied once."""
    found = Difference(sqlite3.connect(":memory:"))
    found.add([BagFile("data/a", "a" * 64, 1), BagFile("data/a", "b" * 64, 1)])
    found.order()
    (unit,) = found.units()
    assert [each.sha256[0] for each in unit.files] == ["a"]


def test_what_is_there_is_told_apart_and_dropped() -> None:
    """Files that are there come first, and are left out once they are listed."""
    found = difference("data/a", "data/b", "data/c")
    assert found.total() == (3, 3)
    found.set_there(["data/b", "data/c", "data/elsewhere"])
    assert [[each.path for each in page] for page in found.there()] == [["data/b", "data/c"]]
    found.drop(["data/b"])
    assert [unit.name for unit in found.units()] == ["data/a", "data/c"]


def test_the_tables_are_those_of_one_difference() -> None:
    """Nothing of it outlives its connection."""
    with closing(sqlite3.connect(":memory:")) as connection:
        Difference(connection)
        tables = connection.execute("SELECT name FROM sqlite_schema").fetchall()
    assert tables == []
