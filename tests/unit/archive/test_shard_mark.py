"""The mark of a shard's archive: who may fill it, and what becomes of the mark."""

import os
from pathlib import Path

import pytest

from archiver.archive.layout import Layout
from archiver.archive.shard_mark import check, check_to_fill, claim, marked
from archiver.archive.tags import describe
from archiver.archive.writable import WritableBag
from archiver.errors import NotAnArchive, StorageError
from archiver.shards import Shard
from tests.support.archives import stage
from tests.support.disk import IO_ERROR
from tests.support.videos import MP4

SHARD = Shard(3, 8)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """An archive that holds nothing yet."""
    with WritableBag.open(tmp_path / "archive") as bag:
        return bag.layout


def test_an_archive_is_claimed_once(layout: Layout) -> None:
    """The mark is there before anything else is, and only once."""
    assert marked(layout) is None
    for _ in range(2):
        claim(layout, SHARD)
        assert layout.info.read_text() == "Archiver-Shard: 3/8\n"
    assert marked(layout) == SHARD


def test_a_run_without_a_shard_claims_nothing(layout: Layout) -> None:
    """Most archives are no shard's."""
    claim(layout, None)
    assert not layout.info.exists()


def test_the_mark_outlasts_the_description(layout: Layout) -> None:
    """What a run writes beside it keeps it, and so are other people's tags kept by the mark."""
    layout.info.write_text("Contact-Name: Ada\n  Lovelace\n")
    claim(layout, SHARD)
    describe(layout, 2, 1000)
    lines = layout.info.read_text().splitlines()
    assert lines[:3] == ["Contact-Name: Ada", "  Lovelace", "Archiver-Shard: 3/8"]
    assert "Payload-Oxum: 1000.2" in lines


@pytest.mark.parametrize("other", [Shard(2, 8), Shard(3, 9), None])
def test_another_shard_may_not_fill_it(layout: Layout, other: Shard | None) -> None:
    """Nor may a run of all."""
    claim(layout, SHARD)
    with pytest.raises(NotAnArchive, match="is the archive of shard 3/8"):
        claim(layout, other)
    with pytest.raises(NotAnArchive):
        check_to_fill(layout, other)
    assert marked(layout) == SHARD


def test_reading_asks_less(layout: Layout) -> None:
    """What is no shard's may be read with one; another shard's is a mistake."""
    check(layout, SHARD)
    claim(layout, SHARD)
    check(layout, SHARD)
    with pytest.raises(NotAnArchive, match="not of 2/8"):
        check(layout, Shard(2, 8))


def test_what_a_crash_has_left_counts_as_held(layout: Layout) -> None:
    """It would be recovered into the archive: it may be of any shard."""
    stage(layout.root, "v6/deepfake/263", MP4)
    assert layout.manifest.stat().st_size == 0
    with pytest.raises(NotAnArchive, match="Archiver-Shard: 3/8"):
        claim(layout, SHARD)
    assert not layout.info.exists()


def test_there_is_nothing_to_mix_up_where_there_is_no_archive(tmp_path: Path) -> None:
    """A dry run looks before there is anything."""
    check_to_fill(Layout(tmp_path / "new"), SHARD)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("spelling", ["archiver-shard : 3/8", "Archiver-Shard:3/8",
                                      "Archiver-Shard:\n  3/8"])  # fmt: skip
def test_a_person_may_write_the_mark(layout: Layout, spelling: str) -> None:
    """In any case, with any white space, folded as BagIt allows (RFC 8493, 2.2.2)."""
    layout.info.write_text(f"{spelling}\n")
    assert marked(layout) == SHARD


def test_a_mark_that_cannot_be_written_is_a_storage_error(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it nothing may be archived."""
    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", IO_ERROR)
        with pytest.raises(StorageError, match=r"writing .*bag-info\.txt"):
            claim(layout, SHARD)
    assert marked(layout) is None
