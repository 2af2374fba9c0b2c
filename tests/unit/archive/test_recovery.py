"""Recovery finishes the commit that a crash has interrupted, from the journal alone."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from archiver.archive.journal import Entry
from archiver.archive.placement import place
from archiver.archive.recovery import recover
from archiver.archive.staged import StagedFile
from archiver.archive.writable import WritableBag
from archiver.errors import StorageError
from tests.support.archives import stage
from tests.support.disk import IO_ERROR
from tests.support.videos import MP4, OTHER_MP4, WEBM


@pytest.fixture
def bag(tmp_path: Path) -> Iterator[WritableBag]:
    with WritableBag.open(tmp_path / "archive") as bag:
        yield bag


def journalled(bag: WritableBag) -> tuple[StagedFile, ...]:
    """Have a run be killed when the journal is written, and nothing is placed."""
    first = stage(bag.layout.root, "v6/deepfake/263", MP4)
    second = stage(bag.layout.root, "v7/video-fusion/9", WEBM, OTHER_MP4)
    files = (*first.files, *second.files)
    bag.journal.write(Entry(files, bag.manifest.size()))
    return files


def listed(bag: WritableBag) -> list[str]:
    return [line.path for line in bag.manifest.lines()]


def test_where_nothing_was_committed_nothing_is_recovered(bag: WritableBag) -> None:
    """What is staged is no business of the journal's."""
    stage(bag.layout.root, "v6/deepfake/263", MP4)
    assert recover(bag) == ()
    assert listed(bag) == []


@pytest.mark.parametrize("placed", range(6))
@pytest.mark.parametrize("written", range(6))
def test_a_group_is_finished_wherever_it_stopped(
    bag: WritableBag, placed: int, written: int
) -> None:
    """Any of its files may be in place, and any of its lines written: each has one line then."""
    files = journalled(bag)
    place(bag.layout, files[:placed])
    bag.manifest.append(file.target for file in files[:written])
    for _ in ("once", "as often as it is killed before the journal is cleared"):
        assert recover(bag) == files
        assert listed(bag) == [file.target.path for file in files]
        assert all(bag.sha256(file.target.path) == file.target.sha256 for file in files)
    assert bag.journal.read().files == files


@pytest.mark.parametrize(
    "tail", ["a", "0" * 64, "0" * 64 + "  data/v6/deepfake/263.mp4", "\0" * 99999]
)
@pytest.mark.parametrize("files", [0, 2])
def test_a_torn_last_line_is_cut(bag: WritableBag, files: int, tail: str) -> None:
    """Nothing is proven of what it names; the lines before it stay."""
    staged = journalled(bag)
    place(bag.layout, staged[:2])
    bag.journal.clear()
    bag.manifest.append(file.target for file in staged[:files])
    whole = bag.manifest.path.read_bytes()
    bag.manifest.path.write_bytes(whole + tail.encode())
    assert recover(bag) == ()
    assert bag.manifest.path.read_bytes() == whole


def test_a_last_line_that_has_lost_its_end_alone_gets_it_again(bag: WritableBag) -> None:
    """All of it is there, and its file matches."""
    staged = journalled(bag)
    place(bag.layout, staged[:2])
    bag.journal.clear()
    bag.manifest.append(file.target for file in staged[:2])
    whole = bag.manifest.path.read_bytes()
    bag.manifest.truncate(len(whole) - 1)
    assert recover(bag) == ()
    assert bag.manifest.path.read_bytes() == whole


def test_lines_of_other_groups_stay(bag: WritableBag) -> None:
    """Before the group, and after it, as in a copy whose journal is older than its manifest."""
    before = stage(bag.layout.root, "v6/video/1", MP4)
    bag.commit([before], lambda: None)
    files = journalled(bag)
    place(bag.layout, files)
    bag.manifest.append(file.target for file in files)
    after = stage(bag.layout.root, "v6/video/2", MP4)
    place(bag.layout, after.files)
    bag.manifest.append(file.target for file in after.files)
    recover(bag)
    expected = [file.target.path for file in (*before.files, *after.files, *files)]
    assert listed(bag) == expected


def test_a_damaged_file_is_quarantined_with_its_generation(bag: WritableBag) -> None:
    """It is not held then; the rest of the group is."""
    files = journalled(bag)
    (bag.layout.root / files[2].staged).write_bytes(WEBM[:100])
    assert recover(bag) == files
    assert listed(bag) == [file.target.path for file in files[:2]]
    (moment,) = bag.layout.quarantine.iterdir()
    kept = [path.relative_to(moment).as_posix() for path in moment.rglob("*") if path.is_file()]
    assert sorted(kept) == sorted(file.target.path for file in files[2:])
    assert not any((bag.layout.root / file.target.path).exists() for file in files[2:])


def test_a_disk_that_fails_is_a_storage_error(
    bag: WritableBag, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal stays, for the next run."""
    files = journalled(bag)
    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", IO_ERROR)
        with pytest.raises(StorageError, match=r"recovering .*Input/output error"):
            recover(bag)
    assert listed(bag) == []
    assert recover(bag) == files
