"""`archiver sync` copies an archive to another directory, and proves each file on the way."""

import json
import os
import re
import shutil
import signal
from contextlib import closing
from pathlib import Path

import pytest

from archiver.archive.journal import Entry
from archiver.archive.staged import StagedFile
from archiver.archive.writable import WritableBag
from archiver.checksums import BagFile
from archiver.cli.status_report import follow
from archiver.emulator.scripts import OutputScript, Script
from archiver.emulator.server import Emulator
from archiver.errors import (
    ArchiveLocked,
    ConfigurationError,
    Interrupted,
    NotAnArchive,
    StorageError,
)
from archiver.progress import Silent
from archiver.run import Stopped
from archiver.sync.sync import SyncSettings, sync
from tests.support.archives import look_up, read_catalogue
from tests.support.backups import (
    Backups,
    assert_lines_true,
    assert_true_bag,
    generation,
)
from tests.support.copies import (
    add_files,
    generation_files,
    lines_in,
    make_archive,
    snapshot,
)
from tests.support.running import COMMAND, Ended, assert_valid_bag, ended, started, until

ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
OTHERS = {"data/notes/a b%\n.txt": b"of another program", "data/.keep": b""}


@pytest.fixture
async def source(backups: Backups, emulator: Emulator) -> Path:
    """An archive with three generations that a backup has archived, and one that has failed."""
    emulator.scripts |= {
        generation("1"): Script(),
        generation("2"): Script(outputs=(OutputScript(size=5_000), OutputScript(size=700_000))),
        generation("realtime/3"): Script(outputs=(OutputScript(size=200_000),)),
        generation("4"): Script(response="failed"),
    }
    await backups.run(json.dumps({"id": 1, "prompt": "a cat"}))
    await backups.run("2", "realtime/3", "4")
    return backups.archive


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "copy"


async def command(*args: object, **env: str) -> Ended:
    """Run `archiver sync` with these arguments."""
    return await ended(COMMAND, "sync", *map(str, args), env=ENVIRONMENT | env)


def states(root: Path) -> dict[str, tuple[object, ...]]:
    """Return what the catalogue of an archive knows of each generation that it holds."""
    with closing(read_catalogue(root)) as catalogue:
        return {
            each.generation.name: (
                each.since,
                each.served_by,
                each.metadata,
                [(file.path, file.bytes, file.sha256, file.properties) for file in each.files],
            )
            for each in catalogue.queries.all()
            if each.state == "held"
        }


class Watched(Silent):
    """Progress that does something once so many bytes have come."""

    def __init__(self, count: int, act: "object") -> None:
        self.came = self.expected_bytes = 0
        self._count, self._act = count, act

    def expected(self, count: int) -> None:
        """Add them up."""
        self.expected_bytes += count

    def received(self, count: int) -> None:
        """Add them up, and act when they are enough."""
        before, self.came = self.came, self.came + count
        if before < self._count <= self.came:
            self._act()  # type: ignore[operator]


def many(root: Path, count: int = 200, size: int = 20_000) -> Path:
    files = {
        path: data for n in range(count) for path, data in generation_files(str(n), size).items()
    }
    return make_archive(root, files)


# --- What is copied


async def test_the_copy_is_the_archive(source: Path, target: Path) -> None:
    """It has each file and each line; it is a valid bag, and the source is as it was."""
    before = snapshot(source)
    report = sync(source, target)
    assert (report.exit_status, report.tally.copied, report.tally.held) == (0, 8, 0)
    assert snapshot(source) == before
    assert lines_in(target) == lines_in(source)
    for path in lines_in(source):
        assert (target / path).read_bytes() == (source / path).read_bytes()
    assert_true_bag(target)
    await assert_valid_bag(target)
    assert list((target / ".archiver/incoming").iterdir()) == []


async def test_the_copy_knows_what_the_archive_knows(source: Path, target: Path) -> None:
    """What is held since when, from which links, and what is said of it; no more than that."""
    sync(source, target)
    assert states(target) == states(source)
    assert states(target)["v6/deepfake/1"][2].prompt == "a cat"  # type: ignore[attr-defined]
    assert look_up(target, generation("4")).state is None
    with closing(read_catalogue(target)) as catalogue:
        assert catalogue.undescribed(10) == []
        (run,) = catalogue.history.last(10)
    assert (run.command, run.exit_status, run.counts["copied"]) == ("sync", 0, 8)


