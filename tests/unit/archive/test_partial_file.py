"""A partial file is hashed and validated as it is written, and can be resumed."""

import errno
import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.archive.fitting import DoesNotFit
from archiver.archive.partial_file import Origin, PartialFile, Payload, this_boot
from archiver.errors import StorageError
from archiver.media.reader import NotWhole
from tests.support.disk import IO_ERROR, DiskLog, everything, failing, names
from tests.support.videos import HTML, MP4, OPEN_ENDED, OTHER_MP4, VIDEOS, WEBM, sha256

SPOOL = 128 << 10
EVERY_KIND = sorted(path.name for path in VIDEOS.iterdir() if path.suffix != ".md")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where the partial file goes; it is not there before."""
    return tmp_path / "v6~deepfake~263"


@pytest.fixture
def path(directory: Path) -> str:
    return str(directory / "1of1.part")


@pytest.fixture
def partial(path: str) -> Iterator[PartialFile]:
    """A partial file of which nothing stays in memory."""
    with closing(PartialFile(path)) as partial:
        yield partial


@pytest.fixture
def spooled(path: str) -> Iterator[PartialFile]:
    """A partial file that may stay in memory."""
    with closing(PartialFile(path, SPOOL)) as partial:
        yield partial


def complete(partial: PartialFile) -> Payload:
    return partial.complete(None, delimited=True)


def suspended(path: str, data: bytes, origin: Origin | None, spool: int = 0) -> None:
    """Have an earlier try stop after some bytes of a file of this origin."""
    partial = PartialFile(path, spool)
    partial.reset(origin)
    partial.write(data)
    partial.suspend()


# --- Writing


@pytest.mark.parametrize("name", EVERY_KIND)
@pytest.mark.parametrize("size", [1, 7, 1000, 10**6])
def test_what_is_written_is_hashed_and_validated(
    partial: PartialFile, name: str, size: int
) -> None:
    """One pass, in blocks of any size, gives the file, its checksum, its length and its kind."""
    data = (VIDEOS / name).read_bytes()
    for start in range(0, len(data), size):
        partial.write(data[start : start + size])
    payload = complete(partial)
    assert (partial.bytes, payload.size, payload.sha256) == (len(data), len(data), sha256(data))
    assert payload.media.extension == name.rpartition(".")[2]
    assert payload.content is None
    assert partial.path.read_bytes() == data


@pytest.mark.parametrize("spool", [0, SPOOL])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_can_be_written(path: str, kind: Callable[[bytes], bytes], spool: int) -> None:
    """Bytes in any form will do, and none at all are none."""
    with closing(PartialFile(path, spool)) as partial:
        partial.write(kind(MP4))
        partial.write(b"")
        payload = complete(partial)
    assert (payload.size, payload.sha256) == (len(MP4), sha256(MP4))
    assert (payload.content or partial.path.read_bytes()) == MP4


@pytest.mark.parametrize("spool", [0, SPOOL])
def test_a_buffer_may_be_reused_once_it_is_written(path: str, spool: int) -> None:
    """What is in memory is a copy of it."""
    buffer = bytearray(MP4)
    with closing(PartialFile(path, spool)) as partial:
        partial.write(buffer)
        buffer[:] = bytes(len(buffer))
        payload = complete(partial)
    assert (payload.content or partial.path.read_bytes()) == MP4


@pytest.mark.parametrize("spool", [0, 1, 1000, len(MP4) - 1, len(MP4), SPOOL])
@pytest.mark.parametrize("cuts", [[], [0], [1, 1, 8], [100, 2000], range(0, len(MP4), 99)])
def test_blocks_are_written_one_after_the_other(path: str, cuts: Sequence[int], spool: int) -> None:
    """Wherever they are cut, and however many of them stay in memory at first."""
    ends = [0, *cuts, len(MP4)]
    with closing(PartialFile(path, spool)) as partial:
        for start, end in pairwise(ends):
            partial.write(MP4[start:end])
        payload = complete(partial)
    assert (partial.bytes, payload.sha256) == (len(MP4), sha256(MP4))
    assert partial.on_disk is (spool < len(MP4))
    if partial.on_disk:
        assert payload.content is None
        assert partial.path.read_bytes() == MP4
    else:
        assert payload.content == MP4


@pytest.mark.parametrize("spool", [0, SPOOL])
@pytest.mark.parametrize("page", [HTML, b'{"status": "error"}', b"%PDF-1.7\n" * 9, bytes(100)])
def test_what_is_no_video_is_refused_at_once(
    tmp_path: Path, path: str, page: bytes, spool: int
) -> None:
    """An error page is known by its first bytes, and not one of them is written."""
    with closing(PartialFile(path, spool)) as partial, pytest.raises(NotWhole):
        partial.write(page)
    assert everything(tmp_path) == {}


@pytest.mark.parametrize("spool", [0, SPOOL])
@pytest.mark.parametrize("data", [b"", MP4[:1], MP4[:-1], MP4[: len(MP4) // 2], WEBM[:-1]])
def test_what_is_cut_is_not_whole(path: str, data: bytes, spool: int) -> None:
    """Truncation is found by the structure alone."""
    with closing(PartialFile(path, spool)) as partial:
        partial.write(data)
        with pytest.raises(NotWhole):
            complete(partial)


@pytest.mark.parametrize("spool", [0, len(MP4) - 1])
def test_what_does_not_fit_is_deleted(path: str, spool: int) -> None:
    """It costs this payload alone: others have the space, and it can begin anew."""
    Path(path).parent.mkdir()
    Path(path).symlink_to("/dev/full")
    with closing(PartialFile(path, spool)) as partial:
        if spool:
            partial.write(MP4[:500])
        with pytest.raises(DoesNotFit, match=f"while writing {path}: No space left"):
            partial.write(MP4[partial.bytes :])
        assert names(partial.path.parent) == []
        partial.write(MP4)
        assert complete(partial).sha256 == sha256(MP4)


def test_a_partial_file_that_begins_anew_has_nothing_of_the_old(
    partial: PartialFile, origin: Origin
) -> None:
    """Bytes, checksum, kind and origin are those of the new file alone."""
    for again in (None, origin, None):
        partial.write(OTHER_MP4[:1500])
        partial.reset(again)
        assert (partial.bytes, partial.origin) == (0, again)
        assert names(partial.path.parent) == []
    partial.write(MP4)
    assert partial.path.read_bytes() == MP4
    payload = complete(partial)
    assert (payload.sha256, payload.media.extension) == (sha256(MP4), "mp4")
    assert names(partial.path.parent) == [partial.path.name]


# --- In memory


def test_nothing_touches_the_disk_before_the_first_byte(
    tmp_path: Path, path: str, disk: DiskLog, origin: Origin
) -> None:
    """A link that fails without a byte leaves no trace, not even briefly."""
    for spool in (0, SPOOL):
        for begun in (None, origin):
            partial = PartialFile(path, spool)
            partial.reset(begun)
            with pytest.raises(NotWhole):
                complete(partial)
            partial.suspend()
            assert not partial.on_disk
    assert disk.steps == []
    assert everything(tmp_path) == {}


def test_a_small_payload_stays_in_memory(tmp_path: Path, path: str, disk: DiskLog) -> None:
    """Whole or cut, nothing of it is on the disk, and closing it changes nothing."""
    for data in (MP4[:-1], MP4):
        with closing(PartialFile(path, SPOOL)) as spooled:
            spooled.write(data[:100])
            spooled.write(data[100:])
            assert not spooled.on_disk
    assert complete(spooled).content == MP4
    assert disk.steps == []
    assert everything(tmp_path) == {}


@pytest.mark.parametrize(
    ("spool", "written", "count", "fits"),
    [
        (0, 0, 0, True),
        (0, 0, 1, False),
        (SPOOL, 0, SPOOL, True),
        (SPOOL, 0, SPOOL + 1, False),
        (SPOOL, 1000, SPOOL - 1000, True),
        (SPOOL, 1000, SPOOL - 999, False),
        (1000, 1001, 0, False),
    ],
)
def test_what_fits_in_memory_is_counted_with_what_is_there(
    path: str, spool: int, written: int, count: int, fits: bool
) -> None:
    """Once anything is on the disk, nothing more fits: all of a payload is in one place."""
    with closing(PartialFile(path, spool)) as partial:
        if written:
            partial.write(MP4[:written])
        assert partial.fits_in_memory(count) is fits


def test_what_outgrows_the_memory_is_moved_to_the_disk(path: str, disk: DiskLog) -> None:
    """All of it, in its order, into one file that is opened once."""
    with closing(PartialFile(path, 1000)) as partial:
        for start in range(0, len(MP4), 400):
            partial.write(MP4[start : start + 400])
            assert partial.on_disk is (start + 400 > 1000)
        assert complete(partial).content is None
    assert disk.steps == [
        f"mkdir {partial.path.parent}", "open 1of1.part wb", f"fsync 1of1.part of {len(MP4)}"
    ]  # fmt: skip
    assert partial.path.read_bytes() == MP4


def test_what_was_on_the_disk_once_stays_there(path: str) -> None:
    """A payload that would fit in memory is not in both places, nor in neither."""
    with closing(PartialFile(path, 1000)) as partial:
        partial.write(OTHER_MP4[:1001])
        partial.reset()
        partial.write(MP4[:500])
        assert partial.on_disk
        assert partial.path.read_bytes() == MP4[:500]
        partial.write(MP4[500:])
        assert complete(partial).content is None
    assert partial.path.read_bytes() == MP4


def test_a_payload_in_memory_that_is_no_video_is_refused(
    spooled: PartialFile, disk: DiskLog
) -> None:
    """A page, or a video that is cut, leaves no trace, and the next try begins with nothing."""
    with pytest.raises(NotWhole, match="HTML"):
        spooled.write(b"<!doctype html><title>404</title>")
    spooled.reset()
    spooled.write(MP4[:-1])
    with pytest.raises(NotWhole, match="cut"):
        complete(spooled)
    spooled.reset()
    spooled.write(WEBM)
    assert complete(spooled).content == WEBM
    assert disk.steps == []


@given(
    st.lists(st.integers(0, len(MP4))), st.integers(0, 2 * len(MP4)), st.sampled_from([MP4, WEBM])
)
def test_however_it_is_cut_and_spooled_the_payload_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], spool: int, data: bytes
) -> None:
    """In memory or on the disk: the bytes, their checksum and their number."""
    path = tmp_path_factory.mktemp("archive") / "1of1.part"
    with closing(PartialFile(str(path), spool)) as partial:
        for start, end in pairwise([0, *sorted(cuts), len(data)]):
            partial.write(data[start:end])
        payload = complete(partial)
    content = path.read_bytes() if payload.content is None else payload.content
    assert content == data
    assert (payload.sha256, payload.size) == (sha256(data), len(data))
    assert path.exists() is (payload.content is None)


# --- Completing


@pytest.mark.parametrize("spool", [0, SPOOL])
@pytest.mark.parametrize("length", [0, 1, len(MP4) - 1, len(MP4) + 1])
def test_a_payload_of_another_length_than_announced_is_not_whole(
    path: str, length: int, spool: int
) -> None:
    """Whatever its structure shows."""
    with closing(PartialFile(path, spool)) as partial:
        partial.write(MP4)
        with pytest.raises(NotWhole, match=f"{len(MP4):,} bytes came of {length:,}"):
            partial.complete(length, delimited=True)
        assert partial.complete(len(MP4), delimited=True).size == len(MP4)


@pytest.mark.parametrize("spool", [0, SPOOL])
def test_an_open_ended_payload_must_have_been_delimited(path: str, spool: int) -> None:
    """Its structure does not show where it ends; the protocol must have."""
    with closing(PartialFile(path, spool)) as partial:
        partial.write(OPEN_ENDED)
        with pytest.raises(NotWhole, match=r"its length is unknown, and a \.webm of this kind"):
            partial.complete(None, delimited=False)
        assert partial.complete(None, delimited=True).sha256 == sha256(OPEN_ENDED)
    with closing(PartialFile(f"{path}-2", spool)) as closed:
        closed.write(MP4)
        assert closed.complete(None, delimited=False).sha256 == sha256(MP4)


def test_a_payload_is_flushed_after_its_last_byte(partial: PartialFile, disk: DiskLog) -> None:
    """However often it was begun, and in how many blocks it came, all of it is on the disk."""
    partial.write(OTHER_MP4[:1500])
    partial.reset()
    for start in range(0, len(MP4), 900):
        partial.write(MP4[start : start + 900])
    complete(partial)
    assert disk.steps[-1] == f"fsync {partial.path.name} of {len(MP4)}"
    assert len(disk.flushes()) == 1


def test_a_payload_that_was_all_there_is_flushed_too(
    path: str, origin: Origin, disk: DiskLog
) -> None:
    """An earlier try may have been killed before that."""
    suspended(path, MP4, origin)
    disk.steps.clear()
    with closing(PartialFile.resume(path)) as partial:
        complete(partial)
    assert disk.flushes() == [f"fsync 1of1.part of {len(MP4)}"]


def test_what_cannot_be_flushed_is_not_complete(
    partial: PartialFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays as it is, and is complete once the disk takes it."""
    partial.write(MP4)
    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", IO_ERROR)
        with pytest.raises(StorageError, match=r"flushing .*Input/output error"):
            complete(partial)
    assert partial.path.read_bytes() == MP4
    assert complete(partial).sha256 == sha256(MP4)


