"""`archiver status` and `archiver export` show at any time where an archive stands."""

import csv
import io
import json
from contextlib import closing
from dataclasses import asdict, astuple
from datetime import UTC, datetime
from pathlib import Path

import pytest

from archiver.archive.bag import Bag
from archiver.archive.layout import Layout
from archiver.catalogue import queries
from archiver.catalogue.queries import Known
from archiver.cli.export_rows import COLUMNS, Format, write_rows
from archiver.cli.status_report import Status, details, known_json, look
from archiver.emulator.scripts import LinkScript, OutputScript, Script
from archiver.errors import NotAnArchive
from archiver.fixity.verify import verify
from archiver.metadata import Metadata
from archiver.outcomes import Worklist
from archiver.pipeline.backup import backup
from archiver.pipeline.indexing import open_to_read
from archiver.progress import Silent
from archiver.run import Run
from tests.support.archives import open_catalogue
from tests.support.backups import Backups, generation, grow_hopeless

TWO = Script(outputs=(OutputScript(size=30_000), OutputScript(size=40_000)))
DEAD = Script(outputs=(OutputScript(primary=LinkScript(fault="dead")),))


@pytest.fixture
async def stocked(backups: Backups) -> Backups:
    """An archive after a run with one of each outcome."""
    scripts = {
        "1": Script(), "2": TWO, "2-x": Script(), "realtime/3": Script(),
        "p": Script(response="processing"), "l": Script(response="failed"), "f": DEAD,
    }  # fmt: skip
    backups.emulator.scripts |= {generation(name): script for name, script in scripts.items()}
    await backups.run("l")
    grow_hopeless(backups.archive)
    await backups.run(*scripts)
    return backups


def known(archive: Path, name: str) -> Known:
    with closing(open_to_read(Bag(archive))) as catalogue:
        return catalogue.queries.of(generation(name))


# --- Status


async def test_what_is_held_is_counted(stocked: Backups) -> None:
    """Generations, files and bytes are as many as on the disk."""
    found, held = look(stocked.archive), stocked.held()
    assert (found.holdings.generations, found.holdings.files) == (4, len(held)) == (4, 9)
    assert found.holdings.bytes == sum(map(len, held.values()))
    assert found.held.count == 4


async def test_what_is_not_held_is_named_with_the_reason(stocked: Backups) -> None:
    """Pending, failed and lost, each with the time and the reason."""
    found = look(stocked.archive)
    names = {s: [k.generation.name for k in u.latest] for s, u in found.unfinished.items()}
    assert names == {
        "pending": ["v6/deepfake/p"], "failed": ["v6/deepfake/f"], "lost": ["v6/deepfake/l"],
    }  # fmt: skip
    text = "\n".join(found.lines())
    assert "v6/deepfake/f  failed since 20" in text
    assert "primary http://127.0.0.1" in text
    assert "v6/deepfake/l  lost since 20" in text


async def test_a_run_is_shown_by_the_first_line_of_its_report(backups: Backups) -> None:
    """The counts, and how long it took."""
    slow = Script(outputs=(OutputScript(primary=LinkScript(seconds=0.7)),))
    backups.emulator.scripts[generation("1")] = slow
    report = await backups.run("1")
    assert look(backups.archive).runs[0].summary == next(report.lines())


async def test_the_last_runs_and_the_last_fixity_check_are_shown(stocked: Backups) -> None:
    """Each with its time, its exit status and its summary in one line."""
    verify(stocked.archive)
    found = look(stocked.archive)
    runs = [(run.command, run.exit_status) for run in found.runs]
    assert runs == [("verify", 0), ("backup", 3), ("backup", 3)]
    assert found.fixity == found.runs[0]
    lines = list(found.lines())
    assert any("verify, exit status 0: 9 of 9 files checked" in line for line in lines)
    assert any("backup, exit status 3: 4 archived" in line for line in lines)


async def test_status_is_json_for_programs(stocked: Backups) -> None:
    """The same facts, with names that do not change."""
    facts = json.loads(json.dumps(look(stocked.archive).as_json()))
    assert facts["held"]["generations"] == 4
    assert {name: facts[name]["count"] for name in ("pending", "failed", "lost")} == {
        "pending": 1, "failed": 1, "lost": 1,
    }  # fmt: skip
    assert facts["last_runs"][0]["counts"]["archived"] == 4
    assert 0 < facts["disk_free_bytes"] <= facts["disk_bytes"]
    assert facts["running"] is None


async def test_status_works_during_a_run(backups: Backups) -> None:
    """It needs no lock, shows the run that has no end yet, and does not disturb it."""
    backups.emulator.scripts[generation("1")] = Script()
    found: list[Status] = []

    class Curious(Silent):
        def planned(self, worklist: Worklist) -> None:
            found.append(look(backups.archive))

    manifest = backups.archive.with_name("ids.txt")
    manifest.write_text("1\n")
    report = await backup(backups.archive, [manifest], backups.settings(), Curious())
    assert report.archived == 1
    (during,) = found
    assert during.running is not None
    assert during.running.startswith("process ")
    assert (during.runs[0].ended, during.holdings.generations) == (None, 0)
    assert look(backups.archive).running is None


async def test_a_run_in_progress_is_shown_after_others(backups: Backups) -> None:
    """It is in progress also if later runs found the archive locked, however many."""
    found: list[Status] = []
    now = datetime.now(UTC)

    class Curious(Silent):
        def planned(self, worklist: Worklist) -> None:
            with closing(open_catalogue(backups.archive)) as catalogue:
                for _ in range(6):
                    catalogue.history.add(Run("backup", now, now, 75, summary="locked"))
                    found.append(look(backups.archive))

    manifest = backups.archive.with_name("ids.txt")
    manifest.write_text("1\n")
    await backup(backups.archive, [manifest], backups.settings(), Curious())
    assert [status.running is None for status in found] == [False] * 6
    shown = "\n".join(found[0].lines())
    assert "backup, in progress" in shown
    assert "killed" not in shown


