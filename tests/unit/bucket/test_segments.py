"""Segments of the checksum manifest: written by group commits, rolled up, and withdrawn."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from archiver.archive.checksum_manifest import ChecksumManifest
from archiver.archive.layout import MANIFEST, Layout
from archiver.bucket import segments as module
from archiver.bucket.claim import LEASE
from archiver.bucket.fence import FORGOTTEN_AFTER, SUPERSEDED, spelled
from archiver.bucket.lease import Lease, acquire
from archiver.bucket.segment import FENCED, SEGMENTS, path_of
from archiver.bucket.segments import Segments, refresh
from archiver.checksums import BagFile, Checksum
from archiver.errors import LeaseLost, StorageError
from archiver.s3.measured import in_file
from tests.support.clock import MonotonicClock
from tests.support.objects_in_memory import ObjectsInMemory

RUN = "20260101T000000Z-0123456789ab"


def file(number: int, sha256: str = "ab") -> BagFile:
    """Return a file of the archive."""
    return BagFile(f"data/v6/deepfake/{number}.mp4", sha256 * 32, 1)


def text(*files: BagFile) -> str:
    """Return the lines of files."""
    return "".join(str(Checksum(each.sha256, each.path)) for each in files)


@pytest.fixture
def objects() -> ObjectsInMemory:
    return ObjectsInMemory()


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path)


class Run:
    """A run that commits lines."""

    def __init__(self, objects: ObjectsInMemory, layout: Layout, lease: Lease) -> None:
        self.segments = Segments(objects, lease, layout)
        self.lease = lease
        self._manifest = ChecksumManifest(layout.manifest)

    def commit(self, *files: BagFile) -> None:
        """Commit lines: in the bucket, then here."""
        self.segments.append(files)
        self._manifest.append(files)


@contextmanager
def running(objects: ObjectsInMemory, layout: Layout) -> Iterator[Run]:
    """Run in order."""
    lease = acquire(objects, 0, 60)
    run = Run(objects, layout, lease)
    run.segments.begin()
    yield run
    run.segments.end()
    lease.release()


def manifest(objects: ObjectsInMemory) -> str | None:
    """Return the bucket's manifest."""
    content = objects.content(MANIFEST)
    return None if content is None else content.decode()


def test_a_segment_is_the_lines_of_one_commit(objects: ObjectsInMemory, layout: Layout) -> None:
    """Its content is exactly them, under the run's name and the next number."""
    with running(objects, layout) as run:
        run.commit(file(1), file(2))
        run.commit(file(3))
        names = [path_of(run.segments.run, number) for number in (1, 2)]
        assert objects.paths(SEGMENTS) == names
        assert objects.content(names[0]) == text(file(1), file(2)).encode()
        run.commit()
        assert objects.paths(SEGMENTS) == names


def test_an_orderly_end_leaves_a_plain_manifest(objects: ObjectsInMemory, layout: Layout) -> None:
    """No segment is left, and nobody is to be fenced."""
    with running(objects, layout) as run:
        run.commit(file(1))
        run.segments.roll_up()
        run.commit(file(2))
    assert manifest(objects) == text(file(1), file(2)) == layout.manifest.read_text()
    assert objects.paths() == [LEASE, MANIFEST]
    with pytest.raises(LeaseLost, match="it has ended"):
        run.commit(file(3))
    with running(objects, layout):
        assert objects.paths() == [LEASE, MANIFEST]


def test_a_run_of_nothing_leaves_an_empty_manifest(
    objects: ObjectsInMemory, layout: Layout
) -> None:
    """A bag has one."""
    with running(objects, layout):
        pass
    assert manifest(objects) == ""


def test_the_last_segment_stays_as_long_as_its_run(
    objects: ObjectsInMemory, layout: Layout
) -> None:
    """Emptied: it says which number is the next."""
    with running(objects, layout) as run:
        for number in range(4):
            run.commit(file(number))
        run.segments.roll_up()
        assert objects.paths(SEGMENTS) == [path_of(run.segments.run, 4)]
        assert objects.content(path_of(run.segments.run, 4)) == b""
        run.commit(file(4))
        run.segments.roll_up()
        assert objects.paths(SEGMENTS) == [path_of(run.segments.run, 5)]


