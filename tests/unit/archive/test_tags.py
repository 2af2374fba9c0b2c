"""The tag files: what `Bag.describe` does not show of them."""

import os

import pytest

from archiver.archive.layout import Layout
from archiver.archive.tags import declare, describe
from archiver.errors import StorageError
from tests.support.disk import IO_ERROR, names


def test_a_declaration_is_written_once(layout: Layout) -> None:
    """Another program's, of another version of BagIt, is left alone."""
    declare(layout)
    assert layout.declaration.read_text() == (
        "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
    )
    layout.declaration.write_text("BagIt-Version: 0.97\nTag-File-Character-Encoding: UTF-8\n")
    declare(layout)
    assert layout.declaration.read_text().startswith("BagIt-Version: 0.97\n")


def test_the_description_is_the_old_or_the_new_one(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the disk fails, nothing has changed, and that is a storage error."""
    describe(layout, 2, 1000)
    before = layout.info.read_text()
    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", IO_ERROR)
        with pytest.raises(StorageError, match=r"writing .*bag-info\.txt: Input/output error"):
            describe(layout, 3, 1001)
    assert layout.info.read_text() == before
    describe(layout, 3, 1001)
    assert layout.info.read_text() == before.replace("1000.2", "1001.3")
    assert "bag-info.txt.new" not in names(layout.root)
