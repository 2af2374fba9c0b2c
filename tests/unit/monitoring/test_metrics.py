"""What Prometheus is told of a run: read by its own parser, and linted by its own tool."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from archiver import __version__
from archiver.errors import StorageError
from archiver.monitoring.metrics import write
from archiver.run import Holdings, Run

HERE = "/srv/videos"
BEGAN = datetime(2026, 11, 24, 2, 30, tzinfo=UTC)
ENDED = BEGAN + timedelta(seconds=90.5)
NIGHT = timedelta(days=1)
COUNTS = {"archived": 12, "already_held": 3000, "failed": 0}
BACKUP = Run("backup", BEGAN, ENDED, 0, COUNTS, 5_000_000_000)
FAILED = replace(BACKUP, began=BEGAN + NIGHT, ended=ENDED + NIGHT, exit_status=3, bytes=7)
VERIFY = Run("verify", BEGAN + NIGHT, ENDED + NIGHT, 4, {"missing": 1}, 10**12)
HELD = Holdings(3012, 6024, 9_007_199_254_740_991)
KEPT = "archiver_last_success_timestamp_seconds"
OURS = 'archive="/srv/videos",command="backup"'


@pytest.fixture
def textfile(tmp_path: Path) -> Iterator[Path]:
    """Where to write; afterwards nothing else lies beside it."""
    path = tmp_path / "archiver.prom"
    yield path
    assert [beside for beside in tmp_path.iterdir() if beside != path] == []


def told(path: Path) -> dict[str, float]:
    """Return the file's series, as they are written, and their values."""
    lines = path.read_bytes().decode().split("\n")
    pairs = [line.rpartition(" ") for line in lines if line and not line.startswith("#")]
    assert len({series for series, _, _ in pairs}) == len(pairs), "a series is told twice"
    return {series: float(value) for series, _, value in pairs}


def value(path: Path, name: str, **labels: str) -> float | None:
    """Return the value of a series as Prometheus' own parser reads it, or None if it is absent."""
    for family in text_string_to_metric_families(path.read_text()):
        for sample in family.samples:
            if (sample.name, sample.labels) == (name, labels):
                return float(sample.value)
    return None


def test_a_run_is_told_in_full(textfile: Path) -> None:
    """Times in seconds since 1970, sizes in bytes, a series for each outcome, zeros too."""
    write(textfile, HERE, BACKUP, HELD)
    assert told(textfile) == {
        f"archiver_last_run_timestamp_seconds{{{OURS}}}": ENDED.timestamp(),
        f"{KEPT}{{{OURS}}}": ENDED.timestamp(),
        f"archiver_last_run_duration_seconds{{{OURS}}}": 90.5,
        f"archiver_last_run_exit_status{{{OURS}}}": 0,
        f'archiver_last_run_outcomes{{{OURS},outcome="archived"}}': 12,
        f'archiver_last_run_outcomes{{{OURS},outcome="already_held"}}': 3000,
        f'archiver_last_run_outcomes{{{OURS},outcome="failed"}}': 0,
        f"archiver_last_run_bytes{{{OURS}}}": 5_000_000_000,
        'archiver_held_generations{archive="/srv/videos"}': 3012,
        'archiver_held_files{archive="/srv/videos"}': 6024,
        'archiver_held_bytes{archive="/srv/videos"}': 9_007_199_254_740_991,
        f'archiver_info{{archive="/srv/videos",version="{__version__}"}}': 1,
    }


def test_each_family_is_a_gauge_with_its_help(textfile: Path) -> None:
    """The parser that Prometheus gives Python reads families, each with its type and a help."""
    write(textfile, HERE, BACKUP, HELD)
    families = list(text_string_to_metric_families(textfile.read_text()))
    assert len(families) == 10
    assert {family.type for family in families} == {"gauge"}
    assert all(family.documentation.endswith(".") for family in families)


@pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool")
def test_promtool_finds_nothing_to_object_to(textfile: Path) -> None:
    """Names, units, types and helps are as Prometheus' linter wants them, in a file of many too."""
    write(textfile, HERE, BACKUP, HELD)
    write(textfile, HERE, VERIFY, None)
    write(textfile, 'the "other"\n{archive}', FAILED, HELD)
    command = ["promtool", "check", "metrics"]
    with textfile.open() as file:
        lint = subprocess.run(command, stdin=file, capture_output=True, timeout=30, check=False)
    assert (lint.returncode, lint.stdout, lint.stderr) == (0, b"", b"")


# --- Carried forward