def test_what_is_as_it_was_is_not_read(objects: ObjectsInMemory, layout: Layout) -> None:
    """Where the manifest has the ETag that was noted, and there is no segment."""
    with running(objects, layout) as run:
        run.commit(file(1))
    objects.asked.clear()
    refresh(objects, layout)
    assert objects.asked == [f"list {SEGMENTS}", f"head {MANIFEST}"]


def test_whoever_only_reads_has_the_lines_of_segments_too(
    objects: ObjectsInMemory, layout: Layout, tmp_path: Path
) -> None:
    """On another machine, while the run works; again and again with the same result."""
    elsewhere = Layout(tmp_path / "elsewhere")
    elsewhere.root.mkdir()
    with running(objects, layout) as run:
        run.commit(file(1))
        run.segments.roll_up()
        run.commit(file(2))
        for _ in range(2):
            refresh(objects, elsewhere)
            assert elsewhere.manifest.read_text() == text(file(1), file(2))


def test_a_segment_that_is_rolled_up_while_it_is_read_is_in_the_manifest(
    objects: ObjectsInMemory, layout: Layout, tmp_path: Path
) -> None:
    """The manifest is read after the segments, so no line is missed between the two."""
    elsewhere = Layout(tmp_path / "elsewhere")
    elsewhere.root.mkdir()
    plain = objects.get

    def get(path: str, limit: int = 1 << 20) -> object:
        objects.get = plain  # type: ignore[method-assign]
        run.segments.roll_up()
        return plain(path, limit)

    with running(objects, layout) as run:
        run.commit(file(1))
        run.commit(file(2))
        objects.get = get  # type: ignore[method-assign, assignment]
        refresh(objects, elsewhere)
    assert elsewhere.manifest.read_text() == text(file(1), file(2))


def test_a_manifest_that_another_program_has_edited_is_read_again(
    objects: ObjectsInMemory, layout: Layout
) -> None:
    """Its lines stay to the letter, and those that are there in another spelling come once."""
    with running(objects, layout) as run:
        run.commit(file(1))
    edited = text(file(2)).replace("ab", "AB") + text(file(3)).replace("  ", " *").rstrip("\n")
    objects.place(MANIFEST, edited.encode())
    objects.place(path_of(RUN, 1), text(file(2), file(3), file(4)).encode())
    with running(objects, layout) as run:
        assert layout.manifest.read_text() == f"{edited}\n{text(file(4))}"
        run.commit(file(5))
    assert manifest(objects) == f"{edited}\n{text(file(4), file(5))}"


