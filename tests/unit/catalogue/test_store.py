"""The catalogue: an index of the checksum manifest, and a memory of what was asked in vain."""

import hashlib
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.archive.bag import Bag
from archiver.archive.layout import MANIFEST, Mark
from archiver.archive.staging import StagedFile
from archiver.catalogue import schema
from archiver.catalogue import store as catalogue_module
from archiver.catalogue.database import CATALOGUE
from archiver.catalogue.schema import upgraded
from archiver.catalogue.store import Catalogue, Enlisted
from archiver.errors import ConfigurationError, StorageError
from archiver.generation import Generation, generation_at
from archiver.manifest.entries import Ids
from archiver.outcomes import Archived, Failed, LinkFault, Lost, Outcome, Pending
from tests.support.running import mounted

GONE = (LinkFault("primary", "https://a.example/x.mp4", "404 Not Found", gone=True),)
CUT = (LinkFault("primary", "https://a.example/x.mp4", "cut after 5 of 9 bytes"),)
START = Mark(0, b"")


def generation(id_: int | str) -> Generation:
    return Generation("v6/deepfake", str(id_))


def generations(*ids: int | str) -> list[Generation]:
    return [generation(id_) for id_ in ids]


def listed(*ids: int | str) -> list[Ids]:
    """A list of these, one for itself and the others as they follow each other."""
    return [Ids("v6/deepfake", [str(id_) for id_ in some]) for some in (ids[:1], ids[1:])]


class Evening:
    """A clock that is put forward by backups."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 23, 2, tzinfo=UTC)

    def now(self, zone: object) -> datetime:
        """What time it is."""
        assert zone is UTC
        return self.time

    def fromisoformat(self, text: str) -> datetime:
        """Read a time as ever."""
        return datetime.fromisoformat(text)


@pytest.fixture
def evening(monkeypatch: pytest.MonkeyPatch) -> Evening:
    evening = Evening()
    monkeypatch.setattr(catalogue_module, "datetime", evening)
    return evening


@pytest.fixture
def bag(tmp_path: Path) -> Iterator[Bag]:
    with Bag.open(tmp_path / "archive") as bag:
        yield bag


@pytest.fixture
def catalogue(bag: Bag) -> Iterator[Catalogue]:
    with closing(Catalogue.open(bag.root)) as catalogue:
        yield catalogue


def place(bag: Bag, *paths: str) -> None:
    """Put files into the bag as a settled group leaves them: each with its line."""
    for path in paths:
        (bag.root / path).parent.mkdir(parents=True, exist_ok=True)
        (bag.root / path).write_bytes(path.encode())
        checksum = hashlib.sha256(path.encode()).hexdigest()
        with bag.manifest.path.open("a") as manifest:
            manifest.write(f"{checksum}  {path}\n")


def place_generations(bag: Bag, *ids: int | str) -> None:
    for one in generations(*ids):
        place(bag, one.payload_path(1, 1, "mp4"), one.sidecar_path)


def held(catalogue: Catalogue, *ids: int | str) -> list[int | str]:
    return [id_ for id_ in ids if catalogue.holds(generation(id_))]


def rows(root: Path) -> dict[str, tuple[object, ...]]:
    """What a catalogue at rest remembers of each generation."""
    query = "SELECT name, state, reason, gone_nights, served_by FROM generation"
    with closing(sqlite3.connect(root / CATALOGUE)) as db:
        return {name: tuple(rest) for name, *rest in db.execute(query)}


def tell(catalogue: Catalogue, *outcomes: Outcome) -> None:
    """Record outcomes as a night does whose list they are of, and that has told of them."""
    catalogue.record(outcomes, (), START)
    with catalogue._db as db:
        db.execute("UPDATE generation SET told = 1")


# --- Learning from the checksum manifest


def test_a_new_catalogue_knows_nothing(bag: Bag, catalogue: Catalogue) -> None:
    """Nor does it make anything up from an empty bag."""
    assert catalogue.absorb(bag) == 0
    assert catalogue.totals() == (0, 0)
    assert held(catalogue, 1) == []


def test_the_whole_manifest_is_learnt_at_first(bag: Bag, catalogue: Catalogue) -> None:
    """Each line is a file, and each generation that it names is held."""
    place_generations(bag, 1, 2, "3-1")
    place(bag, "data/v6/deepfake/4-1.mp4", "data/v6/deepfake/4-2.mp4", "data/notes.txt")
    assert catalogue.absorb(bag) == 9
    assert held(catalogue, 1, 2, 3, "3-1", 4, "4-1", 5) == [1, 2, "3-1", 4]
    size = sum(path.stat().st_size for path in (bag.root / "data").rglob("*.*"))
    assert catalogue.totals() == (9, size)


def test_only_the_tail_is_learnt_later(bag: Bag, catalogue: Catalogue) -> None:
    """What was appended since last time is all that is read."""
    place_generations(bag, 1)
    assert catalogue.absorb(bag) == 2
    assert catalogue.absorb(bag) == 0
    place_generations(bag, 2, 3)
    assert catalogue.absorb(bag) == 4
    assert held(catalogue, 1, 2, 3) == [1, 2, 3]


def test_what_was_recorded_is_not_learnt_again(bag: Bag, catalogue: Catalogue) -> None:
    """A commit tells the catalogue how far it has come."""
    place_generations(bag, 1)
    catalogue.record([Archived(generation(1), 5, ("a",))], [], bag.manifest.mark())
    assert catalogue.absorb(bag) == 0


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
    catalogue.absorb(bag)
    tell(catalogue, Lost(generation(9), "not found"))
    catalogue.absorb(bag)
    lines = edit(bag.manifest.path.read_text().splitlines(keepends=True))
    bag.manifest.path.write_text("".join(lines))
    catalogue.absorb(bag)
    assert held(catalogue, 1, 2, 3) == [1, 2, 3]
    cut = catalogue.unlisted()
    assert {generation_at(file.path) for file in cut} == set(generations(1, 2, 3)) - set(
        generations(*still_held)
    )
    catalogue.forget(cut)
    assert held(catalogue, 1, 2, 3) == still_held
    assert catalogue.totals()[0] == 2 * len(still_held)
    assert catalogue.enlist(listed(9), retry_lost=False).known_lost == 1


def test_large_manifests_are_learnt_in_batches(
    bag: Bag, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A generation whose files are in two batches is held once."""
    monkeypatch.setattr(catalogue_module, "_BATCH", 3)
    place_generations(bag, *range(10))
    assert catalogue.absorb(bag) == 20
    assert held(catalogue, *range(10)) == list(range(10))
    assert catalogue.totals()[0] == 20


