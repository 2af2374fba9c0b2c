"""Where an archive stands can be asked at any time: what it holds, what it waits for, its runs."""

import csv
import io
import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from archiver.catalogue import queries
from archiver.catalogue.database import CATALOGUE
from archiver.catalogue.queries import Known
from archiver.catalogue.store import Catalogue
from archiver.cli.export_rows import COLUMNS, Format, export
from archiver.cli.progress import ProgressLog
from archiver.cli.status_report import Status, status
from archiver.emulator.scripts import LinkScript, OutputScript, Script
from archiver.errors import ConfigurationError, NotAnArchive, StorageError
from archiver.fixity.repair import Fetching, repair
from archiver.fixity.verify import Selection, verify
from archiver.pipeline.report import Report
from archiver.pipeline.backup import backup
from archiver.run import Run
from tests.support.backups import Backups, generation, quick_downloads

TWO = Script(outputs=(OutputScript(size=30_000), OutputScript(size=40_000)))
DEAD = Script(outputs=(OutputScript(primary=LinkScript(fault="dead")),))


@pytest.fixture
async def stocked(backups: Backups) -> Backups:
    """An archive after a night with one of each outcome."""
    scripts = {
        "1": Script(), "2": TWO, "2-x": Script(), "realtime/3": Script(),
        "p": Script(response="processing"), "l": Script(response="failed"), "f": DEAD,
    }  # fmt: skip
    backups.emulator.scripts |= {generation(name): script for name, script in scripts.items()}
    await backups.run(*scripts)
    return backups


def known(archive: Path, name: str) -> Known:
    with closing(Catalogue.look(archive)) as catalogue:
        return catalogue.queries().of(generation(name))


def runs(archive: Path) -> list[Run]:
    with closing(Catalogue.look(archive)) as catalogue:
        return catalogue.history().last(10)


# --- Status


async def test_what_is_held_is_counted(stocked: Backups) -> None:
    """Generations, files and bytes are those on the disk."""
    found, held = status(stocked.archive), stocked.held()
    assert (found.holdings.generations, found.holdings.files) == (4, len(held)) == (4, 9)
    assert found.holdings.bytes == sum(map(len, held.values()))
    assert found.held.count == 4


async def test_what_is_not_held_is_named_with_the_reason(stocked: Backups) -> None:
    """Pending, failing and lost, each with since when and why."""
    found = status(stocked.archive)
    names = {s: [k.generation.name for k in u.latest] for s, u in found.unfinished.items()}
    assert names == {
        "pending": ["v6/deepfake/p"], "failed": ["v6/deepfake/f"], "lost": ["v6/deepfake/l"],
    }  # fmt: skip
    text = "\n".join(found.lines())
    assert "v6/deepfake/f  failed since 20" in text
    assert "primary http://127.0.0.1" in text
    assert "v6/deepfake/l  lost since 20" in text


async def test_a_run_is_remembered_by_what_was_told_of_it(backups: Backups) -> None:
    """The line of counts, with how long it took."""
    slow = Script(outputs=(OutputScript(primary=LinkScript(seconds=0.7)),))
    backups.emulator.scripts[generation("1")] = slow
    report = await backups.run("1")
    assert runs(backups.archive)[0].summary == next(report.lines())


async def test_the_last_runs_and_the_last_audit_are_told(stocked: Backups) -> None:
    """Each with when it was, how it ended and what it said in one line."""
    verify(stocked.archive, Selection(), ProgressLog())
    found = status(stocked.archive)
    assert [(run.command, run.exit_status) for run in found.runs] == [("verify", 0), ("backup", 3)]
    assert found.fixity == found.runs[0]
    lines = list(found.lines())
    assert any("verify, exit status 0: 9 of 9 files checked" in line for line in lines)
    assert any("backup, exit status 3: 4 archived" in line for line in lines)


async def test_status_is_json_for_programs(stocked: Backups) -> None:
    """The same facts, under names that do not change."""
    told = json.loads(json.dumps(status(stocked.archive).as_json()))
    assert told["held"]["generations"] == 4
    assert {name: told[name]["count"] for name in ("pending", "failed", "lost")} == {
        "pending": 1, "failed": 1, "lost": 1,
    }  # fmt: skip
    assert told["last_runs"][0]["counts"]["archived"] == 4
    assert told["free_bytes"] > 0
    assert told["running"] is None


async def test_status_answers_while_a_run_works(backups: Backups) -> None:
    """It needs no lock, names the run that has no end yet, and changes nothing for it."""
    backups.emulator.scripts[generation("1")] = Script()
    found: list[Status] = []

    class Curious(ProgressLog):
        def enlisted(self, _: object) -> None:
            found.append(status(backups.archive))

    manifest = backups.archive.with_name("ids.txt")
    manifest.write_text("1\n")
    report = await backup(
        backups.archive, [str(manifest)], "deepfake", backups.settings(), Curious()
    )
    assert report.archived == 1
    (during,) = found
    assert during.running is not None
    assert during.running.startswith("process ")
    assert (during.runs[0].ended, during.holdings.generations) == (None, 0)
    assert status(backups.archive).running is None


def test_an_empty_archive_has_a_status(tmp_path: Path) -> None:
    """Nothing held, nothing waited for, no run: each is said."""
    (tmp_path / "manifest-sha256.txt").touch()
    text = "\n".join(status(tmp_path).lines())
    assert "nothing yet" in text
    assert text.count("none yet") == 2