async def test_a_second_sync_copies_nothing(source: Path, target: Path) -> None:
    """What is held is neither read nor written again."""
    sync(source, target)
    before = snapshot(target / "data")
    report = sync(source, target)
    assert (report.exit_status, report.tally.copied, report.tally.held) == (0, 0, 8)
    assert report.tally.bytes == 0
    assert snapshot(target / "data") == before


async def test_what_is_new_is_copied(source: Path, target: Path, backups: Backups) -> None:
    """After another backup only its files are; also a sidecar of what was held before."""
    sync(source, target)
    backups.emulator.scripts[generation("5")] = Script()
    await backups.run(json.dumps({"id": 2, "prompt": "a dog"}))
    await backups.run("5")
    report = sync(source, target)
    assert (report.exit_status, report.tally.copied) == (0, 3)
    assert states(target) == states(source)
    await assert_valid_bag(target)


async def test_a_backup_goes_on_in_the_copy(source: Path, target: Path, emulator: Emulator) -> None:
    """Nothing that is held there is asked for again."""
    sync(source, target)
    emulator.forget()
    report = await Backups(target, emulator).run("1", "2", "realtime/3")
    assert (report.exit_status, emulator.requests) == (0, [])


def test_files_of_no_generation_are_copied(tmp_path: Path, target: Path) -> None:
    """What another program has listed, whatever it is called; also a file of no bytes."""
    source = make_archive(tmp_path / "source", OTHERS | generation_files("1"))
    manifest = source / "manifest-sha256.txt"
    manifest.write_text(manifest.read_text().replace("b%\n.", "b%25%0A."))
    report = sync(source, target)
    assert (report.exit_status, report.tally.copied) == (0, 4)
    for path, content in OTHERS.items():
        assert (target / path).read_bytes() == content
    assert list((target / ".archiver/incoming").iterdir()) == []
    assert sync(source, target).tally.held == 4


async def test_an_archive_without_a_catalogue_is_copied(source: Path, target: Path) -> None:
    """What is said of its videos is found out on the way."""
    expected = {name: found[2:] for name, found in states(source).items()}
    shutil.rmtree(source / ".archiver")
    assert sync(source, target).exit_status == 0
    assert {name: found[2:] for name, found in states(target).items()} == expected


def test_tags_of_other_people_are_kept(tmp_path: Path, target: Path) -> None:
    """Those of the source go into a new target; one that has tags keeps its own."""
    source = make_archive(tmp_path / "source", generation_files("1"))
    tags = "Contact-Name: Ada\nExternal-Description: long\n  and folded\nPayload-Oxum: 1.1\n"
    (source / "bag-info.txt").write_text(tags)
    sync(source, target)
    info = (target / "bag-info.txt").read_text()
    assert info.startswith("Contact-Name: Ada\nExternal-Description: long\n  and folded\n")
    assert info.count("Payload-Oxum") == 1
    (source / "bag-info.txt").write_text("Contact-Name: Bob\n")
    add_files(source, generation_files("2"))
    sync(source, target)
    assert "Contact-Name: Ada" in (target / "bag-info.txt").read_text()
    assert "Bob" not in (target / "bag-info.txt").read_text()


def test_the_archive_of_a_shard_stays_one(tmp_path: Path, target: Path) -> None:
    """Its mark goes with it; no other archive is copied into it."""
    for name, mark in (("a", "Archiver-Shard: 0/8\n"), ("b", "Archiver-Shard: 1/8\n"), ("c", "")):
        source = make_archive(tmp_path / name, generation_files(name))
        (source / "bag-info.txt").write_text(mark)
    sync(tmp_path / "a", target)
    assert "Archiver-Shard: 0/8\n" in (target / "bag-info.txt").read_text()
    assert sync(tmp_path / "a", target).exit_status == 0
    for other, whose in (("b", "shard 1/8"), ("c", "none")):
        with pytest.raises(ConfigurationError, match=f"shard 0/8, and .*/{other} that of {whose}"):
            sync(tmp_path / other, target)
    make_archive(tmp_path / "d", generation_files("d"))
    with pytest.raises(ConfigurationError, match="/d has files and is the archive of no shard"):
        sync(tmp_path / "a", tmp_path / "d")