def test_a_failure_keeps_when_the_last_success_was(textfile: Path) -> None:
    """All else is of the run that failed; an outcome that it had none of is gone."""
    write(textfile, HERE, BACKUP, HELD)
    write(textfile, HERE, replace(FAILED, counts={"failed": 5}), HELD)
    found = told(textfile)
    assert found[f"{KEPT}{{{OURS}}}"] == ENDED.timestamp()
    assert found[f"archiver_last_run_exit_status{{{OURS}}}"] == 3
    assert found[f"archiver_last_run_bytes{{{OURS}}}"] == 7
    after = (ENDED + NIGHT).timestamp()
    assert found[f"archiver_last_run_timestamp_seconds{{{OURS}}}"] == after
    outcomes = {series: count for series, count in found.items() if "outcome=" in series}
    assert outcomes == {f'archiver_last_run_outcomes{{{OURS},outcome="failed"}}': 5}


def test_without_a_success_there_is_no_time_of_one(textfile: Path) -> None:
    """It is absent, not 0, until a run succeeds."""
    write(textfile, HERE, FAILED, HELD)
    write(textfile, HERE, FAILED, HELD)
    assert "success" not in textfile.read_text()
    write(textfile, HERE, BACKUP, HELD)
    assert "success" in textfile.read_text()


def test_a_run_without_an_end_says_only_what_is_known(textfile: Path) -> None:
    """No time, duration or status is made up for it, or left from the run before."""
    write(textfile, HERE, BACKUP, HELD)
    write(textfile, HERE, Run("backup", BEGAN), HELD)
    names = {series.partition("{")[0] for series in told(textfile)}
    assert names == {
        KEPT, "archiver_last_run_bytes", "archiver_info",
        "archiver_held_generations", "archiver_held_files", "archiver_held_bytes",
    }  # fmt: skip


def test_commands_share_a_file(textfile: Path) -> None:
    """A verify leaves what the backup has told as it was, and the other way round."""
    write(textfile, HERE, BACKUP, HELD)
    backup = told(textfile)
    write(textfile, HERE, VERIFY, HELD)
    both = told(textfile)
    assert both.items() >= backup.items()
    status = "archiver_last_run_exit_status"
    assert value(textfile, status, archive=HERE, command="verify") == 4
    assert value(textfile, status, archive=HERE, command="backup") == 0
    write(textfile, HERE, BACKUP, HELD)
    assert told(textfile) == both


def test_archives_may_share_a_file(textfile: Path) -> None:
    """Their series differ in a label, so neither takes the other's place there or in Prometheus."""
    write(textfile, HERE, BACKUP, HELD)
    one = told(textfile)
    write(textfile, "/srv/other", FAILED, Holdings(1, 2, 3))
    both = told(textfile)
    assert both.items() >= one.items()
    assert value(textfile, "archiver_held_bytes", archive="/srv/other") == 3
    names = {series.partition("{")[0] for series in both.keys() - one.keys()}
    assert names | {KEPT} == {series.partition("{")[0] for series in one}


def test_what_is_held_is_kept_where_it_is_not_known(textfile: Path) -> None:
    """A run that could not look leaves what an earlier one saw; without one there is nothing."""
    write(textfile, HERE, FAILED, None)
    assert "held_" not in textfile.read_text()
    write(textfile, HERE, BACKUP, HELD)
    write(textfile, HERE, VERIFY, None)
    assert value(textfile, "archiver_held_files", archive=HERE) == 6024
    write(textfile, HERE, VERIFY, Holdings(1, 2, 3))
    assert value(textfile, "archiver_held_files", archive=HERE) == 2


def test_only_the_version_that_wrote_last_is_told(textfile: Path) -> None:
    """An upgrade leaves no second series behind that says 1; another archive's stays."""
    write(textfile, HERE, replace(BACKUP, version="0.0.1"), HELD)
    write(textfile, "/srv/other", replace(BACKUP, version="0.0.2"), HELD)
    write(textfile, HERE, replace(VERIFY, version="0.0.3"), HELD)
    assert [series for series in told(textfile) if series.startswith("archiver_info")] == [
        'archiver_info{archive="/srv/other",version="0.0.2"}',
        'archiver_info{archive="/srv/videos",version="0.0.3"}',
    ]


NOT_OURS = {
    "empty": b"",
    "binary": bytes(range(256)),
    "another program's": b'# HELP up Up.\n# TYPE up gauge\nup{archive="/x",command="backup"} 1\n',
    "another language": b"<!DOCTYPE html>\n<html>archiver_info{</html>\n",
    "other labels": f'{KEPT}{{archive="/x"}} 5\n{KEPT}{{{OURS},host="a"}} 5\n{KEPT} 5\n'.encode(),
    "no number": f"{KEPT}{{{OURS}}} soon\n{KEPT}{{{OURS}}} NaN\n{KEPT}{{{OURS}}} +Inf\n".encode(),
    "beyond all numbers": f"{KEPT}{{{OURS}}} {'9' * 400}\n".encode(),
    "no value": f"{KEPT}{{{OURS}}}\n{KEPT}{{{OURS}\n{KEPT}{{\n{KEPT}".encode(),
    "no UTF-8": f'{KEPT}{{{OURS}}} 5 \n{KEPT}{{archive="'.encode()[-60:] + b'\xff",command="x"} 5',
}


