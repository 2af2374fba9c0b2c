"""The catalogue: an index of the checksum manifest, and a memory of what was tried in vain."""

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from archiver.archive.bag import Bag
from archiver.archive.layout import MANIFEST, Layout
from archiver.archive.writable import WritableBag
from archiver.catalogue import schema
from archiver.catalogue.database import connect_in_memory
from archiver.catalogue.store import Catalogue, Past, Record
from archiver.catalogue.worklist import Entry
from archiver.checksums import BagFile
from archiver.errors import ConfigurationError, StorageError
from archiver.fixity.reconcile import Reconciliation
from archiver.generation import generation_at
from archiver.media.info import Properties
from archiver.outcomes import Archived, Failed, LinkFault, Lost, Pending, Streak, Worklist
from archiver.pipeline.indexing import absorb
from tests.support.archives import open_catalogue, read_catalogue
from tests.support.catalogues import (
    START,
    Clock,
    generation,
    generations,
    held,
    listed,
    place,
    place_generations,
    report,
)
from tests.support.running import mounted

CUT = (LinkFault("primary", "https://a.example/x.mp4", "cut after 5 of 9 bytes"),)


def rows(root: Path) -> dict[str, tuple[object, ...]]:
    """Return what a catalogue at rest remembers of each generation."""
    query = "SELECT name, state, reason, trouble, served_by FROM generation"
    with closing(sqlite3.connect(Layout(root).catalogue)) as db:
        return {name: tuple(rest) for name, *rest in db.execute(query)}


# --- Learning from the checksum manifest


def test_a_new_catalogue_knows_nothing(bag: Bag, catalogue: Catalogue) -> None:
    """Nor does it make anything up from an empty bag."""
    assert absorb(bag, catalogue) == 0
    assert catalogue.totals() == (0, 0)
    assert held(catalogue, 1) == []


def test_the_whole_manifest_is_learnt_at_first(bag: Bag, catalogue: Catalogue) -> None:
    """Each line is a file, and each generation that it names is held."""
    place_generations(bag, 1, 2, "3-1")
    place(bag, "data/v6/deepfake/4-1.mp4", "data/v6/deepfake/4-2.mp4", "data/notes.txt")
    assert absorb(bag, catalogue) == 9
    assert held(catalogue, 1, 2, 3, "3-1", 4, "4-1", 5) == [1, 2, "3-1", 4]
    size = sum(path.stat().st_size for path in (bag.layout.root / "data").rglob("*.*"))
    assert catalogue.totals() == (9, size)


def test_only_the_tail_is_learnt_later(bag: Bag, catalogue: Catalogue) -> None:
    """What was appended since last time is all that is read."""
    place_generations(bag, 1)
    assert absorb(bag, catalogue) == 2
    assert absorb(bag, catalogue) == 0
    place_generations(bag, 2, 3)
    assert absorb(bag, catalogue) == 4
    assert held(catalogue, 1, 2, 3) == [1, 2, 3]


def test_what_was_recorded_is_not_learnt_again(bag: Bag, catalogue: Catalogue) -> None:
    """A commit marks how far the catalogue has come."""
    place_generations(bag, 1)
    catalogue.record([Record(generation(1), "held")], [], bag.manifest.mark())
    assert absorb(bag, catalogue) == 0


@pytest.mark.parametrize(
    ("edit", "still_held"),
    [
        (lambda lines: [], []),
        (lambda lines: lines[:-2], [1, 2]),
        (lambda lines: lines[2:], [2, 3]),
        (lambda lines: lines[:2] + lines[4:], [1, 3]),
        (lambda lines: lines[::-1], [1, 2, 3]),
        (lambda lines: lines * 2, [1, 2, 3]),
    ],
)
def test_lines_that_were_cut_are_known(
    bag: Bag,
    catalogue: Catalogue,
    edit: Callable[[list[str]], list[str]],
    still_held: list[int],
) -> None:
    """What a person has taken out of the manifest stays known, until its files are gone too."""
    place_generations(bag, 1, 2, 3)
    absorb(bag, catalogue)
    report(catalogue, Lost(generation(9), "not found"))
    absorb(bag, catalogue)
    lines = edit(bag.manifest.path.read_text().splitlines(keepends=True))
    bag.manifest.path.write_text("".join(lines))
    absorb(bag, catalogue)
    assert held(catalogue, 1, 2, 3) == [1, 2, 3]
    cut = catalogue.unlisted()
    assert {generation_at(file.path) for file in cut} == set(generations(1, 2, 3)) - set(
        generations(*still_held)
    )
    catalogue.forget(cut)
    assert held(catalogue, 1, 2, 3) == still_held
    assert catalogue.totals()[0] == 2 * len(still_held)
    assert catalogue.worklist.add(listed(9), retry_lost=False).known_lost == 1