async def test_other_manifests_of_the_target_do_not_get_wrong(tmp_path: Path, target: Path) -> None:
    """One that does not list what is added is moved into the quarantine."""
    source = make_archive(tmp_path / "source", generation_files("1"))
    for copied_before in (False, True):
        place = target / str(copied_before)
        make_archive(place, {})
        (place / "manifest-md5.txt").touch()
        if copied_before:
            shutil.copytree(source / "data", place / "data", dirs_exist_ok=True)
        sync(source, place)
        assert not (place / "manifest-md5.txt").exists()
        await assert_valid_bag(place)


# --- What is not


def test_a_damaged_file_is_named_and_not_copied(tmp_path: Path, target: Path) -> None:
    """One that differs, is missing, is no file or leads out; all others are copied: 4."""
    source = many(tmp_path / "source", 8, 300_000)
    at = source / "data/v6/deepfake"
    (at / "1.mp4").write_bytes(os.urandom(300_000))
    (at / "2.mp4").write_bytes((at / "2.mp4").read_bytes()[:-1])
    (at / "3.json").unlink()
    (at / "4.mp4").unlink()
    (at / "4.mp4").mkdir()
    (at / "5.mp4").rename(tmp_path / "5.mp4")
    (at / "5.mp4").symlink_to(tmp_path / "5.mp4")
    report = sync(source, target)
    assert {(p.kind, p.path[17:]) for p in report.tally.kept} == {
        ("changed", "1.mp4"), ("changed", "2.mp4"), ("missing", "3.json"),
        ("unreadable", "4.mp4"), ("unreadable", "5.mp4"),
    }  # fmt: skip
    assert report.exit_status == 4
    assert len(assert_lines_true(target)) == 16 - 5
    assert_true_bag(target)
    assert list((target / ".archiver/incoming").iterdir()) == []
    assert look_up(target, generation("3")).state == "held"
    assert look_up(target, generation("1")).state is None


def test_what_is_repaired_is_copied_the_next_time(tmp_path: Path, target: Path) -> None:
    """Nothing that was named is forgotten."""
    files = generation_files("1")
    source = make_archive(tmp_path / "source", files)
    video = source / "data/v6/deepfake/1.mp4"
    video.write_bytes(b"damaged")
    assert sync(source, target).exit_status == 4
    video.write_bytes(files["data/v6/deepfake/1.mp4"])
    report = sync(source, target)
    assert (report.exit_status, report.tally.copied, report.tally.held) == (0, 1, 1)
    assert look_up(target, generation("1")).state == "held"


def test_what_the_target_lists_is_never_overwritten(tmp_path: Path, target: Path) -> None:
    """Where it has another file, that is kept and named: 3."""
    source = make_archive(tmp_path / "source", generation_files("1"))
    make_archive(target, generation_files("1"))
    add_files(source, generation_files("2"))
    before = (target / "data/v6/deepfake/1.mp4").read_bytes()
    report = sync(source, target)
    assert [(p.kind, p.path) for p in report.tally.kept] == [
        ("different", "data/v6/deepfake/1.mp4")
    ]
    assert (report.exit_status, report.tally.copied, report.tally.held) == (3, 2, 1)
    assert (target / "data/v6/deepfake/1.mp4").read_bytes() == before
    assert_true_bag(target)


def test_what_only_the_target_has_is_kept(tmp_path: Path, target: Path) -> None:
    """A sync deletes nothing, neither files nor lines."""
    source = make_archive(tmp_path / "source", generation_files("1"))
    make_archive(target, generation_files("2"))
    assert sync(source, target).exit_status == 0
    assert len(assert_lines_true(target)) == 4


def test_lines_that_make_no_sense_are_named(tmp_path: Path, target: Path) -> None:
    """They are not passed over in silence, nor is half a line at the end."""
    source = make_archive(tmp_path / "source", generation_files("1"))
    with (source / "manifest-sha256.txt").open("a") as manifest:
        manifest.write("nonsense\n" + "a" * 64 + "  ../out.mp4\n" + "b" * 64 + "  data/v6/dee")
    report = sync(source, target)
    assert [(p.kind, p.path) for p in report.tally.kept] == [
        ("contradictory", f"manifest-sha256.txt:{number}") for number in (3, 4, 5)
    ]
    assert (report.exit_status, report.tally.copied) == (4, 2)


