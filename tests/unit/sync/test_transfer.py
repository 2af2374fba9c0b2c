"""Units are copied many at a time, and none of them fills the memory."""

import shutil
import threading
import tracemalloc
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import pytest

from archiver.archive import letter_case
from archiver.archive.bag import Bag
from archiver.archive.staged import StagedGeneration
from archiver.archive.writable import WritableBag
from archiver.catalogue.queries import Known
from archiver.errors import ConfigurationError, StorageError
from archiver.sync.copying import Copied, Copying
from archiver.sync.difference import Unit
from archiver.sync.sync import SyncSettings, plan, sync
from tests.support.backups import assert_lines_true, assert_true_bag
from tests.support.copies import generation_files, lines_in, make_archive, snapshot

MB = 1_000_000


def archive(root: Path, *ids: str, size: int = 1_000) -> Path:
    files = {path: data for id_ in ids for path, data in generation_files(id_, size).items()}
    return make_archive(root, files)


def test_many_are_copied_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as there may be: each of eight videos is read while the other seven are."""
    together, blocks = threading.Barrier(8), Bag.blocks

    @contextmanager
    def waiting(bag: Bag, path: str) -> Iterator[Iterable[bytes]]:
        if path.endswith(".mp4"):
            together.wait(20)
        with blocks(bag, path) as found:
            yield found

    monkeypatch.setattr(Bag, "blocks", waiting)
    source = archive(tmp_path / "source", *"12345678")
    report = sync(source, tmp_path / "copy", SyncSettings(transfers=8))
    assert (report.exit_status, report.tally.copied) == (0, 16)


_TOGETHER = threading.Barrier(3)


class _Late(Copying):
    """Finishes everything just after the run was stopped, which one unit does at once."""

    def copy(self, unit: Unit, known: Known | None) -> Copied:
        """Copy a unit, and return it late."""
        if unit.name == "v6/deepfake/bad":
            _TOGETHER.wait(20)
            raise StorageError("storage failed")
        copied = super().copy(unit, known)
        _TOGETHER.wait(20)
        assert self._stopping.wait(20)
        return copied


def test_what_is_whole_when_a_run_ends_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was under way then, and was finished all the same."""
    monkeypatch.setattr("archiver.sync.sync.Copying", _Late)
    source = archive(tmp_path / "source", "1", "2", "bad")
    report = sync(source, tmp_path / "copy", SyncSettings(transfers=3))
    assert (report.exit_status, report.tally.copied) == (74, 4)
    assert_true_bag(tmp_path / "copy")


def test_what_a_store_refuses_keeps_no_other_from_being_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named, and the next sync sends it again."""

    def begin(_: Bag, staged: StagedGeneration) -> "Future[str]":
        sending: Future[str] = Future()
        sending.set_result("it was refused" if staged.generation.id == "2" else "")
        return sending

    source = archive(tmp_path / "source", *"123", size=300_000)
    with monkeypatch.context() as store:
        store.setattr(WritableBag, "begin_upload", begin)
        report = sync(source, tmp_path / "copy")
    assert [(p.kind, p.path[17:], p.detail) for p in report.tally.kept] == [
        ("refused", "2.mp4", "it was refused"), ("refused", "2.json", "it was refused"),
    ]  # fmt: skip
    assert (report.exit_status, report.tally.copied) == (3, 4)
    assert_true_bag(tmp_path / "copy")
    assert sync(source, tmp_path / "copy").tally.copied == 2
    assert_true_bag(tmp_path / "copy")


def test_no_place_is_copied_into_itself(tmp_path: Path) -> None:
    """Nor into a directory of it, and nothing is made there."""
    source = archive(tmp_path / "source", "1")
    before = snapshot(source)
    for target in (source, source / "copy", source / "data"):
        with pytest.raises(ConfigurationError):
            sync(source, target)
        with pytest.raises(ConfigurationError), plan(source, target):
            pass
    assert snapshot(source) == before


def test_what_is_held_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second sync opens no file of the source but its manifest, nor does it hash any."""
    source = archive(tmp_path / "source", *"123")
    sync(source, tmp_path / "copy")
    shutil.rmtree(source / "data")
    monkeypatch.setattr("archiver.archive.placement.sha256_of", None)
    report = sync(source, tmp_path / "copy")
    assert (report.exit_status, report.tally.held) == (0, 6)


def test_a_large_file_does_not_fill_the_memory(tmp_path: Path) -> None:
    """Of 100 MB no more than a few are in memory at a time."""
    source = archive(tmp_path / "source", "1", size=100 * MB)
    sync(archive(tmp_path / "warm", "1"), tmp_path / "other")
    tracemalloc.start()
    try:
        report = sync(source, tmp_path / "copy")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (report.exit_status, report.tally.copied) == (0, 2)
    assert peak < 12 * MB


def test_ids_that_differ_in_case_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system that takes `A` for `a` the first has the name, the other is named: 3."""
    source = archive(tmp_path / "source", "Abc", "aBC")
    monkeypatch.setattr(letter_case, "INCOMING", "bagit.txt")
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy/.archiver").mkdir()
    (tmp_path / "copy/BAGIT.TXT").touch()
    report = sync(source, tmp_path / "copy", SyncSettings(transfers=1))
    assert report.exit_status == 3
    assert [(p.kind, p.path[17:]) for p in report.tally.kept] == [
        ("name", "aBC.mp4"), ("name", "aBC.json"),
    ]  # fmt: skip
    assert "v6/deepfake/Abc" in report.tally.kept[0].detail
    assert len(assert_lines_true(tmp_path / "copy")) == 2


def test_a_link_in_the_archive_is_followed(tmp_path: Path) -> None:
    """One that leads to another file of it; the copy has a file there."""
    source = archive(tmp_path / "source", "1")
    video = source / "data/v6/deepfake/1.mp4"
    video.rename(source / "elsewhere.mp4")
    video.symlink_to("../../../elsewhere.mp4")
    assert sync(source, tmp_path / "copy").exit_status == 0
    assert not (tmp_path / "copy/data/v6/deepfake/1.mp4").is_symlink()
    assert_true_bag(tmp_path / "copy")


def test_upper_case_checksums_are_checksums(tmp_path: Path) -> None:
    """Whatever the spelling of a line, it is one of ours in the copy."""
    source = archive(tmp_path / "source", "1")
    lines = [f"{sha.upper()} *./{path}\r\n" for path, sha in lines_in(source).items()]
    expected = lines_in(source)
    (source / "manifest-sha256.txt").write_text("".join(lines), newline="")
    assert sync(source, tmp_path / "copy").exit_status == 0
    assert lines_in(tmp_path / "copy") == expected