def test_large_manifests_are_learnt_in_batches(bag: Bag) -> None:
    """A generation whose files are in two batches is held once."""
    catalogue = Catalogue(connect_in_memory(), batch=3)
    place_generations(bag, *range(10))
    assert absorb(bag, catalogue) == 20
    assert held(catalogue, *range(10)) == list(range(10))
    assert catalogue.totals()[0] == 20


def test_a_missing_file_has_no_bytes(bag: Bag, catalogue: Catalogue) -> None:
    """What was deleted by hand is held all the same: to find that out is fixity's work."""
    place_generations(bag, 1)
    (bag.layout.root / generation(1).payload_path(1, 1, "mp4")).unlink()
    absorb(bag, catalogue)
    assert held(catalogue, 1) == [1]
    assert catalogue.totals() == (2, len(generation(1).sidecar_path))


@pytest.mark.parametrize("spared", [(), ("-wal", "-shm")])
def test_losing_the_catalogue_loses_only_history(bag: Bag, spared: tuple[str, ...]) -> None:
    """Rebuilt from the checksum manifest, it holds the same; what was lost is asked again."""
    place_generations(bag, 1, 2)
    with closing(open_catalogue(bag.layout.root)) as catalogue:
        absorb(bag, catalogue)
        report(catalogue, Lost(generation(3), "not found"))
        absorb(bag, catalogue)
        before = catalogue.totals()
        kept = {s: Path(f"{bag.layout.catalogue}{s}").read_bytes() for s in spared}
    bag.layout.catalogue.unlink()
    for suffix, data in kept.items():
        Path(f"{bag.layout.catalogue}{suffix}").write_bytes(data)
    with closing(open_catalogue(bag.layout.root)) as catalogue:
        assert absorb(bag, catalogue) == 4
        assert catalogue.totals() == before
        assert held(catalogue, 1, 2) == [1, 2]
        assert catalogue.worklist.add(listed(1, 2, 3), retry_lost=False) == Worklist(2, 0, 1)


# --- What became of generations


def test_outcomes_are_remembered(bag: Bag, clock: Clock) -> None:
    """With the reason, the fault of each link, and the links that served."""
    with closing(open_catalogue(bag.layout.root)) as catalogue:
        report(
            catalogue,
            Archived(generation(1), 5, ("https://a.example/1.mp4", "https://b.example/2.mp4")),
            Pending(generation(2)),
            Lost(generation(3), "ModelsLab responded: Request not found"),
            Failed(generation(4), "all links failed", CUT),
        )
    assert rows(bag.layout.root) == {
        "v6/deepfake/1": ("held", None, None, "https://a.example/1.mp4\nhttps://b.example/2.mp4"),
        "v6/deepfake/2": ("pending", None, None, None),
        "v6/deepfake/3": ("lost", "ModelsLab responded: Request not found", None, None),
        "v6/deepfake/4": (
            "failed",
            "all links failed: primary https://a.example/x.mp4: cut after 5 of 9 bytes",
            None,
            None,
        ),
    }


def test_a_state_is_dated_by_its_first_run(bag: Bag, clock: Clock) -> None:
    """`since` is when it came into the state, `checked` when it was last found there."""
    seen = []
    for outcome in (
        Failed(generation(1), "x"), Failed(generation(1), "y"), Archived(generation(1), 1, ("a",)),
    ):  # fmt: skip
        with closing(open_catalogue(bag.layout.root)) as catalogue:
            report(catalogue, outcome)
        with closing(sqlite3.connect(bag.layout.catalogue)) as db:
            seen += db.execute("SELECT since, checked, reason FROM generation").fetchall()
        clock.time += timedelta(days=1)
    first, second, third = (f"2026-11-{day}T02:00:00+00:00" for day in (23, 24, 25))
    assert seen == [(first, first, "x"), (first, second, "y"), (third, third, None)]