def test_no_archive_has_no_status(tmp_path: Path) -> None:
    """A directory that is none is refused."""
    with pytest.raises(NotAnArchive):
        status(tmp_path)


async def test_status_survives_the_loss_of_the_catalogue(stocked: Backups) -> None:
    """What is held is known from the checksum manifest; the rest was history."""
    (stocked.archive / CATALOGUE).unlink()
    found = status(stocked.archive)
    assert (found.holdings.generations, found.holdings.files) == (4, 9)
    assert found.runs == []


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
async def test_what_became_of_one(
    stocked: Backups, name: str, state: str | None, files: list[str]
) -> None:
    """Its state and where its files are, and no other generation's files."""
    found = known(stocked.archive, name)
    assert found.state == state
    paths = [file.path for file in found.files]
    assert sorted(paths) == sorted(f"data/v6/deepfake/{file}" for file in files)
    for file in found.files:
        held = (stocked.archive / file.path).read_bytes()
        assert (len(held), file.proven is None) == (file.bytes, False)


# --- Export


def exported(archive: Path, form: Format) -> str:
    out = io.StringIO()
    export(archive, form, out)
    return out.getvalue()


async def test_the_whole_catalogue_is_exported(stocked: Backups) -> None:
    """A row for each file, and one for each generation that has none; both formats say the same."""
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


# --- History


async def test_each_run_leaves_a_row(backups: Backups) -> None:
    """With its beginning, its end, its counts, its exit status and the version."""
    backups.emulator.scripts[generation("1")] = Script()
    await backups.run("1")
    await backups.run("1", "x!")
    second, first = runs(backups.archive)
    assert (first.exit_status, first.counts["archived"]) == (0, 1)
    assert (second.exit_status, second.counts["already_held"]) == (3, 1)
    assert second.counts["bad_lines"] == 1
    assert first.bytes == backups.emulator.payload(generation("1")).size
    assert first.ended
    assert first.began <= first.ended <= second.began
    assert first.version


async def test_a_run_that_ends_early_says_why(backups: Backups) -> None:
    """Its row has the exit status and the reason."""
    backups.emulator.scripts[generation("1")] = Script(response="refused")
    await backups.run("1")
    (run,) = runs(backups.archive)
    assert run.exit_status == 77
    assert run.summary.startswith("ended early: ModelsLab refuses the API key")


@pytest.mark.parametrize(
    ("error", "status_", "summary"),
    [
        (StorageError("the disk is full"), 74, "ended early: the disk is full; nothing"),
        (ConfigurationError("a line is bad"), 2, "ended early: a line is bad; nothing"),
        (ZeroDivisionError("oh"), 1, "a bug: ZeroDivisionError"),
    ],
)
def test_a_run_that_breaks_off_is_closed(
    tmp_path: Path, error: Exception, status_: int, summary: str
) -> None:
    """Whatever is raised is recorded and passed on."""
    (tmp_path / ".archiver").mkdir()
    with closing(Catalogue.open(tmp_path)) as catalogue:
        history = catalogue.history()
        with pytest.raises(type(error)), history.recorded("backup", Report()):
            raise error
        (run,) = history.last(5)
    assert run.exit_status == status_
    assert run.summary.startswith(summary)


def test_a_run_that_was_killed_has_no_end(tmp_path: Path) -> None:
    """Its row stays open, and status says so."""
    (tmp_path / ".archiver").mkdir()
    (tmp_path / "manifest-sha256.txt").touch()
    with closing(Catalogue.open(tmp_path)) as catalogue:
        catalogue.history().add(Run("backup", datetime.now(UTC)))
    found = status(tmp_path)
    assert found.runs[0].ended is None
    assert any("no end: it was killed, or the machine stopped" in line for line in found.lines())


def test_the_last_runs_of_a_command(tmp_path: Path) -> None:
    """Come last first, and no more than asked for."""
    (tmp_path / ".archiver").mkdir()
    began = datetime(2026, 11, 24, 2, tzinfo=UTC)
    with closing(Catalogue.open(tmp_path)) as catalogue:
        history = catalogue.history()
        for night in range(3):
            for command in ("backup", "verify"):
                history.add(Run(command, began + timedelta(days=night), exit_status=night))
        assert [run.exit_status for run in history.last(2, "verify")] == [2, 1]
        assert [run.command for run in history.last(3)] == ["verify", "backup", "verify"]


async def test_a_repair_is_a_run_too(stocked: Backups) -> None:
    """It is recorded as what it is."""
    settings = stocked.settings(download=quick_downloads())
    await repair(stocked.archive, Selection(), Fetching(settings, False, ProgressLog()))
    assert [run.command for run in runs(stocked.archive)] == ["repair", "backup"]


def test_a_path_that_is_no_text_can_be_told_of(tmp_path: Path) -> None:
    """What a file system allows and UTF-8 does not is shown, and remembered, in another way."""
    (tmp_path / ".archiver").mkdir()
    trouble = StorageError("the disk failed while using /arch\udcff")
    with closing(Catalogue.open(tmp_path)) as catalogue:
        history = catalogue.history()
        with pytest.raises(StorageError), history.recorded("backup", Report()):
            raise trouble
        (run,) = history.last(1)
    assert run.exit_status == 74