def test_a_last_line_that_has_lost_its_end_counts(tmp_path: Path, target: Path) -> None:
    """Every other judge takes it for a line."""
    source = make_archive(tmp_path / "source", generation_files("1"))
    manifest = source / "manifest-sha256.txt"
    manifest.write_bytes(manifest.read_bytes()[:-1])
    report = sync(source, target)
    assert (report.exit_status, report.tally.listed, report.tally.copied) == (0, 2, 2)
    assert len(assert_lines_true(target)) == 2


def test_half_a_line_of_a_run_that_writes_is_left_to_the_next(tmp_path: Path, target: Path) -> None:
    """The source's journal says that there is one."""
    source = make_archive(tmp_path / "source", generation_files("1"))
    with WritableBag.open(source) as bag:
        file = BagFile("data/v6/deepfake/2.mp4", "b" * 64, 1)
        bag.journal.write(Entry((StagedFile(".archiver/incoming/v6~deepfake~2/a", file),), 0))
        with bag.layout.manifest.open("a") as manifest:
            manifest.write("b" * 64 + "  data/v6/deepfake/2")
        assert sync(source, target).exit_status == 0


def test_a_file_that_is_listed_twice_is_named(tmp_path: Path, target: Path) -> None:
    """With different checksums: it is the source that is wrong, whatever the target has."""
    source = make_archive(tmp_path / "source", generation_files("1"))
    with (source / "manifest-sha256.txt").open("a") as manifest:
        manifest.write("0" * 64 + "  data/v6/deepfake/1.mp4\n")
    for copied in (2, 0):
        report = sync(source, target)
        problems = [(p.kind, p.path) for p in report.tally.kept]
        assert problems == [("contradictory", "data/v6/deepfake/1.mp4")]
        assert (report.exit_status, report.tally.copied) == (4, copied)
    assert_true_bag(target)


# --- What is there already


def test_what_is_there_already_is_listed_and_not_copied(tmp_path: Path, target: Path) -> None:
    """Files that another program has copied are read once, and get their lines."""
    other = {"data/notes/a b.txt": b"of another program", "data/.keep": b""}
    source = make_archive(tmp_path / "source", other | generation_files("1", 300_000))
    shutil.copytree(source / "data", target / "data")
    (target / "bagit.txt").write_bytes((source / "bagit.txt").read_bytes())
    before = snapshot(target / "data")
    report = sync(source, target)
    assert (report.exit_status, report.tally.found, report.tally.copied) == (0, 4, 0)
    assert snapshot(target / "data") == before
    assert_lines_true(target)
    assert look_up(target, generation("1")).metadata.prompt == "a 1"


def test_another_file_in_the_way_is_quarantined(tmp_path: Path, target: Path) -> None:
    """What is there and not listed, and is something else, is moved aside: nothing is lost."""
    source = make_archive(tmp_path / "source", generation_files("1"))
    make_archive(target, {})
    occupant = target / "data/v6/deepfake/1.mp4"
    occupant.parent.mkdir(parents=True)
    occupant.write_bytes(b"half of it")
    report = sync(source, target)
    assert (report.exit_status, report.tally.copied) == (0, 2)
    (aside,) = (target / ".archiver/quarantine").rglob("1.mp4")
    assert aside.read_bytes() == b"half of it"
    assert_true_bag(target)


OBSTACLES = {
    "a directory, with a file that is listed": ("data/notes", "data/notes/a.txt", "a directory"),
    "a file in place of a directory": ("data/notes/a.txt", "data/notes", "a file in place of"),
    "a name that is too long": ("data/" + "x" * 256, "data/other", "File name too long"),
}


