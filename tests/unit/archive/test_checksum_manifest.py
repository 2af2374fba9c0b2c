"""The checksum manifest: lines that are read leniently, and written durably or not at all."""

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.archive.checksum_manifest import ChecksumManifest, sha256_of
from archiver.checksums import BagFile, Checksum, Mark
from archiver.errors import StorageError
from tests.support.disk import IO_ERROR, DiskLog, names

GOOD = "ab" * 32


@pytest.fixture
def manifest(tmp_path: Path) -> ChecksumManifest:
    """An empty one."""
    path = tmp_path / "manifest-sha256.txt"
    path.touch()
    return ChecksumManifest(path)


def file(path: str) -> BagFile:
    return BagFile(path, hashlib.sha256(path.encode()).hexdigest(), len(path))


def line(path: str) -> str:
    return f"{file(path).sha256}  {path}\n"


def paths(manifest: ChecksumManifest, start: int = 0) -> list[str]:
    return [checksum.path for checksum in manifest.lines(start)]


FIRST = file("data/v6/video/1.mp4"), file("data/v6/video/1.json")
SECOND = file("data/v6/video/2.mp4"), file("data/v6/video/2.json")


# --- Reading


def test_lines_that_prove_nothing_are_passed_over(manifest: ChecksumManifest) -> None:
    """Only a checksum, two spaces and a path are a line."""
    manifest.path.write_text(
        f"{GOOD}  data/a b.mp4\n\n# a comment\n{GOOD}\n{GOOD} data/c\n{GOOD[1:]}  data/d\n"
        f"{'zz' * 32}  data/e\n{GOOD.upper()}  data/f\n{GOOD}  data/torn"
    )
    assert [*manifest.lines()] == [
        Checksum(GOOD, "data/a b.mp4"), Checksum(GOOD, "data/f"),
    ]  # fmt: skip


def test_raw_lines_have_what_was_passed_over_too(manifest: ChecksumManifest) -> None:
    """As its bytes, in its place: a report names it."""
    manifest.path.write_bytes(b"# x\n" + line("data/a").encode() + b"\xff\n" + GOOD.encode())
    assert [*manifest.raw_lines()] == [
        b"# x\n", Checksum(file("data/a").sha256, "data/a"), b"\xff\n", GOOD.encode(),
    ]  # fmt: skip


def test_lines_may_end_as_on_windows(manifest: ChecksumManifest) -> None:
    """CR LF ends a line too (RFC 8493, 2.1.3), and is no part of the path."""
    manifest.append(FIRST)
    before = [*manifest.lines()]
    manifest.path.write_bytes(manifest.path.read_bytes().replace(b"\n", b"\r\n"))
    assert [*manifest.lines()] == before


def test_lines_are_read_from_a_mark(manifest: ChecksumManifest) -> None:
    """What was appended since is all that is read."""
    manifest.append(FIRST)
    mark = manifest.mark()
    manifest.append(SECOND)
    assert paths(manifest, mark.size) == [file.path for file in SECOND]


def test_a_mark_knows_its_manifest_again(manifest: ChecksumManifest) -> None:
    """Appending keeps it; cutting, or editing what it ends with, does not."""
    assert manifest.has(Mark(0, b""))
    manifest.append(FIRST)
    mark, whole = manifest.mark(), manifest.path.read_bytes()
    assert mark.size == len(whole) == manifest.size()
    for data, known in [
        (whole, True), (whole + whole, True), (whole[:-1], False), (b"", False),
        (whole[:-5] + b"x" + whole[-4:], False), (whole[80:], False), (whole[80:] * 3, False),
    ]:  # fmt: skip
        manifest.path.write_bytes(data)
        assert manifest.has(mark) is known
    assert manifest.has(Mark(0, b""))


def test_a_mark_is_small_however_long_the_manifest_is(manifest: ChecksumManifest) -> None:
    """It is kept in the catalogue."""
    manifest.append(file(f"data/v6/video/{number}.mp4") for number in range(100))
    mark = manifest.mark()
    assert mark.size == manifest.size()
    assert mark.tail == manifest.path.read_bytes()[-160:]


def test_a_manifest_that_cannot_be_read_is_a_storage_error(tmp_path: Path) -> None:
    """It is not taken for an empty one."""
    manifest = ChecksumManifest(tmp_path / "manifest-sha256.txt")
    for act in (lambda: list(manifest.lines()), manifest.mark, lambda: manifest.has(Mark(0, b""))):
        with pytest.raises(StorageError, match=r"reading .*manifest-sha256\.txt: No such file"):
            act()


