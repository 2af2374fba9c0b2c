"""The checksum manifest: lines that are read leniently, and written durably or not at all."""

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.archive.checksum_manifest import ChecksumManifest, parse, payload_path, sha256_of
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
    """Only a checksum, white space and a path in `data/` are a line."""
    manifest.path.write_text(
        f"{GOOD}  data/a b.mp4\n\n# a comment\n{GOOD}\n{GOOD}data/c\n{GOOD[1:]}  data/d\n"
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


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("{}  data/a b.mp4\n", "data/a b.mp4"),
        ("{} *data/v6/video/1.mp4\n", "data/v6/video/1.mp4"),
        ("{}  ./data/v6/video/1.mp4\n", "data/v6/video/1.mp4"),
        ("{} *./data/v6/./video//1.mp4\r\n", "data/v6/video/1.mp4"),
        ("{} data/v6/video/1.mp4\n", "data/v6/video/1.mp4"),
        ("{}\t \tdata/v6/video/1.mp4\n", "data/v6/video/1.mp4"),
        ("\ufeff{}  data/v6/video/1.mp4\n", "data/v6/video/1.mp4"),
        ("{}  data/a%0Ab%0dc%25d%41%.txt\n", "data/a\nb\rc%d%41%.txt"),
        ("{}  data/.hidden..x/y\n", "data/.hidden..x/y"),
        ("{}  ../x\n", None),
        ("{}  ./../data/x\n", None),
        ("{}  /data/x\n", None),
        ("{}  /etc/passwd\n", None),
        ("{}  data/../x\n", None),
        ("{}  data/a/../x\n", None),
        ("{}  data/%2E%2E/x\n", "data/%2E%2E/x"),
        ("{}  ~/x\n", None),
        ("{}  bagit.txt\n", None),
        ("{}  data\n", None),
        ("{}  data/\n", None),
    ],
)
def test_a_line_is_read_in_each_of_its_spellings(written: str, path: str | None) -> None:
    """As sha256sum, bagit-python and others write it; what is not in `data/` is none."""
    for checksum in (GOOD, GOOD.upper()):
        line = parse(written.format(checksum).encode())
        assert line == (Checksum(GOOD, path) if path else None)


def test_a_path_is_encoded_as_bagit_has_it(manifest: ChecksumManifest) -> None:
    """A line break or a percent sign cannot be told from what they mean in a line."""
    manifest.append([BagFile("data/50%\r\n.txt", GOOD, 1)])
    assert manifest.path.read_text() == f"{GOOD}  data/50%25%0D%0A.txt\n"
    assert paths(manifest) == ["data/50%\r\n.txt"]


def test_lines_that_stay_stay_to_the_letter(manifest: ChecksumManifest) -> None:
    """Whoever wrote them may read them again, in no other spelling."""
    odd = f"{GOOD.upper()} *./data/50%.txt\r\n".encode() + f"{GOOD}\tdata/".encode() + b"\xe9\n"
    manifest.path.write_bytes(odd + line("data/a").encode())
    manifest.remove({"data/a"})
    assert manifest.path.read_bytes() == odd


def test_a_torn_last_line_is_told(manifest: ChecksumManifest) -> None:
    """It is what follows the last end of a line."""
    for before in ("", line("data/a")):
        for tail in ("", "a", "0" * 64, "0" * 64 + "  data/v6/video/2.mp4", "\0" * 300):
            manifest.path.write_text(before + tail)
            assert manifest.torn_line() == tail.encode()


@given(st.lists(st.text("ab/ .é\\*\t%\n\u2028", min_size=1, max_size=9), unique=True), st.data())
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], data: st.DataObject
) -> None:
    """Whatever is in the paths, and whichever of them are removed."""
    written = (payload_path(f"data/{name}".replace("%", "%25")) for name in names)
    listed = list(dict.fromkeys(filter(None, written)))
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


def test_what_is_no_file_has_no_checksum(tmp_path: Path) -> None:
    """Nobody waits for a pipe to end, or for a device."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(OSError, match="a pipe or a device"):
            sha256_of(path)