# --- Suspending


def test_a_partial_file_of_no_origin_is_deleted(path: str, directory: Path) -> None:
    """A try that cannot be resumed starts from nothing and leaves nothing."""
    directory.mkdir()
    for _ in range(2):
        with closing(PartialFile.resume(path)) as partial:
            assert partial.bytes == 0
            assert not partial.path.exists()
            partial.write(MP4[:100])
            partial.suspend()
            assert names(directory) == []
    # What a killed run has left is no better: it is overwritten from its beginning.
    Path(path).write_bytes(OTHER_MP4)
    with closing(PartialFile.resume(path)) as partial:
        partial.write(MP4)
        assert partial.path.read_bytes() == MP4


@pytest.mark.parametrize("spool", [0, SPOOL])
def test_a_partial_file_with_an_origin_is_kept(
    path: str, directory: Path, origin: Origin, spool: int
) -> None:
    """What has come of it is on the disk with its origin, also if it was in memory before."""
    suspended(path, MP4[:1500], origin, spool)
    assert names(directory) == ["1of1.part", "1of1.part.json"]
    assert (directory / "1of1.part").read_bytes() == MP4[:1500]
    note = json.loads((directory / "1of1.part.json").read_bytes())
    assert note == {"written": f"{1500:020} {sha256(MP4[:1500])}"} | asdict(origin)