def test_an_empty_archive_has_a_status(tmp_path: Path) -> None:
    """Nothing held, nothing pending, no run."""
    (tmp_path / "manifest-sha256.txt").touch()
    text = "\n".join(look(tmp_path).lines())
    assert "nothing yet" in text
    assert text.count("none yet") == 2


def test_no_archive_has_no_status(tmp_path: Path) -> None:
    """A directory that is no archive is an error."""
    with pytest.raises(NotAnArchive):
        look(tmp_path)


async def test_status_works_without_a_catalogue(stocked: Backups) -> None:
    """What is held is in the checksum manifest; the rest was history."""
    Layout(stocked.archive).catalogue.unlink()
    found = look(stocked.archive)
    assert (found.holdings.generations, found.holdings.files) == (4, 9)
    assert found.runs == []


def test_a_run_that_was_killed_has_no_end(tmp_path: Path) -> None:
    """Its row in the history stays open, and status shows that."""
    (tmp_path / ".archiver").mkdir()
    (tmp_path / "manifest-sha256.txt").touch()
    with closing(open_catalogue(tmp_path)) as catalogue:
        catalogue.history.add(Run("backup", datetime.now(UTC)))
    found = look(tmp_path)
    assert found.runs[0].ended is None
    assert any("no end: it was killed, or the machine stopped" in line for line in found.lines())


# --- One generation


@pytest.mark.parametrize(
    ("name", "state", "files"),
    [
        ("1", "held", ["1.mp4", "1.json"]),
        ("2", "held", ["2-1.mp4", "2-2.mp4", "2.json"]),
        ("2-x", "held", ["2-x.mp4", "2-x.json"]),
        ("p", "pending", []),
        ("f", "failed", []),
        ("l", "lost", []),
        ("never", None, []),
    ],
)
async def test_the_state_of_a_generation(
    stocked: Backups, name: str, state: str | None, files: list[str]
) -> None:
    """Its state and its files, and no other generation's files."""
    found = known(stocked.archive, name)
    assert found.state == state
    paths = [file.path for file in found.files]
    assert sorted(paths) == sorted(f"data/v6/deepfake/{file}" for file in files)
    for file in found.files:
        held = (stocked.archive / file.path).read_bytes()
        assert (len(held), file.verified is None) == (file.bytes, False)


# --- Export


def exported(archive: Path, form: Format) -> str:
    out = io.StringIO()
    write_rows(archive, form, out)
    return out.getvalue()


async def test_the_whole_catalogue_is_exported(stocked: Backups) -> None:
    """A row for each file, and one for each generation without; both formats have the same."""
    table = list(csv.DictReader(io.StringIO(exported(stocked.archive, "csv"))))
    rows = [json.loads(line) for line in exported(stocked.archive, "jsonl").splitlines()]
    links = [row.pop("served_by") for row in table]
    assert links == ["; ".join(row["served_by"]) for row in rows]
    assert links[-1].startswith("primary http://")
    without = [{k: v for k, v in row.items() if k != "served_by"} for row in rows]
    assert [{k: "" if v is None else str(v) for k, v in row.items()} for row in without] == table
    assert tuple(rows[0]) == COLUMNS
    assert {row["path"] for row in rows} - {None} == set(stocked.held())
    states = {row["generation"]: row["state"] for row in rows}
    assert states["v6/realtime/3"] == "held"
    assert states["v6/deepfake/l"] == "lost"
    assert len(states) == 7


async def test_a_million_rows_are_not_kept_in_memory(stocked: Backups) -> None:
    """Rows come batch by batch, by name, each once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queries, "_BATCH", 2)
        rows = [json.loads(line) for line in exported(stocked.archive, "jsonl").splitlines()]
    names = list(dict.fromkeys(row["generation"] for row in rows))
    assert names == sorted(names)
    assert len(names) == 7


# --- What is said of a generation

SAID = Metadata("a cat\n\x9b" + "x" * 400, "dogs", "cogvideox", "7", 512, None, 2.5, "order 12")


@pytest.fixture
def described(stocked: Backups) -> Known:
    """A generation of which much is said."""
    one = generation("2")
    with closing(open_catalogue(stocked.archive)) as catalogue:
        catalogue.set_metadata([(one, SAID)])
    return known(stocked.archive, "2")


def test_export_has_what_is_said_in_every_row(stocked: Backups, described: Known) -> None:
    """Each file of a generation has its prompt beside it; where nothing is said, there is none."""
    rows = [json.loads(line) for line in exported(stocked.archive, "jsonl").splitlines()]
    columns = COLUMNS[COLUMNS.index("prompt") :]
    for row in rows:
        mine = row["generation"] == described.generation.name
        assert [row[column] for column in columns] == list(astuple(SAID if mine else Metadata()))
    (cell,) = {
        row["prompt"] for row in csv.DictReader(io.StringIO(exported(stocked.archive, "csv")))
    } - {""}
    assert cell == SAID.prompt


def test_status_shows_what_is_said(described: Known) -> None:
    """Each in a line of its own, fit for a terminal; JSON has all of it."""
    assert list(details(described)) == [
        "  prompt           a cat \ufffd" + "x" * 293 + "…",
        "  negative prompt  dogs",
        "  model            cogvideox",
        "  seed             7",
        "  requested        512 x ?, 2.5 s",
        "  track ID         order 12",
    ]
    assert known_json(described)["metadata"] == asdict(SAID)
    assert not list(details(Known(described.generation)))