def test_a_missing_file_has_no_bytes(bag: Bag, catalogue: Catalogue) -> None:
    """What was deleted by hand is held all the same: it is fixity's work to tell."""
    place_generations(bag, 1)
    (bag.root / generation(1).payload_path(1, 1, "mp4")).unlink()
    catalogue.absorb(bag)
    assert held(catalogue, 1) == [1]
    assert catalogue.totals() == (2, len(generation(1).sidecar_path))


@pytest.mark.parametrize("spared", [(), ("-wal", "-shm")])
def test_losing_the_catalogue_loses_only_history(bag: Bag, spared: tuple[str, ...]) -> None:
    """Rebuilt from the checksum manifest, it holds the same; what was lost is asked again."""
    place_generations(bag, 1, 2)
    with closing(Catalogue.open(bag.root)) as catalogue:
        catalogue.absorb(bag)
        tell(catalogue, Lost(generation(3), "not found"))
        catalogue.absorb(bag)
        before = catalogue.totals()
        kept = {s: (bag.root / f"{CATALOGUE}{s}").read_bytes() for s in spared}
    (bag.root / CATALOGUE).unlink()
    for suffix, data in kept.items():
        (bag.root / f"{CATALOGUE}{suffix}").write_bytes(data)
    with closing(Catalogue.open(bag.root)) as catalogue:
        assert catalogue.absorb(bag) == 4
        assert catalogue.totals() == before
        assert held(catalogue, 1, 2) == [1, 2]
        assert catalogue.enlist(listed(1, 2, 3), retry_lost=False) == Enlisted(2, 0, 1)


