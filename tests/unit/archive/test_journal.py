"""The journal has the group that is being committed, and nothing at rest."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.archive.journal import Entry, Journal
from archiver.archive.staged import StagedFile
from archiver.checksums import BagFile
from tests.support.disk import DiskLog

PAYLOAD = BagFile("data/v6/deepfake/263.mp4", "ab" * 32, 2082)
ENTRY = Entry((StagedFile(".archiver/incoming/v6~deepfake~263/1of1-x-y.mp4", PAYLOAD),), 1234)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "settling.json"


def test_a_new_journal_is_empty(path: Path) -> None:
    """It is created once, and what is in it stays when it is prepared again."""
    journal = Journal(path)
    assert journal.read() == Entry()
    journal.prepare()
    assert (path.read_bytes(), journal.read()) == (b"", Entry())
    journal.write(ENTRY)
    journal.prepare()
    assert journal.read() == ENTRY


def test_an_entry_is_written_durably(path: Path, disk: DiskLog) -> None:
    """It is on the disk before anything is placed, and replaces the one before."""
    journal = Journal(path)
    journal.write(Entry(ENTRY.files * 3, 0))
    disk.steps.clear()
    journal.write(ENTRY)
    assert disk.steps == [
        "open settling.json wb", f"fsync settling.json of {path.stat().st_size}"
    ]  # fmt: skip
    assert journal.read() == ENTRY
    assert [*journal.read().targets()] == [PAYLOAD]


def test_an_entry_can_be_flushed_again(path: Path, disk: DiskLog) -> None:
    """Its writer may have been killed before."""
    journal = Journal(path)
    journal.write(ENTRY)
    disk.steps.clear()
    journal.flush()
    assert disk.steps == [f"fsync settling.json of {path.stat().st_size}"]


def test_a_cleared_journal_is_empty(path: Path) -> None:
    """The group is committed."""
    journal = Journal(path)
    journal.write(ENTRY)
    journal.clear()
    assert (path.read_bytes(), journal.read()) == (b"", Entry())


def test_the_form_is_the_one_from_the_first_version_on(path: Path) -> None:
    """A run of a later version recovers what a run of today has left."""
    Journal(path).write(ENTRY)
    assert json.loads(path.read_bytes()) == {
        "offset": 1234,
        "files": [
            {
                "staged": ".archiver/incoming/v6~deepfake~263/1of1-x-y.mp4",
                "path": "data/v6/deepfake/263.mp4",
                "sha256": "ab" * 32,
                "bytes": 2082,
            }
        ],
    }


def test_contents_are_no_part_of_an_entry(path: Path) -> None:
    """They are on the disk before it is written."""
    (file,) = ENTRY.files
    Journal(path).write(Entry((StagedFile(file.staged, file.target, b"x" * 99),), 1234))
    assert Journal(path).read() == ENTRY


@given(st.integers(0, 400), st.sampled_from([b"", bytes(40)]))
def test_a_torn_entry_is_none(
    tmp_path_factory: pytest.TempPathFactory, size: int, rest: bytes
) -> None:
    """Nothing was renamed for it yet."""
    path = tmp_path_factory.mktemp("archive") / "settling.json"
    journal = Journal(path)
    journal.write(ENTRY)
    whole = path.read_bytes()
    path.write_bytes(whole[: min(size, len(whole) - 1)] + rest)
    assert journal.read() == Entry()


names = st.text(st.characters(codec="utf-8"), max_size=9)


@given(
    st.lists(st.tuples(names, names, names, st.integers(0, 1 << 60)), max_size=4),
    st.integers(0, 1 << 60),
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str, str, int]],
    offset: int,
) -> None:
    """Every file with its place, its target, its checksum and its size."""
    files = (StagedFile(staged, BagFile(path, sha256, size)) for staged, path, sha256, size in rows)
    entry = Entry(tuple(files), offset)
    journal = Journal(tmp_path_factory.mktemp("archive") / "settling.json")
    journal.write(entry)
    assert journal.read() == entry