def test_what_is_in_memory_and_has_no_origin_leaves_no_trace(
    tmp_path: Path, spooled: PartialFile, disk: DiskLog
) -> None:
    """It cannot be resumed, and was never on the disk."""
    spooled.write(MP4[:1500])
    spooled.suspend()
    assert disk.steps == []
    assert everything(tmp_path) == {}


@pytest.mark.parametrize("spool", [0, SPOOL])
def test_a_partial_file_without_a_byte_is_not_kept(
    tmp_path: Path, path: str, origin: Origin, spool: int
) -> None:
    """However much is known of its file, there is nothing to resume."""
    suspended(path, b"", origin, spool)
    assert everything(tmp_path) == {}


def test_what_is_on_the_disk_and_begins_anew_without_a_byte_is_deleted(
    partial: PartialFile, origin: Origin
) -> None:
    """Neither its bytes of before are kept nor its origin of now."""
    partial.reset(origin)
    partial.write(MP4[:100])
    partial.reset(origin)
    partial.write(b"")
    assert names(partial.path.parent) == [partial.path.name, partial.origin_path.name]
    partial.suspend()
    assert names(partial.path.parent) == []


@pytest.mark.parametrize("call", ["open", "unlink"])
def test_a_disk_that_does_not_let_it_suspend_is_a_storage_error(
    path: str, origin: Origin, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Whether what is in memory cannot be written, or what is on the disk cannot be deleted."""
    partial = PartialFile(path, SPOOL if call == "open" else 0)
    partial.reset(origin if call == "open" else None)
    partial.write(MP4[:100])
    with monkeypatch.context() as disk:
        disk.setattr(Path, call, failing(errno.EROFS))
        with pytest.raises(StorageError, match=f"while writing {path}: Read-only"):
            partial.suspend()


# --- Resuming


@pytest.mark.parametrize("spool", [0, SPOOL])
@pytest.mark.parametrize("size", [1, 100, len(MP4) - 1, len(MP4)])
def test_a_partial_file_is_resumed(
    path: str, directory: Path, origin: Origin, size: int, spool: int
) -> None:
    """What an earlier try has left is hashed and validated with what is written to it now."""
    suspended(path, MP4[:size], origin, spool)
    assert names(directory) == ["1of1.part", "1of1.part.json"]
    with closing(PartialFile.resume(path)) as partial:
        assert (partial.bytes, partial.origin, partial.on_disk) == (size, origin, True)
        partial.write(MP4[size:])
        payload = complete(partial)
    assert (payload.sha256, payload.size, payload.content) == (sha256(MP4), len(MP4), None)
    assert partial.path.read_bytes() == MP4


def test_a_partial_file_is_not_read_again_while_it_lives(
    path: str, origin: Origin, disk: DiskLog
) -> None:
    """From try to try its file stays open, and what was hashed stays hashed."""
    with closing(PartialFile(path)) as partial:
        partial.reset(origin)
        for start in range(0, len(MP4), 900):
            partial.write(MP4[start : start + 900])
        partial.suspend()
        assert complete(partial).sha256 == sha256(MP4)
    opened = [step for step in disk.steps if step.startswith("open 1of1.part ")]
    assert opened == ["open 1of1.part wb"]
    with closing(PartialFile.resume(path)):
        pass
    assert disk.steps[-1] == "open 1of1.part rb"


@pytest.mark.parametrize(
    "changed",
    [
        b"", MP4[:1499], MP4[:700] + b"x" + MP4[701:1500], MP4[:1499] + b"x", bytes(1500),
        OTHER_MP4[:1500], MP4[:700] + MP4[701:1501],
    ],
)  # fmt: skip
def test_a_partial_file_that_was_changed_since_is_not_resumed(
    path: str, directory: Path, origin: Origin, changed: bytes
) -> None:
    """The container alone would not show each change: it begins anew."""
    suspended(path, MP4[:1500], origin)
    Path(path).write_bytes(changed)
    with closing(PartialFile.resume(path)) as partial:
        assert partial.bytes == 0
        assert names(directory) == []


def test_what_was_written_before_a_kill_is_resumed(
    path: str, directory: Path, origin: Origin
) -> None:
    """Each piece is noted once it is written; one that was not yet noted is cut."""
    killed = PartialFile(path)
    killed.reset(origin)
    killed.write(MP4[:700])
    killed.write(MP4[700:1500])
    with Path(path).open("ab") as file:
        file.write(b"a piece that was just being written")
    with closing(PartialFile.resume(path)) as partial:
        assert partial.bytes == 1500
        assert (directory / "1of1.part").read_bytes() == MP4[:1500]
        partial.write(MP4[1500:])
        assert complete(partial).sha256 == sha256(MP4)
    killed.close()


def test_it_goes_on_in_memory_after_a_link_that_gave_nothing_of_use(
    spooled: PartialFile, origin: Origin, disk: DiskLog
) -> None:
    """A new origin does not need the disk, either."""
    spooled.write(OTHER_MP4[:1000])
    spooled.reset(origin)
    spooled.write(MP4)
    assert complete(spooled).content == MP4
    assert disk.steps == []


@pytest.mark.parametrize(
    "known",
    [
        b"", b"{", b"[]", b"null", b'{"validator": "x"}', b"\xff",
        b'{"validator": "x", "place": "", "length": 1, "boot": "another boot"}',
        b'{"validator": "x", "place": "", "length": 1, "boot": ""}',
        b'{"validator": "x", "place": "", "length": 1, "boot": "this boot", "more": 1}',
    ],
)  # fmt: skip
def test_a_partial_file_without_a_valid_origin_is_not_resumed(
    path: str, directory: Path, origin: Origin, known: bytes
) -> None:
    """What it is a part of must be known, and known since the machine was started."""
    suspended(path, MP4[:100], origin)
    (directory / "1of1.part.json").write_bytes(known)
    with closing(PartialFile.resume(path)) as partial:
        assert (partial.bytes, partial.origin) == (0, None)
        assert names(directory) == []
        partial.write(OTHER_MP4)
        assert partial.path.read_bytes() == OTHER_MP4
        partial.suspend()
    assert names(directory) == []


def test_without_an_id_of_the_boot_nothing_is_resumed(
    path: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system gives none, a file that was not flushed cannot be known."""
    monkeypatch.setattr("archiver.archive.partial_file.this_boot", lambda: "")
    suspended(path, MP4[:100], Origin('"tag"', "", len(MP4), ""))
    with closing(PartialFile.resume(path)) as partial:
        assert (partial.bytes, partial.origin) == (0, None)
    assert names(directory) == []


def known(boot: str, written: bytes) -> str:
    """Return what is noted of a partial file of so many bytes."""
    sha256 = hashlib.sha256(written).hexdigest()
    note = {"written": f"{len(written):020} {sha256}", "validator": "x", "place": "", "length": 1}
    return json.dumps(note | {"boot": boot})


@pytest.mark.parametrize(
    ("note", "why"),
    [
        ("{", "what it is a part of is not known"),
        (known("another boot", HTML), "the machine was restarted since"),
        (known("", HTML), "the ID of the machine's boot cannot be read"),
        (known("this boot", HTML), "not a video but an HTML page"),
    ],
)
def test_why_a_partial_file_is_not_resumed_is_logged(
    tmp_path: Path, origin: Origin, caplog: pytest.LogCaptureFixture, note: str, why: str
) -> None:
    """One line names the generation; where there is nothing to resume there is none."""
    path = tmp_path / "v6~deepfake~263/1of1.part"
    suspended(str(path), MP4[:100], origin)
    path.write_bytes(HTML)
    path.with_name("1of1.part.json").write_text(note)
    with caplog.at_level(logging.INFO, "archiver"):
        for _ in range(2):
            PartialFile.resume(str(path)).close()
    assert caplog.messages == [f"v6/deepfake/263: 1of1.part is not resumed: {why}"]


def test_an_origin_of_an_earlier_version_is_resumed(
    path: str, directory: Path, origin: Origin
) -> None:
    """It knows of no weak entity tag."""
    suspended(path, MP4[:100], origin)
    note = json.loads((directory / "1of1.part.json").read_text())
    del note["tag"]
    (directory / "1of1.part.json").write_text(json.dumps(note))
    with closing(PartialFile.resume(path)) as partial:
        assert (partial.bytes, partial.origin) == (100, origin)


def test_this_boot_has_an_id_that_stays() -> None:
    """Or none, where the system gives none."""
    assert this_boot() == this_boot()
    assert this_boot() == this_boot().strip()


def test_a_partial_file_that_is_no_video_is_deleted(
    path: str, directory: Path, origin: Origin
) -> None:
    """What can no longer become one is not resumed."""
    suspended(path, MP4[:100], origin)
    Path(path).write_bytes(HTML)
    with closing(PartialFile.resume(path)) as partial:
        assert partial.bytes == 0
    assert names(directory) == []


def test_an_origin_without_its_file_is_deleted(path: str, directory: Path, origin: Origin) -> None:
    """There is nothing to resume."""
    suspended(path, MP4[:100], origin)
    Path(path).unlink()
    with closing(PartialFile.resume(path)) as partial:
        assert (partial.bytes, partial.origin) == (0, None)
    assert names(directory) == []


def test_a_resumed_file_that_begins_anew_is_on_the_disk(
    path: str, directory: Path, origin: Origin
) -> None:
    """Another file than before has another origin, and nothing of the old one's bytes."""
    suspended(path, OTHER_MP4[:1500], origin)
    anew = Origin('"another"', "", None, "this boot")
    with closing(PartialFile.resume(path)) as partial:
        partial.reset(anew)
        assert names(directory) == []
        partial.write(MP4[:100])
        partial.suspend()
    assert Path(path).read_bytes() == MP4[:100]
    with closing(PartialFile.resume(path)) as partial:
        assert (partial.bytes, partial.origin) == (100, anew)


def test_what_cannot_be_read_is_a_storage_error(path: str, origin: Origin) -> None:
    """It is not taken for a file that is not there."""
    suspended(path, MP4[:100], origin)
    Path(path).unlink()
    Path(path).mkdir()
    with pytest.raises(StorageError, match=f"while reading {path}: Is a directory"):
        PartialFile.resume(path)


@pytest.mark.parametrize("act", [PartialFile.resume, lambda path: PartialFile(path).write(MP4)])
def test_where_no_directory_can_be_made_is_a_storage_error(
    directory: Path, path: str, act: Callable[[str], object]
) -> None:
    """The run ends; no generation is blamed."""
    directory.touch()
    with pytest.raises(StorageError, match="storage failed while"):
        act(path)
