"""A file on its way is hashed, and in memory only while it is small."""

import hashlib
import os
from pathlib import Path

import pytest

from archiver.errors import StorageError
from archiver.sync.spool import Spool
from tests.support.videos import MP4


def spooled(place: Path, *blocks: bytes, look: bool = False) -> tuple[bytes | None, Spool]:
    """Spool a file of these blocks, and complete it."""
    with Spool(str(place / "here/1-.part"), look=look) as spool:
        for block in blocks:
            spool.write(block)
        return spool.complete(str(place / "here/1")), spool


def test_a_small_file_stays_in_memory(tmp_path: Path) -> None:
    """It is not written to the disk."""
    content, spool = spooled(tmp_path, b"hello ", b"world")
    assert content == b"hello world"
    assert (spool.size, spool.sha256) == (11, hashlib.sha256(content).hexdigest())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sizes", [(300_000,), (100_000, 100_000, 1), ()])
def test_another_file_goes_to_the_disk(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    """One that is large, and one of no bytes, which has no content to be kept in memory."""
    blocks = [os.urandom(size) for size in sizes]
    content, spool = spooled(tmp_path, *blocks)
    assert content is None
    assert (tmp_path / "here/1").read_bytes() == b"".join(blocks)
    assert spool.sha256 == hashlib.sha256(b"".join(blocks)).hexdigest()
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["1"]


def test_what_is_not_completed_is_deleted(tmp_path: Path) -> None:
    """Nothing of it is left on the disk."""
    with Spool(str(tmp_path / "here/1-.part"), look=False) as spool:
        spool.write(os.urandom(300_000))
        assert (tmp_path / "here/1-.part").exists()
    assert list(tmp_path.iterdir()) == []


def test_a_video_says_what_it_is(tmp_path: Path) -> None:
    """What is looked at as it passes is known afterwards; of anything else nothing is."""
    _, spool = spooled(tmp_path, MP4, look=True)
    found = spool.properties()
    assert found
    for other in (b"no video", MP4[:-1]):
        _, spool = spooled(tmp_path, other, look=True)
        assert spool.properties() is None
    _, spool = spooled(tmp_path, MP4)
    assert spool.properties() is None


def test_a_disk_that_does_not_take_it_is_named(tmp_path: Path) -> None:
    """The error is one of storage, and says which file."""
    (tmp_path / "here").write_text("in the way")
    with (
        pytest.raises(StorageError, match=r"here/1-\.part"),
        Spool(str(tmp_path / "here/1-.part"), look=False) as spool,
    ):
        spool.write(os.urandom(300_000))
