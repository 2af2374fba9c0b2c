"""Metrics are read by Prometheus' own parser, and linted by its own tool."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from archiver.archive.layout import Layout
from archiver.catalogue.store import Catalogue
from archiver.errors import StorageError
from archiver.monitoring.metrics import Snapshot, look, write
from archiver.run import Holdings, Run
from archiver.version import __version__

HERE = "/srv/videos"
BEGAN = datetime(2026, 11, 24, 2, 30, tzinfo=UTC)
ENDED = BEGAN + timedelta(seconds=90.5)
DAY = timedelta(days=1)
COUNTS = {"archived": 12, "already_held": 3000, "failed": 0, "bad_lines": 2}
BACKUP = Run("backup", BEGAN, ENDED, 0, COUNTS, 5_000_000_000)
FAILED = replace(BACKUP, began=BEGAN + DAY, ended=ENDED + DAY, exit_status=3, bytes=7)
VERIFY = Run("verify", BEGAN + DAY, ENDED + DAY, 4, {"listed": 9, "missing": 1}, 10**12)
HELD = Holdings(3012, 6024, 9_007_199_254_740_991)
FULL = Snapshot(HERE, {"backup": BACKUP}, {"backup": ENDED}, HELD)
SUCCESS = "archiver_last_success_timestamp_seconds"
OURS = 'archive="/srv/videos",command="backup"'


@pytest.fixture
def textfile(tmp_path: Path) -> Iterator[Path]:
    """The path to write to; afterwards there is nothing else beside it."""
    path = tmp_path / "archiver.prom"
    yield path
    assert [beside for beside in tmp_path.iterdir() if beside != path] == []


def series(path: Path) -> dict[str, float]:
    """Return the series of a file, as they are written, and their values."""
    lines = path.read_bytes().decode().split("\n")
    pairs = [line.rpartition(" ") for line in lines if line and not line.startswith("#")]
    assert len({name for name, _, _ in pairs}) == len(pairs), "a series is there twice"
    return {name: float(value) for name, _, value in pairs}


# --- What is written


def test_a_run_is_written_in_full(textfile: Path) -> None:
    """Times in seconds since 1970, sizes in bytes, a series for each outcome, zeros too."""
    write(textfile, FULL)
    assert series(textfile) == {
        f"archiver_last_run_timestamp_seconds{{{OURS}}}": ENDED.timestamp(),
        f"{SUCCESS}{{{OURS}}}": ENDED.timestamp(),
        f"archiver_last_run_duration_seconds{{{OURS}}}": 90.5,
        f"archiver_last_run_exit_status{{{OURS}}}": 0,
        f'archiver_last_run_generations{{{OURS},outcome="archived"}}': 12,
        f'archiver_last_run_generations{{{OURS},outcome="already_held"}}': 3000,
        f'archiver_last_run_generations{{{OURS},outcome="failed"}}': 0,
        f"archiver_last_run_bad_lines{{{OURS}}}": 2,
        f"archiver_last_run_bytes{{{OURS}}}": 5_000_000_000,
        'archiver_held_generations{archive="/srv/videos"}': 3012,
        'archiver_held_files{archive="/srv/videos"}': 6024,
        'archiver_held_bytes{archive="/srv/videos"}': 9_007_199_254_740_991,
        f'archiver_build_info{{archive="/srv/videos",version="{__version__}"}}': 1,
    }


def test_a_verify_counts_files(textfile: Path) -> None:
    """What a verify or a repair counts is not generations but files."""
    write(textfile, Snapshot(HERE, {"verify": VERIFY, "repair": replace(VERIFY, command="repair")}))
    found = series(textfile)
    for command in ("verify", "repair"):
        labels = f'archive="/srv/videos",command="{command}"'
        assert found[f'archiver_last_run_files{{{labels},outcome="missing"}}'] == 1
        assert found[f'archiver_last_run_files{{{labels},outcome="listed"}}'] == 9
        assert found[f"archiver_last_run_exit_status{{{labels}}}"] == 4
    assert "generations" not in textfile.read_text()


def test_each_family_is_a_gauge_with_its_help(textfile: Path) -> None:
    """Prometheus' parser for Python finds families, each with its type and a help."""
    write(textfile, FULL)
    families = list(text_string_to_metric_families(textfile.read_text()))
    assert len(families) == 11
    assert {family.type for family in families} == {"gauge"}
    assert all(family.documentation.endswith(".") for family in families)


@pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool")
@pytest.mark.parametrize("archive", [HERE, 'the "other"\n{archive}'])
def test_promtool_has_no_objection(textfile: Path, archive: str) -> None:
    """Names, units, types and helps are as Prometheus' linter wants them."""
    write(
        textfile, Snapshot(archive, {"backup": FAILED, "verify": VERIFY}, {"backup": ENDED}, HELD)
    )
    command = ["promtool", "check", "metrics"]
    with textfile.open() as file:
        lint = subprocess.run(command, stdin=file, capture_output=True, timeout=30, check=False)
    assert (lint.returncode, lint.stdout, lint.stderr) == (0, b"", b"")


def test_without_a_success_there_is_no_time_of_one(textfile: Path) -> None:
    """It is absent, not 0, until a run succeeds."""
    write(textfile, Snapshot(HERE, {"backup": FAILED}, {}, HELD))
    assert "success" not in textfile.read_text()
    write(textfile, FULL)
    assert "success" in textfile.read_text()


def test_a_run_without_an_end_has_only_what_is_known(textfile: Path) -> None:
    """No time, duration or status is made up for it, or left from the run before."""
    write(textfile, FULL)
    write(textfile, replace(FULL, runs={"backup": Run("backup", BEGAN)}))
    names = {name.partition("{")[0] for name in series(textfile)}
    assert names == {
        SUCCESS, "archiver_last_run_bytes", "archiver_build_info",
        "archiver_held_generations", "archiver_held_files", "archiver_held_bytes",
    }  # fmt: skip


def test_what_is_held_is_absent_where_it_is_not_known(textfile: Path) -> None:
    """It is not 0 where the catalogue cannot be read."""
    write(textfile, replace(FULL, holdings=None))
    assert "held_" not in textfile.read_text()


ODD = {"\\": "\\", '"': '"', "newline": "\n", "return": "\r", "label": '",command="x"} 1\n#'}


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_path_is_a_label_like_any_other(textfile: Path, odd: str) -> None:
    """Whatever is in an archive's path, it breaks no line, and the parser reads it back."""
    archive = f"/srv/{ODD[odd]}/x"
    write(textfile, replace(FULL, archive=archive))
    assert len(series(textfile)) == 13
    families = text_string_to_metric_families(textfile.read_bytes().decode())
    archives = {sample.labels["archive"] for family in families for sample in family.samples}
    assert archives == {archive}


