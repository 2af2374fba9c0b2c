"""Durable writes: what has been flushed outlasts a power cut."""

import errno
import os
from pathlib import Path

import pytest

from archiver.archive.durable import fsync


def failing(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Nothing can be flushed, for the reason that the test names."""

    def refuse(_descriptor: int) -> None:
        raise failing(request.param)

    monkeypatch.setattr(os, "fsync", refuse)


@pytest.mark.usefixtures("refused")
@pytest.mark.parametrize("refused", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS], indirect=True)
def test_a_directory_that_no_call_flushes_is_left_to_the_file_system(tmp_path: Path) -> None:
    """CIFS and some FUSE file systems say so; a file that is not flushed is an error there too."""
    (tmp_path / "file").touch()
    fsync(tmp_path)
    with pytest.raises(OSError, match=r"Invalid argument|not supported|not implemented"):
        fsync(tmp_path / "file")


@pytest.mark.usefixtures("refused")
@pytest.mark.parametrize("refused", [errno.EIO, errno.ENOSPC, errno.EDQUOT], indirect=True)
def test_a_directory_whose_flush_fails_is_an_error(tmp_path: Path) -> None:
    """The disk has lost what was to be on it."""
    with pytest.raises(OSError, match=r"Input/output error|No space left|quota exceeded"):
        fsync(tmp_path)