# --- Writing


def test_lines_are_appended_durably(manifest: ChecksumManifest, disk: DiskLog) -> None:
    """In the form of sha256sum, after those that are there; one flush is for all of them."""
    manifest.append(FIRST)
    disk.steps.clear()
    manifest.append(SECOND)
    assert disk.flushes() == [f"fsync manifest-sha256.txt of {manifest.size()}"]
    assert manifest.path.read_text() == "".join(line(file.path) for file in (*FIRST, *SECOND))


def test_a_line_that_has_lost_its_end_is_ended_first(manifest: ChecksumManifest) -> None:
    """What an editor has saved without the last newline, while we worked, gets it again."""
    manifest.append(FIRST)
    manifest.path.write_bytes(manifest.path.read_bytes().rstrip())
    manifest.append(SECOND)
    assert manifest.path.read_text() == "".join(line(file.path) for file in (*FIRST, *SECOND))


def test_lines_that_cannot_be_flushed_are_not_there(
    manifest: ChecksumManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a line would be read as a whole one."""
    manifest.append(FIRST)
    before = manifest.path.read_bytes()
    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", IO_ERROR)
        with pytest.raises(OSError, match="Input/output error"):
            manifest.append(SECOND)
    assert manifest.path.read_bytes() == before


def test_lines_are_removed_by_path(manifest: ChecksumManifest) -> None:
    """With those that are no checksum lines; the others stay, in their order."""
    others = "data/a b.mp4", "data/v6/video/10.mp4"
    text = [line(others[0]), "# x\n", *(line(file.path) for file in FIRST), line(others[1])]
    manifest.path.write_text("".join(text))
    manifest.remove({file.path for file in FIRST})
    assert manifest.path.read_text() == line(others[0]) + line(others[1])


def test_a_rewritten_manifest_is_the_old_or_the_new_one(
    manifest: ChecksumManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the disk fails, nothing has changed."""
    manifest.append([*FIRST, *SECOND])
    before = manifest.path.read_bytes()
    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", IO_ERROR)
        with pytest.raises(OSError, match="Input/output error"):
            manifest.remove({FIRST[0].path})
    assert manifest.path.read_bytes() == before
    manifest.remove({FIRST[0].path})
    assert paths(manifest) == [FIRST[1].path, *(file.path for file in SECOND)]
    assert names(manifest.path.parent) == [manifest.path.name]


@pytest.mark.parametrize("tail", ["a", "0" * 64, "0" * 64 + "  data/v6/video/2.mp4", "\0" * 300])
@pytest.mark.parametrize("before", [(), FIRST])
def test_a_torn_last_line_is_cut(
    manifest: ChecksumManifest, before: tuple[BagFile, ...], tail: str
) -> None:
    """A line without its end is no line; the lines before it stay."""
    manifest.append(before)
    whole = manifest.path.read_bytes()
    manifest.cut_torn_line()
    assert manifest.path.read_bytes() == whole
    manifest.path.write_bytes(whole + tail.encode())
    manifest.cut_torn_line()
    assert manifest.path.read_bytes() == whole


@given(st.lists(st.text("ab/ .é\\*\t\u2028", min_size=1, max_size=9), unique=True), st.data())
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, listed: list[str], data: st.DataObject
) -> None:
    """Whatever is in the paths, and whichever of them are removed."""
    manifest = ChecksumManifest(tmp_path_factory.mktemp("archive") / "manifest-sha256.txt")
    manifest.path.touch()
    manifest.append(map(file, listed))
    assert [*manifest.lines()] == [Checksum(file(path).sha256, path) for path in listed]
    removed = set(data.draw(st.lists(st.sampled_from(listed)))) if listed else set()
    manifest.remove(removed)
    assert paths(manifest) == [path for path in listed if path not in removed]


# --- Files


@pytest.mark.parametrize("data", [b"", b"x", bytes(3 << 20)])
def test_a_file_has_its_checksum(tmp_path: Path, data: bytes) -> None:
    """Of whatever size it is."""
    (tmp_path / "x").write_bytes(data)
    assert sha256_of(tmp_path / "x") == hashlib.sha256(data).hexdigest()
    with pytest.raises(FileNotFoundError):
        sha256_of(str(tmp_path / "y"))