@pytest.mark.parametrize("name", OBSTACLES)
def test_what_cannot_be_there_is_named(tmp_path: Path, target: Path, name: str) -> None:
    """The rest is copied, what the target lists is as it was, and the next run does the same."""
    path, listed, detail = OBSTACLES[name]
    make_archive(target, {listed: b"of the target"})
    source = make_archive(tmp_path / "source", generation_files("1"))
    if "long" not in name:
        add_files(source, {path: b"of the source"})
    else:
        with (source / "manifest-sha256.txt").open("a") as manifest:
            manifest.write("0" * 64 + f"  {path}\n")
    for copied in (2, 0):
        report = sync(source, target)
        (problem,) = report.tally.kept
        assert (problem.kind, problem.path) == ("name", path)
        assert detail in problem.detail
        assert (report.exit_status, report.tally.copied) == (3, copied)
        assert_true_bag(target)


def test_the_rest_of_a_generation_is_copied(tmp_path: Path, target: Path) -> None:
    """What is in the way of one file is not in the way of another."""
    source = make_archive(tmp_path / "source", generation_files("1"))
    make_archive(target, {"data/v6/deepfake/1.json/note": b"of the target"})
    report = sync(source, target)
    assert [(p.kind, p.path) for p in report.tally.kept] == [("name", "data/v6/deepfake/1.json")]
    assert (report.exit_status, report.tally.copied) == (3, 1)
    assert_true_bag(target)


def test_a_link_out_of_the_target_is_no_copy(tmp_path: Path, target: Path) -> None:
    """Not even to the very file: it is copied in place of the link."""
    source = make_archive(tmp_path / "source", generation_files("1"))
    make_archive(target, {})
    for path in generation_files("1"):
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (target / path).symlink_to(source / path)
    report = sync(source, target)
    assert (report.exit_status, report.tally.found, report.tally.copied) == (0, 0, 2)
    shutil.rmtree(source)
    assert_true_bag(target)


def test_nothing_is_copied_through_a_linked_directory(tmp_path: Path, target: Path) -> None:
    """It would be outside of the target."""
    source = make_archive(tmp_path / "source", generation_files("1"))
    make_archive(target, {})
    (tmp_path / "elsewhere").mkdir()
    (target / "data/v6").symlink_to(tmp_path / "elsewhere")
    report = sync(source, target)
    assert [problem.kind for problem in report.tally.kept] == ["name", "name"]
    assert "leads out" in report.tally.kept[0].detail
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_what_is_found_has_the_size_that_it_has_there(tmp_path: Path, target: Path) -> None:
    """The source's file may be damaged, and the target's whole."""
    files = {"data/a": b"hello"}
    source = make_archive(tmp_path / "source", files)
    make_archive(target, {})
    (target / "data/a").write_bytes(b"hello")
    (source / "data/a").write_bytes(b"he")
    assert sync(source, target).exit_status == 0
    assert_true_bag(target)


def test_many_files_that_are_there_are_found(tmp_path: Path, target: Path) -> None:
    """Also where there are so many that the target is listed, and some are not there."""
    files = {path: data for n in range(300) for path, data in generation_files(str(n), 10).items()}
    source = make_archive(tmp_path / "source", files)
    shutil.copytree(source / "data", target / "data")
    (target / "bagit.txt").write_bytes((source / "bagit.txt").read_bytes())
    for number in range(0, 300, 3):
        (target / f"data/v6/deepfake/{number}.mp4").unlink()
    report = sync(source, target)
    assert (report.exit_status, report.tally.found, report.tally.copied) == (0, 500, 100)
    assert_true_bag(target)


# --- Places, locks, errors


def test_no_source_makes_no_target(tmp_path: Path, target: Path) -> None:
    """A disk that is not mounted is no empty archive."""
    with pytest.raises(NotAnArchive, match="is its disk mounted"):
        sync(tmp_path / "nowhere", target)
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotAnArchive, match="not an archive"):
        sync(tmp_path / "empty", target)
    assert not target.exists()


def test_something_else_is_no_target(tmp_path: Path, target: Path) -> None:
    """A directory with other files stays as it is."""
    source = make_archive(tmp_path / "source", generation_files("1"))
    target.mkdir()
    (target / "notes.txt").touch()
    with pytest.raises(NotAnArchive, match="other files"):
        sync(source, target)
    assert [path.name for path in target.iterdir()] == ["notes.txt"]


def test_the_target_is_locked_and_the_source_is_not(tmp_path: Path, target: Path) -> None:
    """A run in the source is in nobody's way; one in the target is waited for, or ends it."""
    source = make_archive(tmp_path / "source", generation_files("1"))
    with WritableBag.open(source):
        assert sync(source, target).exit_status == 0
    with WritableBag.open(target), pytest.raises(ArchiveLocked):
        sync(source, target)


