"""Staged files are renamed into `data/`, durably, over nothing that is worth keeping."""

import os
from pathlib import Path

import pytest

from archiver.archive.layout import Layout
from archiver.archive.placement import matches, place, vacate
from archiver.archive.quarantine import Quarantine
from archiver.archive.staged import StagedFile
from archiver.checksums import BagFile
from archiver.errors import StorageError
from tests.support.disk import IO_ERROR, DiskLog, everything, names
from tests.support.videos import sha256

PATHS = ("data/v6/deepfake/263.mp4", "data/v6/deepfake/263.json", "data/v7/video-fusion/9.webm")


def bag_file(path: str) -> BagFile:
    data = path.encode()
    return BagFile(path, sha256(data), len(data))


def staged(layout: Layout, *paths: str) -> list[StagedFile]:
    """Stage a file for each path; what is in it is the path."""
    for path in paths:
        (layout.incoming / Path(path).name).write_text(path)
    return [StagedFile(f".archiver/incoming/{Path(path).name}", bag_file(path)) for path in paths]


def occupied(layout: Layout, path: str, data: bytes) -> Path:
    """Have a file lie where another is to go."""
    place = layout.root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    return place


# --- Placing


def test_files_are_renamed_and_then_their_directories_flushed(
    layout: Layout, disk: DiskLog
) -> None:
    """Each once, up to the archive's own, and none before the last file has moved."""
    files = staged(layout, *PATHS)
    disk.steps.clear()
    place(layout, files)
    kinds = [step.partition(" ")[0] for step in disk.steps]
    renames = [step for step in disk.steps if step.startswith("rename ")]
    assert renames == [f"rename {Path(path).name} {Path(path).name}" for path in PATHS]
    last = len(kinds) - 1 - kinds[::-1].index("rename")
    assert set(kinds[last + 1 :]) == {"fsync"}
    assert "fsync" not in kinds[:last]
    flushed = sorted(step.split()[1] for step in disk.flushes())
    assert flushed == sorted(["deepfake", "v6", "video-fusion", "v7", "data", layout.root.name])
    for path in PATHS:
        assert (layout.root / path).read_text() == path
    assert names(layout.incoming) == []


def test_a_file_that_is_not_staged_cannot_be_placed(layout: Layout) -> None:
    """Unless that is done again, it is an error: nothing was lost on the way."""
    first, second, third = staged(layout, *PATHS)
    (layout.root / second.staged).unlink()
    with pytest.raises(FileNotFoundError):
        place(layout, [first, second, third])


def test_after_a_crash_some_files_are_in_place_already(layout: Layout, disk: DiskLog) -> None:
    """The others follow; the directories are flushed for all of them."""
    files = staged(layout, *PATHS)
    place(layout, files[:1])
    disk.steps.clear()
    place(layout, files, again=True)
    assert len([step for step in disk.steps if step.startswith("rename ")]) == 2
    assert len(disk.flushes()) == 6
    place(layout, files, again=True)
    for path in PATHS:
        assert (layout.root / path).read_text() == path


def test_a_directory_that_cannot_be_flushed_is_an_error(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No checksum line may be written for what may not be there after a power cut."""
    files = staged(layout, *PATHS)
    monkeypatch.setattr(os, "fsync", IO_ERROR)
    with pytest.raises(OSError, match="Input/output error"):
        place(layout, files)


# --- Vacating


def test_what_is_in_the_way_is_quarantined(layout: Layout) -> None:
    """A file, or a directory with all that is in it; what is not there is in nobody's way."""
    first, second, third = map(bag_file, PATHS)
    occupied(layout, first.path, b"mine")
    occupied(layout, f"{second.path}/note", b"mine, too")
    vacate(layout, Quarantine(layout), [first, second, third])
    (moment,) = layout.quarantine.iterdir()
    kept = {path: data for path, data in everything(moment).items() if data is not None}
    assert kept == {first.path: b"mine", f"{second.path}/note": b"mine, too"}
    assert names(layout.data / "v6/deepfake") == []


def test_what_is_already_the_file_stays(layout: Layout) -> None:
    """It will be replaced by the same bytes."""
    file = bag_file(PATHS[0])
    path = occupied(layout, file.path, file.path.encode())
    vacate(layout, Quarantine(layout), [file])
    assert path.read_bytes() == file.path.encode()
    assert not layout.quarantine.exists()


def test_a_link_to_nowhere_is_in_the_way_of_nothing(layout: Layout) -> None:
    """A rename replaces it; there are no bytes to be kept."""
    (file,) = staged(layout, PATHS[0])
    path = layout.root / file.target.path
    path.parent.mkdir(parents=True)
    path.symlink_to("nowhere")
    vacate(layout, Quarantine(layout), [file.target])
    place(layout, [file])
    assert not path.is_symlink()
    assert path.read_text() == file.target.path


def test_a_name_in_another_case_is_not_displaced(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the file system takes `A` for `a`, the held file stays, and so does all else."""
    held = occupied(layout, "data/v6/deepfake/abc.mp4", b"held")
    other = occupied(layout, PATHS[0], b"mine")
    lexists = os.path.lexists
    monkeypatch.setattr(
        os.path,
        "lexists",
        lambda path: lexists(path) or lexists(Path(path).with_name(Path(path).name.lower())),
    )
    targets = [bag_file(PATHS[0]), bag_file("data/v6/deepfake/ABC.mp4")]
    with pytest.raises(StorageError, match=r"ABC\.mp4 would replace .* upper case from lower"):
        vacate(layout, Quarantine(layout), targets)
    assert (held.read_bytes(), other.read_bytes()) == (b"held", b"mine")
    assert not layout.quarantine.exists()


# --- Matching


@pytest.mark.parametrize(
    ("data", "expected"), [(PATHS[0].encode(), True), (b"", False), (b"other", False)]
)
def test_a_file_matches_its_checksum(layout: Layout, data: bytes, expected: bool) -> None:
    """Or it does not."""
    occupied(layout, PATHS[0], data)
    assert matches(layout, bag_file(PATHS[0])) is expected


def test_what_is_missing_or_no_file_does_not_match(layout: Layout) -> None:
    """A missing file, a directory, a link to nowhere."""
    assert not matches(layout, bag_file(PATHS[0]))
    (layout.root / PATHS[0]).mkdir(parents=True)
    assert not matches(layout, bag_file(PATHS[0]))
    (layout.root / PATHS[1]).symlink_to("nowhere")
    assert not matches(layout, bag_file(PATHS[1]))