def test_files_and_outcomes_are_committed_together(bag: Bag, catalogue: Catalogue) -> None:
    """If one of them cannot be written, nothing is."""
    place_generations(bag, 1)
    file = BagFile("data/v6/deepfake/1.mp4", "00", 5)
    records = [Record(generation(id_), "held") for id_ in (1, 2)]
    records[1] = replace(records[1], state="elsewhere")  # type: ignore[arg-type]
    with pytest.raises(StorageError):
        catalogue.record(records, [file], bag.manifest.mark())
    assert held(catalogue, 1, 2) == []
    assert catalogue.totals() == (0, 0)
    assert absorb(bag, catalogue) == 2


VIDEO = BagFile("data/v6/deepfake/1.mp4", "00", 5)
SAID = Properties(5.04, 640, 360, 23.976, "h264", "aac")


def properties(catalogue: Catalogue) -> dict[str, Properties]:
    """Return what is known of videos, also of those that are not held."""
    rows = catalogue.connection.execute("SELECT * FROM properties")
    return {path: Properties(*said) for path, *said in rows}


def test_what_a_video_says_is_committed_with_it(catalogue: Catalogue) -> None:
    """To the last digit, and nothing of a video that was not looked at."""
    other = BagFile("data/v6/deepfake/2.mp4", "00", 5)
    records = [Record(generation(1), "held"), Record(generation(2), "held")]
    catalogue.record(records, [VIDEO, other], START, properties=[(VIDEO.path, SAID)])
    assert properties(catalogue) == {VIDEO.path: SAID}


def test_what_a_video_says_is_not_committed_without_it(catalogue: Catalogue) -> None:
    """If the outcome cannot be written, nothing is."""
    record = replace(Record(generation(1), "held"), state="elsewhere")  # type: ignore[arg-type]
    with pytest.raises(StorageError):
        catalogue.record([record], [VIDEO], START, properties=[(VIDEO.path, SAID)])
    assert properties(catalogue) == {}


def test_what_another_video_said_is_forgotten(catalogue: Catalogue) -> None:
    """A file that is replaced, or gone, is not described by the one before."""
    catalogue.record(
        [Record(generation(1), "held")], [VIDEO], START, properties=[(VIDEO.path, SAID)]
    )
    catalogue.correct([VIDEO])
    assert properties(catalogue) == {VIDEO.path: SAID}
    catalogue.correct([replace(VIDEO, sha256="11")])
    assert properties(catalogue) == {}
    catalogue.correct([VIDEO], [(VIDEO.path, SAID)])
    assert properties(catalogue) == {VIDEO.path: SAID}
    catalogue.forget([VIDEO])
    assert properties(catalogue) == {}