def test_a_source_that_cannot_be_written_to_is_copied(tmp_path: Path, target: Path) -> None:
    """It is only read: from a snapshot, say."""
    source = make_archive(tmp_path / "source", generation_files("1"))
    with WritableBag.open(source):
        pass
    before = snapshot(source)
    for path in (*source.rglob("*"), source):
        path.chmod(path.stat().st_mode & ~0o222)
    try:
        assert sync(source, target).exit_status == 0
    finally:
        for path in (source, *source.rglob("*")):
            path.chmod(path.stat().st_mode | 0o200)
    assert snapshot(source) == before
    assert_true_bag(target)


def test_progress_is_in_bytes(tmp_path: Path, target: Path) -> None:
    """As many come as were expected."""
    source = many(tmp_path / "source", 20)
    progress = Watched(1, lambda: None)
    sync(source, target, progress=progress)
    assert progress.came == progress.expected_bytes > 20 * 20_000


def test_a_sync_is_followed_from_outside(tmp_path: Path, target: Path) -> None:
    """`status --watch` sees that it copies, and what the target holds meanwhile."""
    source, found = many(tmp_path / "source"), []
    sync(source, target, progress=Watched(3_000_000, lambda: found.append(follow(target))))
    (seen,) = found
    assert seen
    assert (seen.name, seen.counts) == ("sync", "copying")
    assert follow(target) is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_sync_in_order(tmp_path: Path, target: Path, number: int) -> None:
    """What is whole is committed, the bag is valid, and the next sync does the rest."""
    source = many(tmp_path / "source")
    progress = Watched(1_000_000, lambda: os.kill(os.getpid(), number))
    report = sync(source, target, SyncSettings(limit_rate=8_000_000), progress)
    assert report.exit_status == 128 + number
    assert isinstance(report.ended, Stopped)
    assert isinstance(report.ended.error, Interrupted)
    assert 0 < report.tally.copied < 400
    assert len(lines_in(target)) == report.tally.copied
    assert_true_bag(target)
    again = sync(source, target)
    assert (again.exit_status, again.tally.held) == (0, report.tally.copied)
    assert_true_bag(target)


def test_a_disk_that_fails_ends_the_sync(tmp_path: Path, target: Path) -> None:
    """With 74; what is committed stays, and the next sync does the rest."""
    source = many(tmp_path / "source", 60, 200_000)

    def fail() -> None:
        raise StorageError("storage failed while reading")

    report = sync(source, target, SyncSettings(transfers=2), Watched(4_000_000, fail))
    assert report.exit_status == 74
    assert_true_bag(target)
    assert sync(source, target).exit_status == 0
    assert lines_in(target) == lines_in(source)


def test_a_bug_is_no_success(tmp_path: Path, target: Path) -> None:
    """It is raised, and all that is listed is true."""
    source = many(tmp_path / "source", 20)

    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        sync(source, target, progress=Watched(100_000, fail))
    assert_lines_true(target)


def test_a_source_that_grows_is_copied_as_it_was(tmp_path: Path, target: Path) -> None:
    """What is listed when the sync looks is copied; the rest is for the next."""
    source = many(tmp_path / "source", 20)
    grow = Watched(100_000, lambda: add_files(source, generation_files("new")))
    report = sync(source, target, progress=grow)
    assert (report.exit_status, report.tally.copied) == (0, 40)
    assert sync(source, target).tally.copied == 2


# --- The command


async def test_the_command_is_silent_when_all_is_well(source: Path, target: Path) -> None:
    """As cron wants it; with -v it says what it copies, and what came of it."""
    assert await command(source, target) == Ended(0, "", "")
    shutil.rmtree(target)
    done = await command("-v", source, target)
    assert (done.status, done.out) == (0, "")
    assert re.search(r"copied v6/deepfake/2: 705\.\d kB", done.err)
    assert re.search(r"^8 files of 8 copied, .* in \d+ s: 0 already held$", done.err, re.MULTILINE)
    status = await ended(COMMAND, "status", "-a", str(target), env=ENVIRONMENT)
    assert "sync, exit status 0: 8 files of 8 copied" in status.out