@pytest.mark.parametrize("kind", NOT_OURS)
def test_a_foreign_file_is_no_hindrance(textfile: Path, kind: str) -> None:
    """What is not ours, or not to be understood, is left out; the run is told all the same."""
    write(textfile, HERE, FAILED, HELD)
    fresh = told(textfile)
    textfile.write_bytes(NOT_OURS[kind])
    write(textfile, HERE, FAILED, HELD)
    assert told(textfile) == fresh


def test_a_damaged_file_keeps_what_can_be_read(textfile: Path) -> None:
    """A line that is broken takes none of the others with it."""
    write(textfile, HERE, BACKUP, HELD)
    lines = textfile.read_bytes().split(b"\n")
    textfile.write_bytes(b"\n".join([b"\xff{", *lines[:-4], b"archiver_info{"]))
    write(textfile, HERE, FAILED, None)
    assert value(textfile, KEPT, archive=HERE, command="backup") == ENDED.timestamp()


def test_a_file_that_cannot_be_opened_is_replaced(textfile: Path) -> None:
    """A link that leads round in a circle has nothing to carry forward."""
    textfile.symlink_to(textfile)
    write(textfile, HERE, BACKUP, HELD)
    assert len(told(textfile)) == 12


ODD = {"\\": "\\", '"': '"', "newline": "\n", "return": "\r", "label": '",command="x"} 1\n#'}


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_path_is_a_label_like_any_other(textfile: Path, odd: str) -> None:
    """Whatever stands in an archive's path, it breaks no line, and is known again the next time."""
    archive = f"/srv/{ODD[odd]}/x"
    write(textfile, archive, BACKUP, HELD)
    write(textfile, archive, FAILED, None)
    assert len(told(textfile)) == 12
    families = text_string_to_metric_families(textfile.read_bytes().decode())
    archives = {sample.labels["archive"] for family in families for sample in family.samples}
    assert archives == {archive}


@settings(max_examples=50, deadline=None)
@given(st.binary(min_size=1, max_size=20).filter(lambda name: b"\0" not in name))
def test_any_path_is_carried_forward(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    """A path of any bytes that a file system bears survives being written and read again."""
    textfile = tmp_path_factory.getbasetemp() / "any.prom"
    textfile.unlink(missing_ok=True)
    write(textfile, "/srv/" + os.fsdecode(raw), BACKUP, HELD)
    before = told(textfile)
    write(textfile, "/srv/another-that-is-too-long-to-be-drawn", VERIFY, None)
    assert told(textfile).items() >= before.items()


# --- On the disk


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o002, 0o664)])
def test_others_may_read_it_as_the_umask_has_it(textfile: Path, umask: int, mode: int) -> None:
    """node_exporter runs as another user: the file is no more private than any other."""
    before = os.umask(umask)
    try:
        write(textfile, HERE, BACKUP, HELD)
        write(textfile, HERE, VERIFY, HELD)
    finally:
        os.umask(before)
    assert textfile.stat().st_mode & 0o777 == mode


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    """The new file takes the old one's place: whoever has the old one open reads it to its end."""
    textfile = tmp_path / "archiver.prom"
    write(textfile, HERE, BACKUP, HELD)
    whole = textfile.read_bytes()
    with textfile.open("rb") as reader:
        write(textfile, HERE, VERIFY, HELD)
        assert reader.read() == whole


@pytest.mark.parametrize("where", ["missing/a.prom", "file/a.prom", "directory", "/proc/a.prom"])
def test_a_place_that_takes_no_file_is_named(tmp_path: Path, where: str) -> None:
    """The trouble is the disk's, in one line with the path, and nothing is left lying there."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "directory").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StorageError, match="writing the metrics to ") as trouble:
        write(tmp_path / where, HERE, BACKUP, HELD)
    assert str(tmp_path / where) in str(trouble.value)
    assert "\n" not in str(trouble.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_full_disk_leaves_the_old_file(textfile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was begun is taken away again, and what was told before stands."""
    write(textfile, HERE, BACKUP, HELD)
    before = textfile.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(StorageError, match="No space left on device"):
        write(textfile, HERE, VERIFY, HELD)
    assert textfile.read_bytes() == before
