"""However a command ends, its log file, its metrics and the archive's history have it."""

import json
import logging
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from archiver.archive.bag import Bag
from archiver.cli.reporting import Job, ReportingOptions, perform
from archiver.errors import ArchiveLocked, ArchiverError, ConfigurationError
from archiver.pipeline.indexing import open_to_read
from archiver.pipeline.report import Report
from archiver.progress import Progress
from archiver.run import Run
from tests.support.archives import open_catalogue

LOCKED = ArchiveLocked("another run holds the archive")


@pytest.fixture(autouse=True)
def clean_logger() -> Iterator[None]:
    """Each test begins and ends with a logger without handlers."""
    logger = logging.getLogger("archiver")
    level, handlers = logger.level, list(logger.handlers)
    yield
    for handler in set(logger.handlers) - set(handlers):
        logger.removeHandler(handler)
        handler.close()
    logger.setLevel(level)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive of nothing, with a catalogue."""
    archive = tmp_path / "archive"
    (archive / ".archiver").mkdir(parents=True)
    (archive / "manifest-sha256.txt").touch()
    open_catalogue(archive).close()
    return archive


@pytest.fixture
def options(tmp_path: Path) -> ReportingOptions:
    """A log file and metrics, and nothing on a terminal."""
    return ReportingOptions(quiet=True, log_file=tmp_path / "log", metrics=tmp_path / "prom")


def job(archive: Path, error: BaseException | None = None) -> Job:
    """Return a backup that raises an error, or does nothing."""

    def work(_: Progress) -> Report:
        if error:
            raise error
        now = datetime.now().astimezone()
        return Report(now, now)

    return Job("backup", archive, work, Report.failed_to_begin)


def exit_statuses(options: ReportingOptions) -> list[float]:
    """Return the exit statuses in the metrics."""
    assert options.metrics
    families = text_string_to_metric_families(options.metrics.read_text())
    samples = [sample for family in families for sample in family.samples]
    return [s.value for s in samples if s.name == "archiver_last_run_exit_status"]


def runs(archive: Path) -> list[Run]:
    with closing(open_to_read(Bag(archive))) as catalogue:
        return catalogue.history.last(10)


def log(options: ReportingOptions) -> str:
    assert options.log_file
    return options.log_file.read_text()


def test_a_success_is_reported(
    archive: Path, options: ReportingOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the log file and the metrics; the output is silent."""
    assert perform(job(archive), options) == 0
    assert exit_statuses(options) == [0]
    assert "INFO nothing to do; 0 bytes in 0 s\n" in log(options)
    assert log(options).endswith("INFO backup ends with exit status 0\n")
    assert capsys.readouterr() == ("", "")


def test_a_run_that_could_not_begin_is_reported(
    archive: Path, options: ReportingOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    """Everywhere, and in JSON too; then the error is raised."""
    with pytest.raises(ArchiveLocked):
        perform(job(archive, LOCKED), replace(options, as_json=True))
    assert exit_statuses(options) == [75]
    assert f"WARNING did not begin: {LOCKED}\n" in log(options)
    assert "nothing to do" not in log(options)
    assert json.loads(capsys.readouterr().out)["ended_early"] == str(LOCKED)
    (run,) = runs(archive)
    assert (run.command, run.exit_status) == ("backup", 75)
    assert run.summary == f"did not begin: {LOCKED}"


def test_a_run_is_in_the_history_once(archive: Path, options: ReportingOptions) -> None:
    """A run that failed after it was recorded is not recorded again."""

    def work(_: Progress) -> Report:
        with closing(open_catalogue(archive)) as catalogue:
            began = datetime.now().astimezone()
            with catalogue.history.recording("backup", began):
                raise ConfigurationError("a line is bad")

    with pytest.raises(ConfigurationError):
        perform(Job("backup", archive, work, Report.failed_to_begin), options)
    (run,) = runs(archive)
    assert run.exit_status == 2
    with pytest.raises(ArchiveLocked):
        perform(job(archive, LOCKED), options)
    assert [run.exit_status for run in runs(archive)] == [75, 2]


@pytest.mark.parametrize("archive_exists", [True, False])
def test_no_history_is_created(
    tmp_path: Path, options: ReportingOptions, archive_exists: bool
) -> None:
    """Where there is none, a run that could not begin leaves nothing behind."""
    archive = tmp_path / "archive"
    if archive_exists:
        archive.mkdir()
    with pytest.raises(ArchiverError):
        perform(job(archive, ConfigurationError("no API key")), options)
    assert exit_statuses(options) == [2]
    assert archive.exists() == archive_exists
    assert not archive_exists or list(archive.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "status", "summary"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (ZeroDivisionError("oh"), 1, "a bug: ZeroDivisionError"),
        (OSError(28, "No space left on device"), 74, "the disk failed: No space left on device"),
    ],
)
def test_a_run_without_a_report_is_reported(
    archive: Path, options: ReportingOptions, error: BaseException, status: int, summary: str
) -> None:
    """An interruption or a bug has an exit status and a line too; then it is raised."""
    with pytest.raises(type(error)):
        perform(job(archive, error), options)
    assert exit_statuses(options) == [status]
    assert f"WARNING {summary}\n" in log(options)


def test_a_log_file_that_cannot_be_written_is_an_error(
    archive: Path, options: ReportingOptions
) -> None:
    """Before any work is done."""
    missing = replace(options, log_file=archive / "missing" / "log")
    with pytest.raises(ConfigurationError, match=r"the log file .* cannot be written"):
        perform(job(archive, ZeroDivisionError()), missing)
