"""The archive directory is a bag in which every line of the checksum manifest is true."""

import errno
import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations, count, takewhile
from pathlib import Path
from typing import Any

import pytest

from archiver.archive.layout import INCOMING, MANIFEST, Layout
from archiver.archive.recovery import recover as recover_commit
from archiver.archive.staged import StagedGeneration
from archiver.archive.staging import Staging
from archiver.archive.writable import WritableBag
from archiver.catalogue.store import Catalogue, Record
from archiver.checksums import BagFile, Checksum
from archiver.errors import ArchiveLocked, NotAnArchive, StorageError, storage_errors
from archiver.generation import Generation
from archiver.pipeline.commit import commit_staged
from tests.support.archives import open_catalogue, outputs, read_catalogue, recover_in, stage
from tests.support.marks import slow

VIDEOS = Path(__file__).parents[2] / "videos"
MP4 = (VIDEOS / "faststart.mp4").read_bytes()
OTHER_MP4 = (VIDEOS / "moov-last.mp4").read_bytes()
WEBM = (VIDEOS / "sized.webm").read_bytes()
JOURNAL = Path(".archiver") / "settling.json"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def nothing() -> None:
    """A catalogue that is not there."""


def commit(bag: WritableBag, catalogue: Catalogue, group: Sequence[StagedGeneration]) -> None:
    """Commit a group as a run does."""
    records = [Record(staged.generation, "held") for staged in group]
    commit_staged(bag, catalogue, group, records)


def recover(root: Path) -> None:
    """Do what the next run does before it fetches anything, and at its end."""
    with WritableBag.open(root) as bag, closing(open_catalogue(root)) as catalogue:
        recover_in(bag, catalogue)
        bag.describe(*catalogue.totals())


class Unsynced(sqlite3.Connection):
    """SQLite that leaves the syncing to the system: the tests' power cuts spare the disk."""

    def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
        """Execute it, but for the one pragma."""
        return super().execute(sql.replace("synchronous = FULL", "synchronous = OFF"), *args)


@pytest.fixture(autouse=True, scope="module")
def disk_that_is_not_waited_for() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as disk:
        disk.setattr(os, "fsync", lambda _: None)
        disk.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Unsynced))
        yield


# --- The judges


def data_files(root: Path) -> dict[str, str]:
    """What lies under `data/`, and its checksums."""
    return {
        path.relative_to(root).as_posix(): sha256(path)
        for path in sorted((root / "data").rglob("*"))
        if path.is_file()
    }


def lines(root: Path) -> list[list[str]]:
    """The checksum manifest's whole lines."""
    whole, _, _ = (root / MANIFEST).read_bytes().rpartition(b"\n")
    return [line.split("  ", 1) for line in whole.decode().splitlines()]


def all_lines_are_true(root: Path) -> bool:
    """Each names a file that is there and matches it, and no file is named twice."""
    named = [path for _, path in lines(root)]
    return len(set(named)) == len(named) and all(
        (root / path).is_file() and sha256(root / path) == checksum
        for checksum, path in lines(root)
    )


def is_committed(root: Path) -> bool:
    """Every file has a true line, and nothing is on its way."""
    return (
        all_lines_are_true(root)
        and {path: checksum for checksum, path in lines(root)} == data_files(root)
        and (root / MANIFEST).read_bytes().endswith(b"\n")
        and (root / JOURNAL).read_bytes() == b""
        and list((root / INCOMING).iterdir()) == []
    )


def assert_valid(root: Path) -> None:
    """Both `sha256sum` and the Library of Congress's validator accept this bag."""
    commands = [[sys.executable, "-W", "ignore", "-m", "bagit", "--validate", "."]]
    if shutil.which("sha256sum"):
        commands.append(["sha256sum", "-c", "--strict", "--quiet", MANIFEST])
    for command in commands:
        verdict = subprocess.run(
            command, cwd=root, timeout=60, capture_output=True, text=True, check=False
        )
        assert verdict.returncode == 0, verdict.stderr + verdict.stdout


# --- Opening


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "archive"


def test_an_archive_is_made_where_there_is_nothing(root: Path) -> None:
    """A new directory becomes an empty bag, and stays one when it is opened again."""
    for _ in range(2):
        with WritableBag.open(root) as bag:
            assert bag.layout.root == root
            assert list(bag.manifest.lines()) == []
        assert (root / "bagit.txt").read_text() == (
            "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
        )
        assert is_committed(root) or (root / MANIFEST).read_bytes() == b""


@pytest.mark.parametrize("inside", [[], ["lost+found"], [".archiver"], ["bagit.txt", "data", "x"]])
def test_an_empty_directory_or_an_archive_is_taken(root: Path, inside: list[str]) -> None:
    """Also a fresh disk's root, and what a crash has left half made."""
    root.mkdir()
    for name in inside:
        (root / name).touch() if "." in name[1:] else (root / name).mkdir()
    with WritableBag.open(root):
        pass
    assert (root / "bagit.txt").is_file()