# --- Tonight's list


def test_the_list_is_sorted_out(bag: Bag, catalogue: Catalogue) -> None:
    """Held and lost are counted; what is new, pending or failed is to be asked."""
    place_generations(bag, 1, 2)
    catalogue.absorb(bag)
    lost, pending, failed = generations(3, 4, 5)
    tell(catalogue, Lost(lost, "x"), Pending(pending), Failed(failed, "x"))
    tonight = listed(1, 2, 3, 4, 5, 6, 7)
    assert catalogue.enlist(tonight, retry_lost=False) == Enlisted(2, 1, 4)


@pytest.mark.parametrize("batch", [1, 2, 3, 100])
def test_each_generation_is_counted_once(
    bag: Bag, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    """However often it is listed, in one batch or across many."""
    monkeypatch.setattr(catalogue_module, "_BATCH", batch)
    place_generations(bag, 1)
    catalogue.absorb(bag)
    tell(catalogue, Lost(generation(2), "x"), Failed(generation(4), "x"))
    tonight = listed(1, 1, 2, 3, 2, 4, 1, 3, 3, 4, 2, 1)
    assert catalogue.enlist(tonight, retry_lost=False) == Enlisted(1, 1, 2)
    assert [one.id for one, _ in catalogue.take(100)] == ["3", "4"]
    assert catalogue.take(100) == []


def test_the_lost_are_asked_again_on_request(catalogue: Catalogue) -> None:
    """`--retry-lost` asks, and nothing else does."""
    tell(catalogue, Lost(generation(1), "x"))
    assert catalogue.enlist(listed(1), retry_lost=False) == Enlisted(0, 1, 0)
    assert catalogue.take(10) == []
    assert catalogue.enlist(listed(1), retry_lost=True) == Enlisted(0, 0, 1)
    assert catalogue.take(10) == [(generation(1), False)]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_the_new_come_first_and_old_troubles_last(catalogue: Catalogue, limit: int) -> None:
    """Never tried, then still in the making, then failed or lost: each in the list's order."""
    failed, pending, lost = generations("f", "p", "l")
    tell(catalogue, Failed(failed, "x"), Pending(pending), Lost(lost, "x"))
    catalogue.enlist(listed("f", "n1", "l", "p", "n2", "n3"), retry_lost=True)
    taken = []
    while turn := catalogue.take(limit):
        assert len(turn) <= limit
        taken += turn
    assert [(one.id, new) for one, new in taken] == [
        ("n1", True), ("n2", True), ("n3", True), ("p", False), ("f", False), ("l", False),
    ]  # fmt: skip


def test_the_plan_takes_all_and_closes(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dry run reads the list to its end, one by one."""
    monkeypatch.setattr(catalogue_module, "_BATCH", 2)
    catalogue.enlist(listed(*range(5)), retry_lost=False)
    assert list(catalogue.taken()) == generations(*range(5))
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        catalogue._db.execute("SELECT 1")


@given(
    st.lists(st.integers(0, 12), max_size=40),
    st.sets(st.integers(0, 12)),
    st.sets(st.integers(0, 12)),
    st.integers(1, 7),
)
def test_any_list_is_shared_out(
    tonight: list[int], in_bag: set[int], lost: set[int], n: int
) -> None:
    """Every generation on it is held, known to be lost or asked about: one of them, and once."""
    lost -= in_bag
    with (
        pytest.MonkeyPatch.context() as patch,
        closing(Catalogue(upgraded(sqlite3.connect(":memory:")))) as catalogue,
    ):
        patch.setattr(catalogue_module, "_BATCH", n)
        tell(catalogue, *(Archived(one, 1, ()) for one in generations(*in_bag)))
        tell(catalogue, *(Lost(one, "x") for one in generations(*lost)))
        enlisted = catalogue.enlist(listed(*tonight), retry_lost=False)
        to_ask = [id_ for id_ in dict.fromkeys(tonight) if id_ not in in_bag | lost]
        assert [one for one, _ in catalogue.take(100)] == generations(*to_ask)
    assert enlisted == Enlisted(len(set(tonight) & in_bag), len(set(tonight) & lost), len(to_ask))


# --- What became of them


def test_outcomes_are_remembered(bag: Bag, evening: Evening) -> None:
    """With the reason, every link's word, and the links that served."""
    with closing(Catalogue.open(bag.root)) as catalogue:
        tell(
            catalogue,
            Archived(generation(1), 5, ("https://a.example/1.mp4", "https://b.example/2.mp4")),
            Pending(generation(2)),
            Lost(generation(3), "ModelsLab says: Request not found"),
            Failed(generation(4), "no link gave the video", CUT),
        )
    assert rows(bag.root) == {
        "v6/deepfake/1": ("held", None, 0, "https://a.example/1.mp4\nhttps://b.example/2.mp4"),
        "v6/deepfake/2": ("pending", None, 0, None),
        "v6/deepfake/3": ("lost", "ModelsLab says: Request not found", 0, None),
        "v6/deepfake/4": (
            "failed",
            "no link gave the video; primary https://a.example/x.mp4: cut after 5 of 9 bytes",
            0,
            None,
        ),
    }


def test_a_state_is_dated_by_its_first_night(bag: Bag, evening: Evening) -> None:
    """`since` is when it came into the state, `asked` when it was last found there."""
    seen = []
    for outcome in (
        Failed(generation(1), "x"), Failed(generation(1), "y"), Archived(generation(1), 1, ("a",)),
    ):  # fmt: skip
        with closing(Catalogue.open(bag.root)) as catalogue:
            tell(catalogue, outcome)
        with closing(sqlite3.connect(bag.root / CATALOGUE)) as db:
            seen += db.execute("SELECT since, asked, reason FROM generation").fetchall()
        evening.time += timedelta(days=1)
    first, second, third = (f"2026-11-{day}T02:00:00+00:00" for day in (23, 24, 25))
    assert seen == [(first, first, "x"), (first, second, "y"), (third, third, None)]


def test_files_and_outcomes_are_committed_together(bag: Bag, catalogue: Catalogue) -> None:
    """If one of them cannot be written, nothing is."""
    place_generations(bag, 1)
    file = StagedFile("s", "data/v6/deepfake/1.mp4", "00", 5)
    bad = Archived(generation(2), 5, ("a", None))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        catalogue.record([Archived(generation(1), 5, ("a",)), bad], [file], bag.manifest.mark())
    assert held(catalogue, 1, 2) == []
    assert catalogue.totals() == (0, 0)
    assert catalogue.absorb(bag) == 2


def test_a_file_placed_anew_is_counted_once(catalogue: Catalogue) -> None:
    """The totals are the bag's Payload-Oxum."""
    for size in (5, 7):
        file = StagedFile("s", "data/v6/deepfake/1.mp4", "00", size)
        catalogue.record([Archived(generation(1), size, ("a",))], [file], START)
    assert catalogue.totals() == (1, 7)


# --- When dead links are lost


def night(catalogue: Catalogue, outcome: Outcome) -> Outcome:
    """One night's end for a generation: decide, and recorded as decide."""
    decide = catalogue.judge(outcome)
    tell(catalogue, decide)
    return decide


DEAD = Failed(generation(1), "no link gave the video, nor did fresh ones", GONE)


def test_links_dead_for_three_nights_are_lost(catalogue: Catalogue, evening: Evening) -> None:
    """On the third night, and not before; it says for how long, and keeps what the links said."""
    for _ in range(2):
        assert night(catalogue, DEAD) == DEAD
        evening.time += timedelta(days=1)
    decide = night(catalogue, DEAD)
    assert decide == Lost(generation(1), f"{DEAD.reason}, for 3 nights by now", GONE)
    assert catalogue.enlist(listed(1), retry_lost=False) == Enlisted(0, 1, 0)


@pytest.mark.parametrize(("hours", "lost"), [(0, False), (1, False), (19.9, False), (20, True)])
def test_runs_in_one_night_are_not_nights(
    catalogue: Catalogue, evening: Evening, hours: float, lost: bool
) -> None:
    """The first and the last time lie forty hours apart, however often it is tried between."""
    for _ in range(2):
        night(catalogue, DEAD)
        evening.time += timedelta(hours=hours)
    assert isinstance(catalogue.judge(DEAD), Lost) is lost


@pytest.mark.parametrize(
    "respite",
    [
        Failed(generation(1), "no link gave the video", CUT),
        Failed(generation(1), "no usable response: 502 Bad Gateway"),
        Pending(generation(1)),
    ],
)
def test_a_better_night_begins_the_count_again(
    catalogue: Catalogue, evening: Evening, respite: Outcome
) -> None:
    """Only nights in a row count: a link that was merely slow was not dead."""
    for outcome in (DEAD, DEAD, respite, DEAD, DEAD):
        assert night(catalogue, outcome) == outcome
        evening.time += timedelta(hours=21)
    assert isinstance(night(catalogue, DEAD), Lost)


def test_a_better_night_begins_the_time_again(catalogue: Catalogue, evening: Evening) -> None:
    """Forty hours are counted from the first of the nights in a row, not from an older one."""
    for outcome in (DEAD, Pending(generation(1))):
        night(catalogue, outcome)
        evening.time += timedelta(days=2)
    for _ in range(3):
        assert night(catalogue, DEAD) == DEAD
        evening.time += timedelta(hours=1)


def test_two_nights_are_too_few(catalogue: Catalogue, evening: Evening) -> None:
    """However far apart they are."""
    assert night(catalogue, DEAD) == DEAD
    evening.time += timedelta(days=30)
    assert night(catalogue, DEAD) == DEAD


@pytest.mark.parametrize(
    "outcome",
    [
        Failed(generation(1), "no usable response"),
        Failed(generation(1), "no link gave the video", GONE + CUT),
        Archived(generation(1), 1, ("a",)),
        Lost(generation(1), "not found"),
    ],
)
def test_nothing_else_is_judged(catalogue: Catalogue, evening: Evening, outcome: Outcome) -> None:
    """What is not a failure of dead links alone is what it is, after any number of backups."""
    for _ in range(5):
        tell(catalogue, DEAD)
        evening.time += timedelta(days=1)
    assert catalogue.judge(outcome) == outcome


# --- The file


@pytest.mark.parametrize(
    "garbage", [b"garbage" * 1000, b"<html>", b"SQLite format 3\0" + b"x" * 99]
)
def test_a_damaged_catalogue_is_kept_aside_and_begun_anew(bag: Bag, garbage: bytes) -> None:
    """It is an index: the bag still holds what it holds, and nobody is kept from working."""
    place_generations(bag, 1)
    for suffix in ("", "-wal", "-shm"):
        (bag.root / f"{CATALOGUE}{suffix}").write_bytes(garbage)
    with closing(Catalogue.open(bag.root)) as catalogue:
        assert catalogue.absorb(bag) == 2
        assert held(catalogue, 1) == [1]
    kept = [path for path in (bag.root / ".archiver").iterdir() if ".damaged-" in path.name]
    assert garbage in [path.read_bytes() for path in kept]
    assert all(path.name.startswith("catalogue.sqlite") for path in kept)
    with closing(Catalogue.open(bag.root)) as catalogue:
        assert held(catalogue, 1) == [1]


@pytest.mark.parametrize("open_", [Catalogue.open, Catalogue.look])
def test_a_newer_catalogue_is_refused(bag: Bag, open_: Callable[[Path], Catalogue]) -> None:
    """An old archiver does not write, nor read, what it does not know."""
    Catalogue.open(bag.root).close()
    with closing(sqlite3.connect(bag.root / CATALOGUE)) as db:
        db.execute("PRAGMA user_version = 99")
    before = (bag.root / CATALOGUE).read_bytes()
    with pytest.raises(ConfigurationError, match="newer archiver"):
        open_(bag.root).close()
    assert (bag.root / CATALOGUE).read_bytes()[100:] == before[100:]


@pytest.mark.parametrize("open_", [Catalogue.look, Catalogue.open])
def test_an_older_catalogue_is_brought_up_to_date(
    bag: Bag, open_: Callable[[Path], Catalogue]
) -> None:
    """What it remembers stays, and what it did not keep count of is counted."""
    then = (datetime.now(UTC) - timedelta(days=20)).isoformat(timespec="seconds")
    states = {1: "held", 2: "held", 3: "lost", 4: "pending", 5: "failed"}
    with closing(sqlite3.connect(bag.root / CATALOGUE)) as older, older:
        older.executescript(f"BEGIN; {schema._SCHEMA[0]} PRAGMA user_version = 1; COMMIT;")
        for id_, state in states.items():
            older.execute(
                "INSERT INTO generation (name, state, since, asked, first_asked, told)"
                " VALUES (?, ?, ?, ?, ?, 1)",
                (generation(id_).name, state, then, then, then),
            )
        older.execute("INSERT INTO file VALUES ('data/v6/deepfake/1.mp4', 'x', 7, NULL)")
        older.execute("INSERT INTO file VALUES ('data/v6/deepfake/2.mp4', 'x', 8, NULL)")
    with closing(open_(bag.root)) as catalogue:
        assert catalogue.enlist(listed(1, 2, 3, 4, 5, 6), retry_lost=False) == Enlisted(2, 1, 3)
        assert catalogue.totals() == (2, 15)
        assert isinstance(catalogue.judge(Pending(generation(4))), Lost)
        assert isinstance(catalogue.judge(Pending(generation(5))), Pending)


@pytest.mark.parametrize("open_", [Catalogue.open, Catalogue.look])
def test_a_catalogue_cut_short_at_birth_is_begun(
    bag: Bag, open_: Callable[[Path], Catalogue]
) -> None:
    """A crash before the first commit leaves an empty file: that is a new one."""
    (bag.root / CATALOGUE).touch()
    place_generations(bag, 1)
    with closing(open_(bag.root)) as catalogue:
        assert catalogue.enlist(listed(2), retry_lost=False) == Enlisted(0, 0, 1)


def test_at_rest_it_is_one_file(bag: Bag) -> None:
    """Whoever copies an archive copies one file, and not two halves."""
    with closing(Catalogue.open(bag.root)) as catalogue:
        tell(catalogue, Pending(generation(1)))
    assert [path.name for path in (bag.root / ".archiver").glob("catalogue*")] == [CATALOGUE.name]


def test_a_disk_that_does_not_let_it_is_disk_trouble(tmp_path: Path) -> None:
    """No directory, no catalogue: that is told, and nothing is made up."""
    with pytest.raises(StorageError, match="unable to open"):
        Catalogue.open(tmp_path / "missing")


KILLED = """
import os, sys
from pathlib import Path
from archiver.archive.checksum_manifest import Mark
from archiver.catalogue.store import Catalogue
from archiver.generation import Generation
from archiver.outcomes import Lost

catalogue = Catalogue.open(Path(sys.argv[1]))
catalogue.record([Lost(Generation("v6/deepfake", "1"), "x")], [], Mark(0, b""))
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("open_", [Catalogue.look, Catalogue.open])
def test_what_was_committed_outlives_a_kill(bag: Bag, open_: Callable[[Path], Catalogue]) -> None:
    """SIGKILL right after the commit takes nothing back, for who looks as for who works."""
    killed = subprocess.run([sys.executable, "-c", KILLED, bag.root], timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    with closing(open_(bag.root)) as catalogue:
        enlisted = catalogue.enlist(listed(1), retry_lost=False)
        assert enlisted == Enlisted(untold=[Lost(generation(1), "x")])


HALF_WRITTEN = """
import os, sqlite3, sys

db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA cache_size = 1")
db.execute("BEGIN")
db.execute(sys.argv[2])
os.kill(os.getpid(), 9)
"""
"""With room for one page in memory, pages are on the disk before the commit."""


@pytest.fixture(params=["writable", "read-only"])
def killed_in_between(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """An archive whose catalogue a killed run has left half written, on a disk of this kind."""
    with mounted(tmp_path / "disk", "size=10m") as disk:
        root = disk / "archive"
        with Bag.open(root) as bag, closing(Catalogue.open(root)) as catalogue:
            place_generations(bag, 1)
            catalogue.absorb(bag)
            tell(catalogue, *(Failed(one, "x" * 500) for one in generations(*range(2, 200))))
        kill_in_between(root / CATALOGUE, "UPDATE generation SET reason = NULL, name = number")
        if request.param == "read-only":
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        yield root


def kill_in_between(path: Path, change: str) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", HALF_WRITTEN, path, change], timeout=60, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert path.with_name(f"{path.name}-journal").stat().st_size


def test_what_was_half_written_is_undone_for_who_looks(killed_in_between: Path) -> None:
    """Nobody sees a change that was never committed, and nobody is told that the disk failed."""
    with closing(Catalogue.look(killed_in_between)) as catalogue:
        assert held(catalogue, 1, 2) == [1]
        assert catalogue.queries().of(generation(199)).reason == "x" * 500


def test_a_birth_that_was_half_written_is_none(bag: Bag) -> None:
    """Killed while the first catalogue is made, there is none: the checksum manifest serves."""
    place_generations(bag, 1)
    path = bag.root / CATALOGUE
    blobs = ", ".join(["(zeroblob(5000))"] * 10)
    kill_in_between(path, f"CREATE TABLE t AS SELECT * FROM (VALUES {blobs})")
    with closing(Catalogue.look(bag.root)) as catalogue:
        assert held(catalogue, 1, 2) == [1]


# --- Looking


def traces(root: Path) -> dict[str, tuple[int, int, int]]:
    """Everything that a change would show in."""
    stats = {path: path.stat() for path in [root, *root.rglob("*")]}
    return {str(p): (s.st_mtime_ns, s.st_size, s.st_ino) for p, s in stats.items()}


@pytest.mark.parametrize("known", [False, True])
def test_looking_touches_nothing(bag: Bag, known: bool) -> None:
    """A dry run sees what a run would, with or without a catalogue, and leaves no trace."""
    place_generations(bag, 1, 2)
    if known:
        with closing(Catalogue.open(bag.root)) as catalogue:
            catalogue.absorb(bag)
    before = traces(bag.root)
    with closing(Catalogue.look(bag.root)) as catalogue:
        assert catalogue.enlist(listed(1, 2, 3), retry_lost=False) == Enlisted(2, 0, 1)
        assert catalogue.take(10) == [(generation(3), True)]
        assert held(catalogue, 1, 2, 3) == [1, 2]
    assert traces(bag.root) == before


def test_looking_at_nothing_makes_nothing(tmp_path: Path) -> None:
    """Where there is no archive yet, everything is to be asked, and there is none still."""
    with closing(Catalogue.look(tmp_path / "archive")) as catalogue:
        assert catalogue.enlist(listed(1), retry_lost=False) == Enlisted(0, 0, 1)
    assert list(tmp_path.iterdir()) == []


def test_looking_does_not_disturb_who_works(bag: Bag, catalogue: Catalogue) -> None:
    """Beside a run it sees what is committed, and both go on."""
    tell(catalogue, Lost(generation(1), "x"))
    with closing(Catalogue.look(bag.root)) as looking:
        assert looking.enlist(listed(1, 2), retry_lost=False) == Enlisted(0, 1, 1)
        tell(catalogue, Lost(generation(2), "x"))
    with closing(Catalogue.look(bag.root)) as looking:
        assert looking.enlist(listed(1, 2), retry_lost=False) == Enlisted(0, 2, 0)


def test_looking_writes_nothing(bag: Bag) -> None:
    """Even if it is told to."""
    Catalogue.open(bag.root).close()
    before = (bag.root / CATALOGUE).read_bytes()
    with closing(Catalogue.look(bag.root)) as catalogue, suppress(StorageError):
        tell(catalogue, Lost(generation(1), "x"))
    assert (bag.root / CATALOGUE).read_bytes() == before
    assert (bag.root / MANIFEST).read_bytes() == b""


@pytest.mark.parametrize(("days", "kind"), [(2, Pending), (3, Failed), (13, Failed), (14, Lost)])
def test_what_is_being_made_for_days_is_told(
    catalogue: Catalogue, evening: Evening, days: int, kind: type[Outcome]
) -> None:
    """Nothing is made for three days: it is told, and after two weeks given up."""
    night(catalogue, Pending(generation(1)))
    evening.time += timedelta(days=days)
    assert type(catalogue.judge(Pending(generation(1)))) is kind


def test_only_the_time_in_the_making_counts(catalogue: Catalogue, evening: Evening) -> None:
    """ServerError of another kind before is no sign that it is stuck; being stuck goes on counting."""
    troubled, pending = Failed(generation(1), "no usable response"), Pending(generation(1))
    night(catalogue, troubled)
    evening.time += timedelta(days=20)
    assert night(catalogue, pending) == pending
    evening.time += timedelta(days=4)
    assert isinstance(night(catalogue, pending), Failed)
    evening.time += timedelta(days=11)
    assert isinstance(catalogue.judge(pending), Lost)


def test_a_loss_on_another_list_is_still_to_be_told(bag: Bag, catalogue: Catalogue) -> None:
    """What a killed run has found is told by the next that lists it, and not before."""
    lost = Lost(generation(1), "x")
    catalogue.record([lost], (), START)
    catalogue.enlist(listed(2), retry_lost=False)
    catalogue.have_told()
    with closing(Catalogue.open(bag.root)) as other:
        assert other.enlist(listed(1), retry_lost=False) == Enlisted(untold=[lost])
        other.have_told()
    with closing(Catalogue.look(bag.root)) as third:
        assert third.enlist(listed(1), retry_lost=False) == Enlisted(known_lost=1)


def test_a_list_that_comes_slowly_holds_nobody_up(bag: Bag, catalogue: Catalogue) -> None:
    """While a dry run waits for the rest of its list, a backup may begin, and write."""
    catalogue.close()

    def slowly() -> Iterator[Ids]:
        yield Ids("v6/deepfake", [str(n) for n in range(catalogue_module._BATCH)])
        with closing(Catalogue.open(bag.root)) as backup:
            backup._db.execute("PRAGMA busy_timeout = 0")
            tell(backup, Pending(generation(1)))
        yield Ids("v6/deepfake", ["x"])

    with closing(Catalogue.look(bag.root)) as looking:
        assert looking.enlist(slowly(), retry_lost=False).to_ask == catalogue_module._BATCH + 1


def test_an_audit_holds_nobody_up(bag: Bag) -> None:
    """While it lists and reads, a backup may begin, and write: it compares with a copy."""
    Catalogue.open(bag.root).close()
    with closing(Catalogue.look(bag.root)) as looking:
        looking.audit().find([])
        with closing(Catalogue.open(bag.root)) as backup:
            tell(backup, Pending(generation(1)))
            backup.prove(["data/v6/deepfake/1.mp4"])


def test_links_that_are_forbidden_are_given_up_late(catalogue: Catalogue, evening: Evening) -> None:
    """A host that has blocked us for some nights has lost nothing."""
    fault = LinkFault("primary", "https://a.example/a.mp4", "403 Forbidden", forbidden=True)
    forbidden = Failed(generation(1), "no link gave the video", (fault,))
    for _ in range(13):
        assert night(catalogue, forbidden) == forbidden
        evening.time += timedelta(days=1)
    assert isinstance(night(catalogue, forbidden), Lost)


def test_a_loss_that_nobody_was_told_is_told_the_next_time(catalogue: Catalogue) -> None:
    """A run that was killed before its report has told nobody what it had found."""
    lost = Lost(generation(1), "not found")
    catalogue.record([lost], (), START)
    assert catalogue.enlist(listed(1, 1), retry_lost=False) == Enlisted(untold=[lost])
    catalogue.have_told()
    assert catalogue.enlist(listed(1), retry_lost=False) == Enlisted(known_lost=1)
