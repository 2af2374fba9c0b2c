"""Each run leaves a row in the history of its archive, however it ends."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from archiver.archive.bag import Bag
from archiver.emulator.scripts import Script
from archiver.errors import ConfigurationError, StorageError
from archiver.fixity.repair import repair
from archiver.fixity.verify import Selection
from archiver.pipeline.indexing import open_to_read
from archiver.run import Run
from tests.support.archives import open_catalogue
from tests.support.backups import Backups, generation

BEGAN = datetime(2026, 11, 24, 2, tzinfo=UTC)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive of nothing."""
    (tmp_path / ".archiver").mkdir()
    return tmp_path


def runs(archive: Path) -> list[Run]:
    with closing(open_to_read(Bag(archive))) as catalogue:
        return catalogue.history.last(10)


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


async def test_a_run_that_ends_early_has_the_reason(backups: Backups) -> None:
    """Its row has the exit status and the reason."""
    backups.emulator.scripts[generation("1")] = Script(response="refused")
    report = await backups.run("1")
    (run,) = runs(backups.archive)
    assert run.exit_status == report.exit_status == 77
    assert run.summary.startswith("ended early: ")
    assert "API key" in run.summary


@pytest.mark.parametrize(
    ("error", "status", "summary"),
    [
        (StorageError("the disk is full"), 74, "the disk is full"),
        (ConfigurationError("a line is bad"), 2, "a line is bad"),
        (ZeroDivisionError("oh"), 1, "a bug: ZeroDivisionError"),
    ],
)
def test_a_run_that_breaks_off_is_closed(
    archive: Path, error: Exception, status: int, summary: str
) -> None:
    """Whatever is raised is recorded and passed on."""
    with closing(open_catalogue(archive)) as catalogue:
        history = catalogue.history
        with pytest.raises(type(error)), history.recording("backup", BEGAN):
            raise error
        (run,) = history.last(5)
    assert (run.command, run.began, run.exit_status) == ("backup", BEGAN, status)
    assert run.ended
    assert run.summary == summary


def test_the_last_runs_of_a_command(archive: Path) -> None:
    """The latest first, and no more than asked for."""
    with closing(open_catalogue(archive)) as catalogue:
        history = catalogue.history
        for day in range(3):
            for command in ("backup", "verify"):
                history.add(Run(command, BEGAN + timedelta(days=day), exit_status=day))
        assert [run.exit_status for run in history.last(2, "verify")] == [2, 1]
        assert [run.command for run in history.last(3)] == ["verify", "backup", "verify"]


def test_the_last_success_of_a_command(archive: Path) -> None:
    """Neither a failure counts, nor another command, nor a run that was killed."""
    ended = BEGAN + timedelta(hours=1)
    later = ended + timedelta(days=1)
    with closing(open_catalogue(archive)) as catalogue:
        history = catalogue.history
        assert history.last_success("backup") is None
        for run in (
            Run("backup", BEGAN, ended, 0), Run("backup", BEGAN, later, 3),
            Run("verify", BEGAN, later, 0), Run("backup", BEGAN),
        ):  # fmt: skip
            history.add(run)
        assert history.last_success("backup") == ended
        assert history.last_success("repair") is None


def test_a_success_in_the_future_does_not_count(archive: Path) -> None:
    """The clock was ahead: an alarm about the age of the last success would never go off."""
    ended = BEGAN + timedelta(hours=1)
    ahead = datetime.now(UTC) + timedelta(days=365)
    with closing(open_catalogue(archive)) as catalogue:
        history = catalogue.history
        history.add(Run("verify", ahead, ahead, 0))
        assert history.last_success("verify") is None
        history.add(Run("verify", BEGAN, ended, 0))
        assert history.last_success("verify") == ended


async def test_a_repair_is_a_run_too(backups: Backups) -> None:
    """It is recorded as what it is."""
    backups.emulator.scripts[generation("1")] = Script()
    await backups.run("1")
    await repair(backups.archive, Selection(), backups.settings())
    assert [run.command for run in runs(backups.archive)] == ["repair", "backup"]


def test_a_path_that_is_no_text_can_be_recorded(archive: Path) -> None:
    """What a file system allows and UTF-8 does not is written in another way."""
    error = StorageError("the disk failed while using /arch\udcff")
    with closing(open_catalogue(archive)) as catalogue:
        history = catalogue.history
        with pytest.raises(StorageError), history.recording("backup", BEGAN):
            raise error
        (run,) = history.last(1)
    assert run.exit_status == 74
