"""The log file has what happened in a run, in text or in JSON."""

import json
import logging
import re
from pathlib import Path

import pytest

from archiver.errors import ConfigurationError
from archiver.monitoring.log_file import log_to_file
from archiver.monitoring.logs import log_summary, log_to
from archiver.progress import WAITING

LOG = logging.getLogger("archiver.pipeline.workers")


def test_text_is_a_line_for_each_record(tmp_path: Path) -> None:
    """The time in UTC, the level, the message; a second line of a message is indented."""
    log_to_file(tmp_path / "log", "text", 0)
    LOG.info("archived %s", "v6/deepfake/1")
    LOG.warning("one\ntwo")
    lines = (tmp_path / "log").read_text().splitlines()
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT[\d:]{8}\+00:00 INFO archived v6/deepfake/1", lines[0])
    assert lines[1].endswith("WARNING one")
    assert lines[2] == "    two"


def test_json_is_an_object_for_each_record(tmp_path: Path) -> None:
    """With time, level and message, whatever characters are in it."""
    log_to_file(tmp_path / "log", "json", 0)
    LOG.info('a "quoted"\nline \u2028 %s', "ü")
    (line,) = (tmp_path / "log").read_text().split("\n")[:-1]
    record = json.loads(line)
    assert list(record) == ["time", "level", "message"]
    assert (record["level"], record["message"]) == ("info", 'a "quoted"\nline \u2028 ü')


@pytest.mark.parametrize(("verbosity", "kept"), [(0, "info"), (1, "info"), (2, "debug info")])
def test_the_file_has_what_happens_however_quiet_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verbosity: int, kept: str
) -> None:
    """Requests only with -vv."""
    log_to_file(tmp_path / "log", "text", verbosity)
    log_to(logging.StreamHandler(), 0)
    LOG.debug("debug")
    LOG.info("info")
    assert re.findall("debug|info", (tmp_path / "log").read_text()) == kept.split()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("watched", "logged"), [(True, "waiting\n"), (False, "")])
def test_who_watches_hears_of_what_a_run_waits_for(
    capsys: pytest.CaptureFixture[str], watched: bool, logged: str
) -> None:
    """To cron it is nothing; outcomes are for neither unless they are asked for."""
    log_to(logging.StreamHandler(), 0, watched=watched)
    WAITING.info("waiting")
    LOG.info("archived %s", "v6/deepfake/1")
    assert capsys.readouterr().err == logged


def test_the_summary_goes_to_the_file_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a terminal it is printed by itself."""
    log_to_file(tmp_path / "log", "text", 0)
    log_to(logging.StreamHandler(), 2)
    log_summary("3 archived", wrong=False)
    log_summary("failed v6/deepfake/1: dead", wrong=True)
    text = (tmp_path / "log").read_text()
    assert "INFO 3 archived" in text
    assert "WARNING failed v6/deepfake/1: dead" in text
    assert capsys.readouterr().err == ""


def test_a_file_that_is_rotated_is_created_anew(tmp_path: Path) -> None:
    """By logrotate: nothing is lost, and nothing more is written to the old file."""
    log_to_file(tmp_path / "log", "text", 0)
    LOG.info("before")
    (tmp_path / "log").rename(tmp_path / "log.1")
    LOG.info("after")
    assert "before" in (tmp_path / "log.1").read_text()
    assert "after" in (tmp_path / "log").read_text()


def test_earlier_lines_are_kept(tmp_path: Path) -> None:
    """The lines of a run come after those of the last."""
    (tmp_path / "log").write_text("last run\n")
    log_to_file(tmp_path / "log", "text", 0)
    LOG.info("this run")
    assert (tmp_path / "log").read_text().startswith("last run\n20")


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """It names the file and the reason, before anything else is done."""
    with pytest.raises(ConfigurationError, match=r"the log file .*/no/log cannot be written: No s"):
        log_to_file(tmp_path / "no" / "log", "text", 0)