def test_a_manifest_that_is_gone_is_begun_anew(
    objects: ObjectsInMemory, layout: Layout, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning says so; what segments have is in it."""
    with running(objects, layout) as run:
        run.commit(file(1))
    objects.delete([MANIFEST])
    objects.place(path_of(RUN, 1), text(file(2)).encode())
    with running(objects, layout):
        pass
    assert manifest(objects) == text(file(2))
    assert f"no {MANIFEST} any more" in caplog.text


@pytest.mark.parametrize("damage", ["shorter", "other", "longer", "no note", "torn note", "gone"])
def test_a_mirror_that_is_not_what_was_noted_is_not_believed(
    objects: ObjectsInMemory, layout: Layout, damage: str
) -> None:
    """As a crash, or a disk, may have left it: the bucket says what is listed."""
    with running(objects, layout) as run:
        run.commit(file(1), file(2))
    note, here = layout.manifest.with_suffix(".json"), layout.manifest
    match damage:
        case "shorter":
            here.write_text(text(file(1)))
        case "other":
            here.write_text(text(file(1), file(3)))
        case "longer":
            here.write_text(text(file(1), file(2), file(3)))
        case "no note":
            note.unlink()
        case "torn note":
            note.write_text("{")
        case "gone":
            here.unlink()
    with running(objects, layout) as run:
        assert here.read_text() == text(file(1), file(2))
        run.commit(file(4))
    assert manifest(objects) == text(file(1), file(2), file(4))


def test_a_mirror_that_changes_while_a_run_works_is_not_rolled_up(
    objects: ObjectsInMemory, layout: Layout
) -> None:
    """Instead the bucket's manifest is read again, and has the run's lines in the end."""
    with running(objects, layout) as run:
        run.commit(file(1), file(2))
        run.segments.roll_up()
        run.commit(file(3))
        layout.manifest.write_text(text(file(9, "99")) * 3)
    assert manifest(objects) == text(file(1), file(2), file(3))


def test_a_line_that_is_not_here_yet_is_rolled_up(objects: ObjectsInMemory, layout: Layout) -> None:
    """Whatever kept it from being appended here: no segment is deleted whose lines are not."""
    with running(objects, layout) as run:
        run.segments.append([file(1)])
    assert manifest(objects) == text(file(1)) == layout.manifest.read_text()


def test_what_is_withdrawn_is_nowhere(objects: ObjectsInMemory, layout: Layout) -> None:
    """Neither in the manifest nor in a segment; and what is instead is there at once."""
    with running(objects, layout) as run:
        run.commit(file(1), file(2))
        run.segments.roll_up()
        run.commit(file(3))
        run.segments.rewrite({file(1).path, file(3).path}, [file(1, "cd")])
        assert manifest(objects) == text(file(2), file(1, "cd")) == layout.manifest.read_text()
        assert [objects.content(path) for path in objects.paths(SEGMENTS)] == [b""]


def test_a_manifest_that_changes_again_and_again_ends_the_run(
    objects: ObjectsInMemory, layout: Layout
) -> None:
    """Another program writes to it all the time: that is bounded, and nothing is lost."""
    numbers = iter(range(100, 200))

    def step(what: str, path: str) -> None:
        if (what, path) == ("put", MANIFEST):
            objects.place(MANIFEST, text(file(next(numbers))).encode())

    lease = acquire(objects, 0, 60)
    run = Run(objects, layout, lease)
    run.segments.begin()
    run.commit(file(1))
    objects.step = step  # type: ignore[method-assign]
    with pytest.raises(StorageError, match=r"somebody else writes to manifest-sha256\.txt again"):
        run.segments.end()
    assert objects.content(path_of(run.segments.run, 1)) == text(file(1)).encode()


def test_what_fails_to_be_withdrawn_leaves_no_copy_here(
    objects: ObjectsInMemory, layout: Layout
) -> None:
    """A manifest is large; and here and there it is as it was."""

    def step(what: str, path: str) -> None:
        if what == "put":
            raise StorageError("the store is gone")

    with running(objects, layout) as run:
        run.commit(file(1))
        plain, objects.step = objects.step, step  # type: ignore[method-assign]
        with pytest.raises(StorageError):
            run.segments.rewrite({file(1).path})
        objects.step = plain  # type: ignore[method-assign]
        assert sorted(path.name for path in layout.root.iterdir()) == [
            "manifest-sha256.json",
            MANIFEST,
        ]
    assert manifest(objects) == text(file(1)) == layout.manifest.read_text()


def test_a_segment_without_a_response_is_ours_if_it_is_there(
    objects: ObjectsInMemory, layout: Layout
) -> None:
    """The next commit takes the next number; the line counts."""
    plain = objects.put

    def put(*args: object) -> None:
        plain(*args)  # type: ignore[arg-type]
        objects.put = plain  # type: ignore[method-assign]
        raise StorageError("the response is lost")

    with running(objects, layout) as run:
        objects.put = put  # type: ignore[method-assign, assignment]
        with pytest.raises(StorageError):
            run.commit(file(1))
        run.commit(file(2))
        assert objects.paths(SEGMENTS) == [path_of(run.segments.run, n) for n in (1, 2)]
    assert manifest(objects) == text(file(2), file(1))


def test_a_segment_that_may_come_yet_leaves_its_run_to_be_fenced(
    objects: ObjectsInMemory, layout: Layout
) -> None:
    """It was sent, and nobody knows whether it arrived: the next run closes the door."""

    def step(what: str, path: str) -> None:
        if what == "put" and path.startswith(SEGMENTS):
            raise StorageError("the store is gone")

    with running(objects, layout) as run:
        run.commit(file(1))
        plain, objects.step = objects.step, step  # type: ignore[method-assign]
        with pytest.raises(StorageError):
            run.commit(file(2))
        objects.step = plain  # type: ignore[method-assign]
    with running(objects, layout):
        assert objects.content(path_of(run.segments.run, 2)) == FENCED


def test_a_run_without_a_lease_is_fenced_by_its_segments(
    objects: ObjectsInMemory, layout: Layout
) -> None:
    """Somebody has deleted the lease: the run may still work."""
    lease = acquire(objects, 0, 60)
    sleeper = Run(objects, layout, lease)
    sleeper.segments.begin()
    sleeper.commit(file(1))
    objects.delete([LEASE])
    with running(objects, layout), pytest.raises(LeaseLost, match="another run has taken it over"):
        sleeper.segments.append([file(2)])
    assert manifest(objects) == text(file(1))


def test_a_fence_is_forgotten_after_a_month(objects: ObjectsInMemory, layout: Layout) -> None:
    """Nothing of a dead run is left then."""
    dead = Run(objects, layout, acquire(objects, 0, 60))
    dead.segments.begin()
    dead.commit(file(1))
    objects.pass_seconds(62)
    with running(objects, layout):
        pass
    assert len(objects.paths(SEGMENTS)) == 2
    objects.now += FORGOTTEN_AFTER + timedelta(seconds=1)
    with running(objects, layout):
        pass
    assert objects.paths(SEGMENTS) == objects.paths(SUPERSEDED) == []
    assert manifest(objects) == text(file(1))


def test_what_is_no_line_in_a_segment_is_kept(
    objects: ObjectsInMemory, layout: Layout, caplog: pytest.LogCaptureFixture
) -> None:
    """Its lines count, the rest is in the quarantine, and a warning says so."""
    odd = f"hello\n{text(file(1))}".encode()
    objects.place(path_of(RUN, 1), odd)
    objects.place(f"{SEGMENTS}notes.txt", b"mine")
    with running(objects, layout):
        pass
    assert manifest(objects) == text(file(1))
    assert objects.content(f".archiver/quarantine/{RUN}-00000001.txt") == odd
    assert objects.content(f"{SEGMENTS}notes.txt") == b"mine"
    assert "not all of" in caplog.text
    assert "notes.txt is no segment" in caplog.text


def test_a_large_manifest_is_rolled_up_rarely(
    objects: ObjectsInMemory, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every three minutes, or so that it takes at most a twentieth of the time."""
    clock = MonotonicClock.of(module.__name__, monkeypatch)
    with running(objects, layout) as run:
        clock.now += 181
        assert not run.segments.is_due()  # there is nothing to roll up
        run.commit(file(1))
        assert run.segments.is_due()
        plain = objects.step

        def step(what: str, path: str) -> None:
            clock.now += 30

        objects.step = step  # type: ignore[method-assign]
        run.segments.roll_up()
        objects.step = plain  # type: ignore[method-assign]
        run.commit(file(2))
        clock.now += 1199
        assert not run.segments.is_due()
        clock.now += 1
        assert run.segments.is_due()


@pytest.mark.parametrize("lines", [0, 1, 2])
def test_a_manifest_can_be_spelled_in_many_ways(tmp_path: Path, lines: int) -> None:
    """Each says the same, to this program and to others, and none is one that was before."""
    path = tmp_path / MANIFEST
    path.write_text(text(*(file(number) for number in range(lines))))
    before = {in_file(path).sha256}
    for _ in range(20):
        with spelled(in_file(path), before) as body:
            other = ChecksumManifest(Path(body.file))
            assert list(other.lines()) == list(ChecksumManifest(path).lines())
            assert body.sha256 not in before
            before.add(body.sha256)
    assert sorted(tmp_path.iterdir()) == [path]


def test_other_programs_accept_another_spelling(tmp_path: Path) -> None:
    """Both sha256sum and an independent BagIt validator do."""
    payload = tmp_path / "data/1.mp4"
    payload.parent.mkdir()
    payload.write_bytes(b"x")
    path = tmp_path / MANIFEST
    path.write_text(str(Checksum(in_file(payload).sha256, "data/1.mp4")))
    (tmp_path / "bagit.txt").write_text(
        "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n", newline="\n"
    )
    with spelled(in_file(path), {in_file(path).sha256}) as body:
        shutil.move(body.file, path)
    assert path.read_text() != path.read_text().lower()
    for command in (
        ["sha256sum", "-c", "--strict", "--quiet", MANIFEST],
        [sys.executable, "-W", "ignore", "-m", "bagit", "--validate", "."],
    ):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, text=True)
        assert done.returncode == 0, done


def test_the_lease_says_who_is_to_be_fenced(objects: ObjectsInMemory, layout: Layout) -> None:
    """From its first renewal on: the run itself, unless it ends in order."""
    with running(objects, layout) as run:
        run.lease.renew()
        assert json.loads(objects.content(LEASE) or b"")["unfenced"] == [run.segments.run]
    assert json.loads(objects.content(LEASE) or b"")["unfenced"] == []