@settings(max_examples=50)
@given(st.binary(min_size=1, max_size=20).filter(lambda name: b"\0" not in name))
def test_any_path_can_be_written(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    """A path of any bytes that a file system allows gives a file that can be read."""
    textfile = tmp_path_factory.getbasetemp() / "any.prom"
    write(textfile, replace(FULL, archive="/srv/" + os.fsdecode(raw)))
    assert len(series(textfile)) == 13
    assert len(list(text_string_to_metric_families(textfile.read_bytes().decode()))) == 11


# --- What is looked at


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive of nothing, with a catalogue."""
    archive = tmp_path / "archive"
    (archive / ".archiver").mkdir(parents=True)
    (archive / "manifest-sha256.txt").touch()
    return archive


def remember(archive: Path, *runs: Run) -> None:
    """Add runs to the archive's history."""
    with closing(Catalogue.open(Layout(archive).catalogue)) as catalogue:
        for run in runs:
            catalogue.history.add(run)


def test_a_failure_keeps_the_time_of_the_last_success(archive: Path) -> None:
    """It is in the history; all else is of the run that failed."""
    remember(archive, BACKUP)
    found = look(archive, replace(FAILED, counts={"failed": 5}))
    assert found.successes == {"backup": ENDED}
    assert found.runs == {"backup": replace(FAILED, counts={"failed": 5})}
    assert found.archive == str(archive)


def test_a_success_is_its_own_last_success(archive: Path) -> None:
    """Also where the history does not have it, or an older one."""
    assert look(archive, BACKUP).successes == {"backup": ENDED}
    later = replace(BACKUP, ended=ENDED + DAY)
    remember(archive, BACKUP)
    assert look(archive, later).successes == {"backup": ENDED + DAY}


def test_each_run_shows_the_other_commands_too(archive: Path) -> None:
    """A verify shows the last backup as the backup did, and the other way round."""
    remember(archive, BACKUP, VERIFY)
    after_verify, after_backup = look(archive, VERIFY), look(archive, BACKUP)
    assert after_verify == after_backup
    assert after_verify.runs == {"backup": BACKUP, "verify": VERIFY}
    assert after_verify.successes == {"backup": ENDED}


def test_a_run_that_has_not_ended_is_not_shown(archive: Path) -> None:
    """The backup that runs beside a verify, or was killed, has no exit status to show."""
    remember(archive, BACKUP, Run("backup", BEGAN + DAY))
    assert look(archive, VERIFY).runs["backup"].exit_status == 0


def test_what_is_held_is_counted(archive: Path) -> None:
    """As the catalogue has it."""
    remember(archive)
    assert look(archive, BACKUP).holdings == Holdings(0, 0, 0)


def test_a_catalogue_that_cannot_be_read_leaves_the_run_alone(archive: Path) -> None:
    """Nothing else is known then; the run is shown all the same."""
    Layout(archive).catalogue.write_bytes(b"no database" * 1000)
    assert look(archive, FAILED) == Snapshot(str(archive), {"backup": FAILED})


# --- On the disk


FOREIGN = {
    "empty": b"",
    "binary": bytes(range(256)),
    "another program's": b'# HELP up Up.\n# TYPE up gauge\nup{archive="/x",command="backup"} 1\n',
    "another language": b"<!DOCTYPE html>\n<html>archiver_info{</html>\n",
    "an older archiver's": b'archiver_info{archive="/srv/videos",version="0.0.1"} 1\n',
    "no value": f"{SUCCESS}{{{OURS}}}\n{SUCCESS}{{{OURS}\n{SUCCESS}{{\n{SUCCESS}".encode(),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_whatever_is_there_is_replaced(textfile: Path, kind: str) -> None:
    """A file of something else, or a damaged one, is no hindrance, and leaves nothing behind."""
    write(textfile, FULL)
    fresh = series(textfile)
    textfile.write_bytes(FOREIGN[kind])
    write(textfile, FULL)
    assert series(textfile) == fresh


def test_a_file_that_cannot_be_opened_is_replaced(textfile: Path) -> None:
    """A symbolic link to itself is replaced like any other file."""
    textfile.symlink_to(textfile)
    write(textfile, FULL)
    assert len(series(textfile)) == 13


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o002, 0o664)])
def test_the_mode_is_that_of_the_umask(textfile: Path, umask: int, mode: int) -> None:
    """node_exporter runs as another user: the file is no more private than any other."""
    before = os.umask(umask)
    try:
        write(textfile, FULL)
        write(textfile, FULL)
    finally:
        os.umask(before)
    assert textfile.stat().st_mode & 0o777 == mode


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    """The new file replaces the old one: a reader that has the old one open reads it to its end."""
    textfile = tmp_path / "archiver.prom"
    write(textfile, FULL)
    whole = textfile.read_bytes()
    with textfile.open("rb") as reader:
        write(textfile, replace(FULL, runs={"verify": VERIFY}))
        assert reader.read() == whole


@pytest.mark.parametrize("where", ["missing/a.prom", "file/a.prom", "directory", "/proc/a.prom"])
def test_a_path_that_cannot_be_written_is_named(tmp_path: Path, where: str) -> None:
    """It is a storage error, in one line with the path, and nothing is left there."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "directory").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StorageError, match="writing the metrics to ") as error:
        write(tmp_path / where, FULL)
    assert str(tmp_path / where) in str(error.value)
    assert "\n" not in str(error.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_full_disk_leaves_the_old_file(textfile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The temporary file is removed, and the old one is kept."""
    write(textfile, FULL)
    before = textfile.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(StorageError, match="No space left on device"):
        write(textfile, replace(FULL, runs={"verify": VERIFY}))
    assert textfile.read_bytes() == before