@pytest.mark.parametrize("name", ["films.mp4", ".DS_Store", "data", "manifest-sha256.txt"])
def test_another_directory_is_refused_and_left_alone(root: Path, name: str) -> None:
    """Somebody's films are not an archive: nothing is written among them."""
    root.mkdir()
    (root / name).touch()
    with (
        pytest.raises(NotAnArchive, match="holds other files and no bagit"),
        WritableBag.open(root),
    ):
        pass
    assert [path.name for path in root.iterdir()] == [name]


def test_a_file_is_no_archive(root: Path) -> None:
    """Nor is a link to nowhere."""
    root.touch()
    with pytest.raises(NotAnArchive, match="is not a directory"), WritableBag.open(root):
        pass
    root.unlink()
    root.symlink_to(root / "nowhere")
    with pytest.raises(NotAnArchive, match="is not a directory"), WritableBag.open(root):
        pass


def test_a_missing_parent_is_not_made(root: Path) -> None:
    """An unmounted disk's path must not be filled on the disk below it."""
    with pytest.raises(NotAnArchive, match="is its disk mounted"), WritableBag.open(root / "below"):
        pass
    assert not root.exists()


def test_a_path_that_the_disk_refuses_is_a_storage_error(tmp_path: Path) -> None:
    """The system's message is in our error."""
    with (
        pytest.raises(StorageError, match="File name too long"),
        WritableBag.open(tmp_path / ("x" * 300)),
    ):
        pass


def test_an_archive_is_held_by_one_at_a_time(root: Path) -> None:
    """Whoever writes to it holds its lock."""
    with WritableBag.open(root), pytest.raises(ArchiveLocked), WritableBag.open(root):
        pass
    with WritableBag.open(root):
        pass


# --- Committing


@pytest.fixture
def bag(root: Path) -> Iterator[WritableBag]:
    with WritableBag.open(root) as bag:
        yield bag


def test_what_is_committed_is_in_the_bag(root: Path, bag: WritableBag) -> None:
    """Files and lines are there, the journal and the staging directories are not."""
    group = [
        stage(root, "v6/deepfake/263", MP4),
        stage(root, "v7/video-fusion/9", WEBM, OTHER_MP4),
        stage(root, "v1/enterprise/video/-1-1", MP4),
    ]
    bag.commit(group, nothing)
    assert [path for _, path in lines(root)] == [
        "data/v6/deepfake/263.mp4",
        "data/v6/deepfake/263.json",
        "data/v7/video-fusion/9-1.webm",
        "data/v7/video-fusion/9-2.mp4",
        "data/v7/video-fusion/9.json",
        "data/v1/enterprise/video/-1-1-1.mp4",
        "data/v1/enterprise/video/-1-1.json",
    ]
    assert (root / "data/v7/video-fusion/9-1.webm").read_bytes() == WEBM
    assert is_committed(root)
    files = [file for staged in group for file in staged.files]
    assert [*bag.manifest.lines()] == [
        Checksum(file.target.sha256, file.target.path) for file in files
    ]
    bag.describe(len(files), sum(file.target.bytes for file in files))
    assert_valid(root)


def test_groups_are_added_to_one_another(root: Path, bag: WritableBag) -> None:
    """Lines are only ever appended."""
    bag.commit([stage(root, "v6/video/1", MP4)], nothing)
    first = (root / MANIFEST).read_bytes()
    bag.commit([stage(root, "v6/video/2", MP4)], nothing)
    assert (root / MANIFEST).read_bytes().startswith(first)
    assert len(lines(root)) == 4
    assert is_committed(root)