async def test_the_command_names_what_is_wrong(source: Path, target: Path) -> None:
    """On standard error, and in JSON."""
    (source / "data/v6/deepfake/1.mp4").write_bytes(b"damaged")
    done = await command("--json", source, target)
    assert done.status == 4
    assert "changed data/v6/deepfake/1.mp4: its 7 bytes have the checksum" in done.err
    said = json.loads(done.out)
    assert (said["listed"], said["copied"], said["changed"]) == (8, 7, 1)
    assert said["problems"][0]["path"] == "data/v6/deepfake/1.mp4"
    verified = await ended(COMMAND, "verify", "-a", str(target), env=ENVIRONMENT)
    assert verified.status == 0


async def test_a_dry_run_touches_nothing(source: Path, target: Path) -> None:
    """It names what would be copied, also where there is no target yet."""
    done = await command("--dry-run", source, target)
    assert done.status == 0
    assert target not in source.parent.iterdir()
    assert done.out.splitlines() == [f"would copy {path}" for path in lines_in(source)]
    assert done.err.startswith("8 files of 8 would be copied, ")
    sync(source, target)
    before = snapshot(target)
    done = await command("--dry-run", "--json", source, target)
    said = json.loads(done.out)
    assert (said["to_copy"], said["already_held"], said["files"]) == (0, 8, [])
    assert snapshot(target) == before


async def test_a_task_of_an_array_copies_its_shard(tmp_path: Path) -> None:
    """In both paths `{shard}` stands for its number."""
    for shard in "01":
        source = make_archive(tmp_path / shard, generation_files(shard))
        (source / "bag-info.txt").write_text(f"Archiver-Shard: {shard}/2\n")
    places = ("--shards", "2", tmp_path / "{shard}", tmp_path / "copy-{shard}")
    for shard in "01":
        assert await command(*places, SLURM_ARRAY_TASK_ID=shard) == Ended(0, "", "")
        assert lines_in(tmp_path / f"copy-{shard}") == lines_in(tmp_path / shard)


async def test_the_shard_is_that_of_both_places(tmp_path: Path) -> None:
    """Swapped directories make no copy of another shard."""
    source = make_archive(tmp_path / "source", generation_files("1"))
    (source / "bag-info.txt").write_text("Archiver-Shard: 0/4\n")
    done = await command("--shard", "1/4", source, tmp_path / "copy")
    assert done.status == 2
    assert "is the archive of shard 0/4, not of 1/4" in done.err


async def test_the_command_refuses_one_place(source: Path) -> None:
    """Exit status 2, in one line; also for a target in the source."""
    for target in (source, source / "copy"):
        done = await command(source, target)
        assert done.status == 2
        assert done.err.count("\n") == 1
    assert not (source / "copy").exists()


async def test_ctrl_c_ends_the_command_in_order(tmp_path: Path, target: Path) -> None:
    """Exit status 130; the next one goes on."""
    source = many(tmp_path / "source")
    args = ("sync", "--limit-rate", "2M", str(source), str(target))
    async with started(COMMAND, *args, env=ENVIRONMENT, stderr=-1) as process:
        await until(lambda: (target / "manifest-sha256.txt").exists() and lines_in(target))
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
    assert process.returncode == 130
    assert b"ended early: interrupted by SIGINT" in err
    assert_true_bag(target)
    assert await command(source, target) == Ended(0, "", "")
    assert lines_in(target) == lines_in(source)


async def test_monitors_hear_of_a_sync(source: Path, target: Path, tmp_path: Path) -> None:
    """The metrics have the run and what the target holds; the log has its beginning and end."""
    metrics, log = tmp_path / "metrics.prom", tmp_path / "log"
    done = await command("--metrics", metrics, "--log-file", log, source, target)
    assert done.status == 0
    text = metrics.read_text()
    labels = f'archive="{target}",command="sync"'
    assert f"archiver_last_run_exit_status{{{labels}}} 0.0" in text
    assert f'archiver_last_run_files{{{labels},outcome="copied"}} 8.0' in text
    assert f'archiver_held_generations{{archive="{target}"}} 3.0' in text
    assert f"sync begins in {target}" in log.read_text()