def test_what_videos_say_is_recorded_in_batches(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many they are, a backup may write in between; the last word counts."""
    monkeypatch.setattr(catalogue, "_batch", 2)
    found = {f"data/v6/deepfake/{number}.mp4": SAID for number in range(5)}
    catalogue.set_properties((path, Properties()) for path in found)
    catalogue.set_properties(iter(found.items()))
    catalogue.set_properties([])
    assert properties(catalogue) == found


def test_a_file_placed_anew_is_counted_once(catalogue: Catalogue) -> None:
    """The totals are the bag's Payload-Oxum."""
    for size in (5, 7):
        file = BagFile("data/v6/deepfake/1.mp4", "00", size)
        catalogue.record([Record(generation(1), "held")], [file], START)
    assert catalogue.totals() == (1, 7)


# --- The file


@pytest.mark.parametrize(
    "garbage", [b"garbage" * 1000, b"<html>", b"SQLite format 3\0" + b"x" * 99]
)
def test_a_damaged_catalogue_is_set_aside_and_rebuilt(bag: Bag, garbage: bytes) -> None:
    """It is an index: the bag still holds what it holds, and the run goes on."""
    place_generations(bag, 1)
    for suffix in ("", "-wal", "-shm"):
        Path(f"{bag.layout.catalogue}{suffix}").write_bytes(garbage)
    with closing(open_catalogue(bag.layout.root)) as catalogue:
        assert absorb(bag, catalogue) == 2
        assert held(catalogue, 1) == [1]
    kept = [path for path in (bag.layout.root / ".archiver").iterdir() if ".damaged-" in path.name]
    assert garbage in [path.read_bytes() for path in kept]
    assert all(path.name.startswith("catalogue.sqlite") for path in kept)
    with closing(open_catalogue(bag.layout.root)) as catalogue:
        assert held(catalogue, 1) == [1]


@pytest.mark.parametrize("open_", [open_catalogue, read_catalogue])
def test_a_newer_catalogue_is_refused(bag: Bag, open_: Callable[[Path], Catalogue]) -> None:
    """An old archiver does not write, nor read, what it does not know."""
    open_catalogue(bag.layout.root).close()
    with closing(sqlite3.connect(bag.layout.catalogue)) as db:
        db.execute("PRAGMA user_version = 99")
    before = bag.layout.catalogue.read_bytes()
    with pytest.raises(ConfigurationError, match="newer archiver"):
        open_(bag.layout.root).close()
    assert bag.layout.catalogue.read_bytes()[100:] == before[100:]


@pytest.mark.parametrize("open_", [read_catalogue, open_catalogue])
def test_an_older_catalogue_is_brought_up_to_date(
    bag: Bag, open_: Callable[[Path], Catalogue]
) -> None:
    """What it remembers stays, and what it did not keep count of is counted."""
    then = (datetime.now(UTC) - timedelta(days=20)).isoformat(timespec="seconds")
    states = {1: "held", 2: "held", 3: "lost", 4: "pending", 5: "failed"}
    with closing(sqlite3.connect(bag.layout.catalogue)) as older, older:
        older.executescript(f"BEGIN; {schema._MIGRATIONS[0]} PRAGMA user_version = 1; COMMIT;")
        for id_, state in states.items():
            older.execute(
                "INSERT INTO generation (name, state, since, asked, first_asked, told)"
                " VALUES (?, ?, ?, ?, ?, 1)",
                (generation(id_).name, state, then, then, then),
            )
        older.execute("INSERT INTO file VALUES ('data/v6/deepfake/1.mp4', 'x', 7, NULL)")
        older.execute("INSERT INTO file VALUES ('data/v6/deepfake/2.mp4', 'x', 8, NULL)")
    with closing(open_(bag.layout.root)) as catalogue:
        assert catalogue.worklist.add(listed(1, 2, 3, 4, 5, 6), retry_lost=False) == Worklist(
            2, 1, 3
        )
        assert catalogue.totals() == (2, 15)
        assert catalogue.past(generation(4)) == Past(then, Streak("processing", 3, 0))
        assert catalogue.past(generation(5)) == Past(then, None)
        assert catalogue.undescribed(10) == generations(1, 2)  # their sidecars are still to be read


def test_what_was_given_up_on_one_word_is_asked_about_again(bag: Bag) -> None:
    """Earlier versions did that; what was hopeless on three runs stays lost."""
    then, failed = "2026-05-01T03:00:00+00:00", "ModelsLab responded: Failed, Try Again"
    reasons = {
        1: "ModelsLab responded: Request not found",
        2: f"{failed}, on 3 runs",
        3: "all links failed, fresh ones too, on 12 runs: primary https://a.example/x: 404",
        4: "ModelsLab is still processing it after 14 days",
    }
    with closing(sqlite3.connect(bag.layout.catalogue)) as older, older:
        older.executescript("".join(schema._MIGRATIONS[:5]) + "PRAGMA user_version = 5;")
        older.executemany(
            "INSERT INTO generation (name, state, reason, since, checked, first_checked, reported)"
            " VALUES (?, 'lost', ?, ?, ?, ?, ?)",
            [(generation(n).name, why, then, then, then, n % 2) for n, why in reasons.items()],
        )
    with closing(open_catalogue(bag.layout.root)) as catalogue:
        found = catalogue.worklist.add(listed(1, 2, 3, 4), retry_lost=False)
        assert (found.to_fetch, found.known_lost, len(found.unreported)) == (1, 1, 2)
        assert catalogue.past(generation(1)) == Past(then, Streak("hopeless"))


@pytest.mark.parametrize("open_", [open_catalogue, read_catalogue])
def test_an_empty_file_is_a_new_catalogue(bag: Bag, open_: Callable[[Path], Catalogue]) -> None:
    """A crash before the first commit leaves one."""
    bag.layout.catalogue.touch()
    place_generations(bag, 1)
    with closing(open_(bag.layout.root)) as catalogue:
        assert catalogue.worklist.add(listed(2), retry_lost=False) == Worklist(0, 0, 1)


def test_at_rest_it_is_one_file(bag: Bag) -> None:
    """Whoever copies an archive copies one file, and not two halves."""
    with closing(open_catalogue(bag.layout.root)) as catalogue:
        report(catalogue, Pending(generation(1)))
    assert [path.name for path in (bag.layout.root / ".archiver").glob("catalogue*")] == [
        "catalogue.sqlite"
    ]


class Unshared(sqlite3.Connection):
    """A connection on a file system without shared memory, as SQLite has it there.

    Write-ahead logging can be chosen, but only whoever is alone with the file can use it.
    """

    name = "SQLITE_IOERR_SHMMAP"
    alone = False

    def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
        """Execute a statement."""
        self.alone = self.alone or "EXCLUSIVE" in sql
        if not self.alone and super().execute("PRAGMA journal_mode").fetchone() == ("wal",):
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorname = self.name
            raise error
        return super().execute(sql, *args)


@pytest.mark.parametrize("name", ["SQLITE_IOERR_SHMMAP", "SQLITE_IOERR_SHMOPEN", "SQLITE_PROTOCOL"])
def test_without_shared_memory_there_is_no_write_ahead_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Network and FUSE file systems often have none: the catalogue works there as well."""
    path, connect = tmp_path / "catalogue.sqlite", sqlite3.connect
    with closing(connect(path)) as db:
        assert db.execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",)
    monkeypatch.setattr(Unshared, "name", name)
    monkeypatch.setattr(sqlite3, "connect", partial(connect, factory=Unshared))
    for _ in range(2):
        with closing(Catalogue.open(path)) as catalogue:
            mode = catalogue.connection.execute("PRAGMA journal_mode").fetchone()
            assert (mode, catalogue.totals()) == (("delete",), (0, 0))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("version", [0, 1, schema.VERSION])
def test_many_can_open_it_in_the_same_moment(tmp_path: Path, version: int) -> None:
    """One makes or upgrades the tables and the others wait, though SQLite refuses some at once."""
    for turn in range(10):
        path, gate = tmp_path / f"{turn}.sqlite", Barrier(6)
        with closing(sqlite3.connect(path)) as db:
            made = "".join(schema._MIGRATIONS[:version])
            db.executescript(f"{made} PRAGMA user_version = {version};")

        def opened(path: Path = path, gate: Barrier = gate) -> tuple[int, int]:
            gate.wait(30)
            with closing(Catalogue.open(path)) as catalogue:
                return catalogue.totals()

        with ThreadPoolExecutor(gate.parties) as pool:
            together = [pool.submit(opened) for _ in range(gate.parties)]
        assert [each.result() for each in together] == [(0, 0)] * gate.parties


def test_any_other_failure_to_open_is_a_storage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails is not opened in another way."""
    monkeypatch.setattr(Unshared, "name", "SQLITE_IOERR_READ")
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Unshared))
    with pytest.raises(StorageError, match="disk I/O error"):
        Catalogue.open(tmp_path / "catalogue.sqlite")