def test_the_order_is_the_promise(
    root: Path, bag: WritableBag, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Payloads are fsynced, journalled, renamed, directories and lines fsynced; then recorded."""
    log: list[str] = []
    inodes: dict[str, int] = {}
    plain = os.rename, os.truncate

    def fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        log.append(f"fsync {path.relative_to(root).as_posix()}")
        inodes[log[-1]] = os.fstat(descriptor).st_ino

    def rename(path: Path | str, target: Path | str) -> None:
        log.append(f"rename {Path(target).relative_to(root)}")
        inodes[log[-1]] = Path(path).stat().st_ino
        plain[0](path, target)

    def truncate(path: Path, length: int) -> None:
        log.append(f"truncate {Path(path).relative_to(root)}")
        plain[1](path, length)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", rename)
    monkeypatch.setattr(os, "truncate", truncate)
    group = [stage(root, "v6/deepfake/263", MP4), stage(root, "v6/video/1", WEBM)]
    log.append("staged")
    bag.commit(group, lambda: log.append("commit"))
    files = [file for staged in group for file in staged.files]
    synced = {inodes[step] for step in log[: log.index("staged")] if step.startswith("fsync")}
    assert all(inodes[f"rename {file.target.path}"] in synced for file in files)
    places = [log.index("staged"), log.index(f"fsync {JOURNAL}")]
    places += [log.index(f"rename {file.target.path}") for file in files]
    directories = ["data/v6/deepfake", "data/v6/video", "data/v6", "data", "."]
    renamed, appended = max(places), log.index(f"fsync {MANIFEST}")
    assert places == sorted(places)
    assert all(renamed < log.index(f"fsync {path}") < appended for path in directories)
    assert log[-2:] == ["commit", f"truncate {JOURNAL}"]


def test_nothing_else_that_was_staged_is_in_the_way(root: Path, bag: WritableBag) -> None:
    """A payload that a power cut has torn, and its partial file, go with the commit."""
    staged = stage(root, "v6/deepfake/263", MP4)
    torn = root / staged.files[0].staged.replace(staged.files[0].target.sha256, "0" * 64)
    torn.write_bytes(MP4[:100])
    torn.with_name("1of1.part").write_bytes(MP4[:100])
    bag.commit([staged], nothing)
    assert is_committed(root)


def test_a_failed_commit_is_passed_on_and_recovered(root: Path, bag: WritableBag) -> None:
    """The journal stays until the catalogue knows."""

    def fail() -> None:
        raise StorageError("the catalogue's disk is full")

    with pytest.raises(StorageError, match="catalogue's disk"):
        bag.commit([stage(root, "v6/deepfake/263", MP4)], fail)
    assert (root / JOURNAL).stat().st_size > 0
    files = recover_commit(bag)
    assert len(files) == 2
    bag.clear_journal(files)
    assert is_committed(root)


# --- Occupants


def quarantined(root: Path) -> dict[str, bytes]:
    """What was kept aside: by the path it had."""
    aside = root / ".archiver" / "quarantine"
    return {
        path.relative_to(aside).as_posix().partition("/")[2]: path.read_bytes()
        for path in aside.rglob("*")
        if path.is_file()
    }


def test_an_occupant_is_moved_aside(root: Path, bag: WritableBag) -> None:
    """A file that no line vouches for is kept elsewhere, never overwritten."""
    staged = stage(root, "v6/deepfake/263", MP4)
    for file, data in zip(staged.files, [MP4[:100], b"{}"], strict=True):
        (root / file.target.path).parent.mkdir(parents=True, exist_ok=True)
        (root / file.target.path).write_bytes(data)
    bag.commit([staged], nothing)
    assert quarantined(root) == {
        "data/v6/deepfake/263.mp4": MP4[:100],
        "data/v6/deepfake/263.json": b"{}",
    }
    assert is_committed(root)


def test_a_name_in_another_case_is_not_displaced(
    root: Path, bag: WritableBag, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the file system takes `A` for `a`, the held file stays and the disk is to blame."""
    staged = stage(root, "v6/deepfake/ABC", MP4)
    (root / "data/v6/deepfake").mkdir(parents=True)
    held = root / "data/v6/deepfake/abc.mp4"
    held.write_bytes(b"held")
    lexists = os.path.lexists
    monkeypatch.setattr(
        os.path,
        "lexists",
        lambda path: lexists(path) or lexists(Path(path).with_name(Path(path).name.lower())),
    )
    with pytest.raises(StorageError, match="upper case"):
        bag.commit([staged], nothing)
    assert held.read_bytes() == b"held"
    assert quarantined(root) == {}


def test_an_identical_occupant_is_adopted(root: Path, bag: WritableBag) -> None:
    """The same bytes in the right place are what was to be placed."""
    staged = stage(root, "v6/deepfake/263", MP4)
    (root / "data/v6/deepfake").mkdir(parents=True)
    (root / "data/v6/deepfake/263.mp4").write_bytes(MP4)
    bag.commit([staged], nothing)
    assert quarantined(root) == {}
    assert is_committed(root)


# --- Crashes


FOREVER = float("inf")


class PowerCut(BaseException):
    """The plug was pulled: no error handling of ours sees this."""


@dataclass
class Fuse:
    """Lets a number of steps happen; the next one fails, and all after it."""

    steps: float
    error: BaseException = field(default_factory=PowerCut)
    synced: str = ""
    """It blows when a file of this name is synced, whatever steps are left."""
    tear: Callable[[Path], object] = Path.exists
    """What becomes of that file."""
    taken: list[str] = field(default_factory=list)
    """What the steps were."""
    durable: dict[int, bytes] = field(default_factory=dict)
    """What was in each file when it was last synced, by its inode."""

    @property
    def blown(self) -> bool:
        """Whether a step has failed."""
        return self.steps < 0

    def burn(self, step: str) -> None:
        """Take one step."""
        self.steps -= 1
        self.taken.append(step)
        if self.blown:
            raise self.error

    def sync(self, descriptor: int) -> None:
        """Take the step of syncing a file or a directory."""
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.name == self.synced:
            self.steps = 0
            self.tear(path)
        self.burn(f"sync {path.name}")
        if path.is_file():
            self.durable[path.stat().st_ino] = path.read_bytes()


@contextmanager
def fused(fuse: Fuse) -> Iterator[None]:
    """Let every fallible step of ours on the disk burn the fuse; nothing is really synced."""
    with pytest.MonkeyPatch.context() as disk:
        disk.setattr(os, "fsync", fuse.sync)
        for place, name in (
            (os, "truncate"), (os, "rename"), (os, "rmdir"), (os, "unlink"), (Path, "mkdir")
        ):  # fmt: skip
            disk.setattr(place, name, _burning(fuse, name, getattr(place, name)))
        yield


def _burning(fuse: Fuse, name: str, real: Callable[..., object]) -> Callable[..., object]:
    def step(*args: object, **kwargs: object) -> object:
        fuse.burn(name)
        return real(*args, **kwargs)

    return step


TEARS: dict[str, Callable[[bytes], bytes]] = {
    "cut in half": lambda data: data[: len(data) // 2],
    "cut by a byte": lambda data: data[:-1],
    "never written": lambda _: b"",
    "all zeros": lambda data: bytes(len(data)),
    "half zeros": lambda data: data[: len(data) // 2] + bytes(len(data) - len(data) // 2),
}


@dataclass(frozen=True)
class Scene:
    """An archive that holds one generation and is about to be given two more."""

    root: Path
    group: tuple[StagedGeneration, ...]
    whole: frozenset[str]
    """The checksums of everything that may lie under `data/`."""

    def copy(self, target: Path) -> Path:
        """Make the same archive elsewhere."""
        shutil.copytree(self.root, target)
        return target


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    root = tmp_path_factory.mktemp("scene") / "archive"
    with WritableBag.open(root) as bag, closing(open_catalogue(root)) as catalogue:
        first = stage(root, "v6/video/1", MP4)
        commit(bag, catalogue, [first])
        bag.describe(*catalogue.totals())
    group = (stage(root, "v6/deepfake/263", OTHER_MP4), stage(root, "v7/video-fusion/9", WEBM, MP4))
    files = [file for staged in (first, *group) for file in staged.files]
    return Scene(root, group, frozenset(file.target.sha256 for file in files))


SYNCED = len("data/v6/video/1.mp4" + "data/v6/video/1.json") + 2 * (64 + 2 + 1)
"""How long the scene's checksum manifest is."""
COMMITTED = [
    "data/v6/video/1.mp4", "data/v6/video/1.json",
    "data/v6/deepfake/263.mp4", "data/v6/deepfake/263.json",
    "data/v7/video-fusion/9-1.webm", "data/v7/video-fusion/9-2.mp4", "data/v7/video-fusion/9.json",
]  # fmt: skip


def commit_until(fuse: Fuse, root: Path, scene: Scene) -> bool:
    """Commit the scene's group; return whether it came to its end."""
    with WritableBag.open(root) as bag, closing(open_catalogue(root)) as catalogue:
        try:
            with fused(fuse):
                commit_fused(fuse, bag, catalogue, scene.group)
        except (PowerCut, StorageError):
            return False
    return True


def commit_fused(
    fuse: Fuse, bag: WritableBag, catalogue: Catalogue, group: Sequence[StagedGeneration]
) -> None:
    """Commit a group as a run does; the catalogue's commit is one step."""
    records = [Record(staged.generation, "held") for staged in group]
    record = catalogue.record

    def burning(*args: object) -> None:
        with storage_errors("committing"):
            fuse.burn("commit")
        record(*args)  # type: ignore[arg-type]

    catalogue.record = burning  # type: ignore[method-assign, assignment]
    commit_staged(bag, catalogue, group, records)


def recover_until(fuse: Fuse, root: Path) -> bool:
    """Begin the next run; return whether its recovery came to its end."""
    with WritableBag.open(root) as bag, closing(open_catalogue(root)) as catalogue:
        try:
            with fused(fuse):
                recover_in(bag, catalogue)
        except (PowerCut, StorageError):
            return False
    return True


def assert_promised(root: Path, scene: Scene) -> None:
    """At every instant: each line is true, and nothing under `data/` is partial."""
    assert all_lines_are_true(root)
    assert set(data_files(root).values()) <= scene.whole


def assert_all_held(root: Path) -> None:
    """The end state, whatever happened on the way."""
    assert is_committed(root)
    assert [path for _, path in lines(root)] == COMMITTED
    assert quarantined(root) == {}
    with closing(read_catalogue(root)) as catalogue:
        assert catalogue.totals() == (7, sum((root / path).stat().st_size for path in COMMITTED))
        held = ["v6/video/1", "v6/deepfake/263", "v7/video-fusion/9"]
        assert all(catalogue.holds(Generation.from_name(name)) for name in held)


def test_whatever_is_unplugged_the_next_run_recovers(scene: Scene, tmp_path: Path) -> None:
    """A crash before any step leaves a true bag, and the next run ends where none had been."""
    for steps in count():
        root = scene.copy(tmp_path / str(steps))
        if commit_until(fuse := Fuse(steps), root, scene):
            break
        assert_promised(root, scene)
        assert recover_until(Fuse(FOREVER), root)
        assert_all_held(root)
    assert_all_held(root)
    assert not fuse.blown
    assert steps >= 20


@pytest.fixture(scope="module")
def committing(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The steps in which the scene's group is committed."""
    fuse = Fuse(FOREVER)
    assert commit_until(fuse, scene.copy(tmp_path_factory.mktemp("committing") / "archive"), scene)
    return fuse.taken


def test_commit_is_known_step_by_step(committing: list[str]) -> None:
    """The other tests unplug these steps, and none is left out."""
    renames, lines = committing.index("rename"), committing.index(f"sync {MANIFEST}")
    journalled = committing.index("sync settling.json")
    assert 0 < journalled < renames
    assert {*committing[:journalled], *committing[journalled + 1 : renames]} == {"mkdir"}
    assert committing[renames : renames + 5] == ["rename"] * 5
    names = ["archive", "data", "deepfake", "v6", "v7", "video-fusion"]
    assert sorted(committing[renames + 5 : lines]) == [f"sync {name}" for name in names]
    assert committing[lines + 1 :] == ["commit", "truncate", "rmdir", "rmdir"]


@pytest.mark.parametrize("keep", TEARS.values(), ids=TEARS)
@pytest.mark.parametrize(("name", "synced"), [(JOURNAL.name, 0), (MANIFEST, SYNCED)])
def test_what_was_being_synced_may_be_torn(
    scene: Scene, tmp_path: Path, name: str, synced: int, keep: Callable[[bytes], bytes]
) -> None:
    """A power cut leaves anything of what the journal or the lines were growing by."""

    def tear(path: Path) -> None:
        data = path.read_bytes()
        path.write_bytes(data[:synced] + keep(data[synced:]))

    root = scene.copy(tmp_path / "archive")
    assert not commit_until(Fuse(FOREVER, synced=name, tear=tear), root, scene)
    assert_promised(root, scene)
    assert recover_until(Fuse(FOREVER), root)
    assert_all_held(root)


def stage_and_commit(fuse: Fuse, root: Path) -> None:
    """Stage what the scene's group has, and commit it, from wherever an earlier run stopped."""
    with WritableBag.open(root) as bag, closing(open_catalogue(root)) as catalogue:
        wanted = {"v6/deepfake/263": (OTHER_MP4,), "v7/video-fusion/9": (WEBM, MP4)}
        with fused(fuse):
            recover_in(bag, catalogue)
            group = [
                stage(root, name, *payloads)
                for name, payloads in wanted.items()
                if not catalogue.holds(Generation.from_name(name))
            ]
            if group:
                commit_fused(fuse, bag, catalogue, group)


def tear_what_was_not_synced(root: Path, fuse: Fuse, tear: Callable[[bytes], bytes]) -> None:
    """A power cut leaves anything of what was written since a file was last synced."""
    for path in (root / MANIFEST, root / JOURNAL, *root.glob("data/**/*"), *incoming(root)):
        if path.is_file():
            data, synced = path.read_bytes(), fuse.durable.get(path.stat().st_ino, b"")
            same = takewhile(lambda pair: pair[0] == pair[1], zip(synced, data, strict=False))
            kept = bytes(byte for byte, _ in same)
            path.write_bytes(kept + tear(data.removeprefix(kept)))


def incoming(root: Path) -> list[Path]:
    """Return the files that are on their way."""
    return [path for path in (root / INCOMING).rglob("*") if path.is_file()]


def on_disk(root: Path) -> dict[int, bytes]:
    """Return what is in each file, by its inode."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.stat().st_ino: path.read_bytes() for path in files}


@slow
@pytest.mark.parametrize("tear", ["cut by a byte", "never written", "half zeros"])
@pytest.mark.parametrize("first", ["killed", "unplugged"])
def test_whatever_was_not_synced_may_be_torn(
    scene: Scene, tmp_path: Path, first: str, tear: str
) -> None:
    """From the first byte staged to the last line: what a power cut tears was not relied on.

    The run is killed or unplugged at any step, and the next one is unplugged where it would
    write lines. That one cannot know whether what it finds staged was ever synced.
    """
    for steps in count():
        root = scene.copy(tmp_path / str(steps))
        shutil.rmtree(root / INCOMING)
        fuse = Fuse(steps, durable=on_disk(root))
        with suppress(PowerCut):
            stage_and_commit(fuse, root)
        if first == "unplugged":
            tear_what_was_not_synced(root, fuse, TEARS[tear])
            assert_promised(root, scene)
        again = Fuse(FOREVER, synced=MANIFEST)
        again.durable = fuse.durable if first == "killed" else on_disk(root)
        if not (journal := root / JOURNAL).stat().st_size:
            for path in incoming(root):
                again.durable.pop(path.stat().st_ino, None)
        elif fuse.taken[-1] == f"sync {JOURNAL.name}":  # as good as synced: it is acted on
            again.durable[journal.stat().st_ino] = journal.read_bytes()
        with suppress(PowerCut):
            stage_and_commit(again, root)
        assert again.blown is fuse.blown or "commit" in fuse.taken
        tear_what_was_not_synced(root, again, TEARS[tear])
        assert_promised(root, scene)
        stage_and_commit(Fuse(FOREVER), root)
        assert_all_held(root)
        if not fuse.blown:
            break
    assert steps >= 30


def test_whatever_fails_on_disk_is_reported_and_recovered(scene: Scene, tmp_path: Path) -> None:
    """Every step that can fail is a storage error when it does, and the next run recovers.

    But for the last ones: an empty directory may be left to that run, without an error.
    """
    unreported = set()
    for steps in count():
        root = scene.copy(tmp_path / str(steps))
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if commit_until(fuse := Fuse(steps, full), root, scene):
            if not fuse.blown:
                break
            unreported.add(fuse.taken[steps])
        assert_promised(root, scene)
        assert recover_until(Fuse(FOREVER), root)
        assert_all_held(root)
    assert_all_held(root)
    assert unreported == {"rmdir"}
    assert steps >= 20


@pytest.mark.parametrize(
    ("step", "later"),
    [("sync settling.json", 0), ("rename", 2), (f"sync {MANIFEST}", 0), ("commit", 0),
     ("truncate", 0), ("rmdir", 1)],
)  # fmt: skip
def test_recovery_can_be_unplugged_too(
    scene: Scene, committing: list[str], tmp_path: Path, step: str, later: int
) -> None:
    """However often a run is cut short, the next one goes on from there."""
    unplugged = scene.copy(tmp_path / "unplugged")
    assert not commit_until(Fuse(committing.index(step) + later), unplugged, scene)
    for steps in count():
        shutil.copytree(unplugged, root := tmp_path / str(steps))
        if recover_until(Fuse(steps), root):
            break
        assert_promised(root, scene)
        assert recover_until(Fuse(FOREVER), root)
        assert_all_held(root)
    assert_all_held(root)


def test_renames_may_reach_the_disk_in_any_order(scene: Scene, tmp_path: Path) -> None:
    """Before the directories are synced, any of the files may have moved, and any may not."""
    files = [file for staged in scene.group for file in staged.files]
    subsets = [s for size in range(len(files) + 1) for s in combinations(files, size)]
    journalled = scene.copy(tmp_path / "journalled")
    fuse = Fuse(FOREVER)
    with fused(fuse), pytest.MonkeyPatch.context() as disk:

        def unplug(*_: object) -> None:
            raise PowerCut

        disk.setattr(os, "rename", unplug)
        with WritableBag.open(journalled) as bag, pytest.raises(PowerCut):
            bag.commit(scene.group, nothing)
    for number, moved in enumerate(subsets):
        shutil.copytree(journalled, root := tmp_path / str(number))
        for file in moved:
            (root / file.target.path).parent.mkdir(parents=True, exist_ok=True)
            (root / file.staged).rename(root / file.target.path)
        assert recover_until(fuse, root)
        assert_all_held(root)


def test_a_recovered_bag_is_valid(scene: Scene, committing: list[str], tmp_path: Path) -> None:
    """After the run that mends, both judges are content."""
    root = scene.copy(tmp_path / "archive")
    assert not commit_until(Fuse(committing.index("sync data")), root, scene)
    recover(root)
    assert_all_held(root)
    assert_valid(root)


def test_a_payload_that_never_reached_the_disk_is_not_held(scene: Scene, tmp_path: Path) -> None:
    """A staged file that is empty all the same is not placed; those of the others are."""
    root = scene.copy(tmp_path / "archive")
    (root / scene.group[1].files[0].staged).write_bytes(b"")
    recover(root)
    assert [path for _, path in lines(root)] == COMMITTED[:4]
    assert list(data_files(root)) == sorted(COMMITTED[:4])
    staging = Staging(Layout(root), scene.group[1].generation)
    assert (
        staging.find(outputs("https://a.example/9-0.mp4", "https://a.example/9-1.mp4")[0]) is None
    )
    assert (root / scene.group[1].files[1].staged).exists()


# --- What the journal names and is not there


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_bytes(MP4[:100])])
@pytest.mark.parametrize("placed", [False, True])
def test_a_damaged_generation_is_kept_aside_whole(
    scene: Scene, tmp_path: Path, number: int, harm: Callable[[Path], object], placed: bool
) -> None:
    """Where one file is missing or damaged its generation is not held; the others are."""
    root = scene.copy(tmp_path / "archive")
    with WritableBag.open(root) as bag, fused(Fuse(FOREVER)):

        def unplug() -> None:
            raise PowerCut

        with pytest.raises(PowerCut):
            bag.commit(scene.group, unplug)
    file = scene.group[1].files[number]
    if not placed:
        (root / file.target.path).rename(root / file.staged)
    harm(root / (file.target.path if placed else file.staged))
    recover(root)
    assert is_committed(root)
    assert [path for _, path in lines(root)] == COMMITTED[:4]
    missing = {file.target.path} if harm is Path.unlink else set()
    assert set(quarantined(root)) == set(COMMITTED[4:]) - missing
    assert (root / ".archiver/quarantine").is_dir()
    with closing(read_catalogue(root)) as catalogue:
        assert not catalogue.holds(scene.group[1].generation)
        assert catalogue.holds(scene.group[0].generation)


def test_damage_after_the_commit_is_unlearnt(
    scene: Scene, committing: list[str], tmp_path: Path
) -> None:
    """If the journal outlives the commit, the catalogue forgets what proves damaged."""
    root = scene.copy(tmp_path / "archive")
    assert not commit_until(Fuse(committing.index("truncate")), root, scene)
    spared, damaged = scene.group
    with closing(read_catalogue(root)) as catalogue:
        assert catalogue.holds(damaged.generation)
    (root / damaged.files[0].target.path).write_bytes(b"")
    recover(root)
    assert is_committed(root)
    with closing(read_catalogue(root)) as catalogue:
        assert not catalogue.holds(damaged.generation)
        assert catalogue.holds(spared.generation)


@pytest.mark.parametrize(
    "journal", [b"", b"{", b'{"offset": 0, "files": [{"sta', bytes(500), b"\xff\xfe", b"[]x"]
)
def test_a_torn_journal_was_not_acted_on(root: Path, bag: WritableBag, journal: bytes) -> None:
    """Nothing was placed before it was whole, so there is nothing to recover."""
    bag.commit([stage(root, "v6/video/1", MP4)], nothing)
    (root / JOURNAL).write_bytes(journal)
    assert recover_commit(bag) == ()
    bag.clear_journal(())
    assert is_committed(root)


def test_a_directory_in_the_way_is_moved_aside(root: Path, bag: WritableBag) -> None:
    """Whatever lies in it."""
    staged = stage(root, "v6/deepfake/263", MP4)
    (root / "data/v6/deepfake/263.mp4").mkdir(parents=True)
    (root / "data/v6/deepfake/263.mp4/note").write_text("mine")
    bag.commit([staged], nothing)
    assert quarantined(root) == {"data/v6/deepfake/263.mp4/note": b"mine"}
    assert is_committed(root)


def test_what_cannot_be_placed_is_not_journalled(root: Path, bag: WritableBag) -> None:
    """A file in place of a directory fails one commit, and no later run."""
    (root / "data/v6").write_text("mine")
    with pytest.raises(StorageError, match="Not a directory"):
        bag.commit([stage(root, "v6/deepfake/263", MP4)], nothing)
    assert bag.recover() == ()
    bag.commit([stage(root, "v7/video-fusion/9", MP4)], nothing)
    assert (root / "data/v6").read_text() == "mine"


def test_a_link_to_nothing_is_moved_aside(root: Path, bag: WritableBag) -> None:
    """It may lead to a disk that is not mounted."""
    staged = stage(root, "v6/deepfake/263", MP4)
    (root / "data/v6/deepfake").mkdir(parents=True)
    (root / "data/v6/deepfake/263.mp4").symlink_to("/mnt/elsewhere/263.mp4")
    bag.commit([staged], nothing)
    found = (root / ".archiver/quarantine").rglob("*")
    assert [str(path.readlink()) for path in found if path.is_symlink()] == [
        "/mnt/elsewhere/263.mp4"
    ]
    assert is_committed(root)


def test_a_journal_from_before_cuts_no_other_lines(root: Path, bag: WritableBag) -> None:
    """A copy that was made while a backup ran has an old journal and a newer manifest."""
    journal = root / ".archiver" / "settling.json"
    old: list[bytes] = []
    first = stage(root, "v6/video/1", MP4)
    bag.commit([first], lambda: old.append(journal.read_bytes()))
    bag.commit([stage(root, "v6/video/2", MP4)], nothing)
    journal.write_bytes(old[0])
    files = recover_commit(bag)
    assert len(files) == 2
    bag.clear_journal(files)
    assert len(lines(root)) == 4
    assert is_committed(root)


@pytest.mark.parametrize("tail", ["a", "0" * 64, "0" * 64 + "  data/v6/video/2.mp4", "\0" * 300])
def test_a_torn_last_line_is_cut(root: Path, bag: WritableBag, tail: str) -> None:
    """A line without its end is no line; the lines before it stay."""
    bag.commit([stage(root, "v6/video/1", MP4)], nothing)
    whole = (root / MANIFEST).read_bytes()
    for before in (whole, b""):
        (root / MANIFEST).write_bytes(before + tail.encode())
        assert recover_commit(bag) == ()
        assert (root / MANIFEST).read_bytes() == before


# --- Reading


def test_a_missing_file_has_no_size(root: Path, bag: WritableBag) -> None:
    """What was deleted by hand is fixity's work."""
    bag.commit([stage(root, "v6/video/1", MP4)], nothing)
    assert bag.size_of("data/v6/video/1.mp4") == len(MP4)
    assert bag.size_of("data/v6/video/2.mp4") == 0


# --- The description


def test_the_bag_is_described(root: Path, bag: WritableBag) -> None:
    """Software, date and Payload-Oxum, rewritten only when something is new."""
    bag.describe(2, 1000)
    info = root / "bag-info.txt"
    agent, date, oxum = info.read_text().splitlines()
    assert agent.startswith("Bag-Software-Agent: archiver ")
    assert date.startswith("Bagging-Date: 20")
    assert oxum == "Payload-Oxum: 1000.2"
    before = info.stat()
    bag.describe(2, 1000)
    assert info.stat().st_ino == before.st_ino
    bag.describe(3, 1001)
    assert info.read_text().splitlines()[-1] == "Payload-Oxum: 1001.3"
    assert info.read_text().count("Payload-Oxum") == 1


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_other_peoples_tags_are_kept(root: Path, bag: WritableBag, encoding: str) -> None:
    """In their order and to the byte, continuation lines too."""
    foreign = "Source-Organization: Büro\nExternal-Description: a\n  and b\nContact-Name: C\n"
    info = root / "bag-info.txt"
    info.write_bytes(f"Payload-Oxum: 1.1\n{foreign}Bagging-Date: 2020-01-01\n".encode(encoding))
    bag.describe(2, 1000)
    assert info.read_bytes().startswith(foreign.encode(encoding))
    assert info.read_bytes().count(b"\n") == 4 + 3


def test_a_foreign_file_is_counted_but_no_hindrance(root: Path, bag: WritableBag) -> None:
    """Payload that is not a generation's is in the bag all the same."""
    (root / "data/notes.txt").write_text("mine")
    checksum = sha256(root / "data/notes.txt")
    (root / MANIFEST).write_text(f"{checksum}  data/notes.txt\n")
    with closing(open_catalogue(root)) as catalogue:
        recover_in(bag, catalogue)
        commit(bag, catalogue, [stage(root, "v6/video/1", MP4)])
        bag.describe(*catalogue.totals())
    assert is_committed(root)
    assert_valid(root)


def test_a_path_that_no_file_can_have_is_missing(bag: WritableBag) -> None:
    """A line that was once listed and names nonsense keeps no run from working."""
    nonsense = BagFile(f"data/{'x' * 5000}", "0" * 64, 1)
    assert bag.relist([nonsense]) == ([], [nonsense])


def test_what_is_listed_anew_is_flushed_first(
    bag: WritableBag, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program may just have put it there: the file and its directories, then the line."""
    (root / "data/notes").mkdir()
    (root / "data/notes/1.txt").write_text("mine")
    log: list[str] = []

    def fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        log.append(os.path.relpath(path, root))

    monkeypatch.setattr(os, "fsync", fsync)
    file = BagFile("data/notes/1.txt", sha256(root / "data/notes/1.txt"), 4)
    assert bag.relist([file], new=True) == ([file], [])
    flushed = log[: log.index(MANIFEST)]
    assert flushed[0] == file.path
    assert {"data/notes", "data", "."} == {*flushed[1:]}