def test_a_directory_that_is_missing_is_a_storage_error(tmp_path: Path) -> None:
    """Without a directory there is no catalogue, and none is made up."""
    with pytest.raises(StorageError, match="unable to open"):
        open_catalogue(tmp_path / "missing")


KILLED = """
import os, sys
from pathlib import Path
from archiver.catalogue.store import Catalogue, Record
from archiver.checksums import Mark
from archiver.generation import Generation

catalogue = Catalogue.open(Path(sys.argv[1]))
catalogue.record([Record(Generation("v6/deepfake", "1"), "lost", "x")], [], Mark(0, b""))
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("open_", [read_catalogue, open_catalogue])
def test_what_was_committed_outlives_a_kill(bag: Bag, open_: Callable[[Path], Catalogue]) -> None:
    """SIGKILL right after the commit takes nothing back, for who looks as for who works."""
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, bag.layout.catalogue], timeout=60, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    with closing(open_(bag.layout.root)) as catalogue:
        worklist = catalogue.worklist.add(listed(1), retry_lost=False)
        assert worklist == Worklist(unreported=(Lost(generation(1), "x"),))


HALF_WRITTEN = """
import os, sqlite3, sys

db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA cache_size = 1")
db.execute("BEGIN")
db.execute(sys.argv[2])
os.kill(os.getpid(), 9)
"""
"""With one page in memory at most, pages are on the disk before the commit."""


@pytest.fixture(params=["writable", "read-only"])
def killed_in_between(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """An archive whose catalogue a killed run has left half written, on a disk of this kind."""
    with mounted(tmp_path / "disk", "size=10m") as disk:
        root = disk / "archive"
        with WritableBag.open(root) as bag, closing(open_catalogue(root)) as catalogue:
            place_generations(bag, 1)
            absorb(bag, catalogue)
            report(catalogue, *(Failed(one, "x" * 500) for one in generations(*range(2, 200))))
        kill_in_between(
            Layout(root).catalogue, "UPDATE generation SET reason = NULL, name = number"
        )
        if request.param == "read-only":
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        yield root


def kill_in_between(path: Path, change: str) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", HALF_WRITTEN, path, change], timeout=60, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert path.with_name(f"{path.name}-journal").stat().st_size


def test_what_was_half_written_is_undone_for_readers(killed_in_between: Path) -> None:
    """Nobody sees a change that was never committed, and no error is reported."""
    with closing(read_catalogue(killed_in_between)) as catalogue:
        assert held(catalogue, 1, 2) == [1]
        assert catalogue.queries.of(generation(199)).reason == "x" * 500


def test_a_creation_that_was_half_written_is_none(bag: Bag) -> None:
    """Killed while the first catalogue was created, there is none: the manifest serves."""
    place_generations(bag, 1)
    path = bag.layout.catalogue
    blobs = ", ".join(["(zeroblob(5000))"] * 10)
    kill_in_between(path, f"CREATE TABLE t AS SELECT * FROM (VALUES {blobs})")
    with closing(read_catalogue(bag.layout.root)) as catalogue:
        assert held(catalogue, 1, 2) == [1]


# --- Reading


def traces(root: Path) -> dict[str, tuple[int, int, int]]:
    """Everything that a change would show in."""
    stats = {path: path.stat() for path in [root, *root.rglob("*")]}
    return {str(p): (s.st_mtime_ns, s.st_size, s.st_ino) for p, s in stats.items()}


@pytest.mark.parametrize("known", [False, True])
def test_looking_touches_nothing(bag: Bag, known: bool) -> None:
    """A dry run sees what a run would, with or without a catalogue, and leaves no trace."""
    place_generations(bag, 1, 2)
    if known:
        with closing(open_catalogue(bag.layout.root)) as catalogue:
            absorb(bag, catalogue)
    before = traces(bag.layout.root)
    with closing(read_catalogue(bag.layout.root)) as catalogue:
        assert catalogue.worklist.add(listed(1, 2, 3), retry_lost=False) == Worklist(2, 0, 1)
        assert catalogue.worklist.take(10) == [Entry(generation(3))]
        assert held(catalogue, 1, 2, 3) == [1, 2]
    assert traces(bag.layout.root) == before


def test_looking_at_nothing_makes_nothing(tmp_path: Path) -> None:
    """Where there is no archive yet, everything is to be asked, and there is none still."""
    with closing(read_catalogue(tmp_path / "archive")) as catalogue:
        assert catalogue.worklist.add(listed(1), retry_lost=False) == Worklist(0, 0, 1)
    assert list(tmp_path.iterdir()) == []


def test_looking_does_not_disturb_who_works(bag: Bag, catalogue: Catalogue) -> None:
    """Beside a run it sees what is committed, and both go on."""
    report(catalogue, Lost(generation(1), "x"))
    with closing(read_catalogue(bag.layout.root)) as looking:
        assert looking.worklist.add(listed(1, 2), retry_lost=False) == Worklist(0, 1, 1)
        report(catalogue, Lost(generation(2), "x"))
    with closing(read_catalogue(bag.layout.root)) as looking:
        assert looking.worklist.add(listed(1, 2), retry_lost=False) == Worklist(0, 2, 0)


def test_looking_writes_nothing(bag: Bag) -> None:
    """Even if a caller tries."""
    open_catalogue(bag.layout.root).close()
    before = bag.layout.catalogue.read_bytes()
    with closing(read_catalogue(bag.layout.root)) as catalogue, suppress(StorageError):
        report(catalogue, Lost(generation(1), "x"))
    assert bag.layout.catalogue.read_bytes() == before
    assert (bag.layout.root / MANIFEST).read_bytes() == b""


def test_an_audit_blocks_nobody(bag: Bag) -> None:
    """While it lists and reads, a backup may begin, and write: it compares with a copy."""
    open_catalogue(bag.layout.root).close()
    with closing(read_catalogue(bag.layout.root)) as looking:
        Reconciliation(looking.connection).add_found([])
        with closing(open_catalogue(bag.layout.root)) as backup:
            report(backup, Pending(generation(1)))
            backup.set_verified(["data/v6/deepfake/1.mp4"])
