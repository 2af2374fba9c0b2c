"""The log file of runs that nobody watches, in text or in JSON."""

import json
import logging
import sys
from contextlib import suppress
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Literal, TypeAlias

from archiver.errors import ConfigurationError
from archiver.monitoring.logs import LEVELS, attach

Format: TypeAlias = Literal["text", "json"]


def log_to_file(path: Path, form: Format, verbosity: int) -> None:
    """Append log lines to a file, which may be rotated: outcomes, and with 2 requests too.

    Raises:
        ConfigurationError: if it cannot be written.
    """
    try:
        handler = _File(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        why = f"the log file {path} cannot be written: {error.strerror}"
        raise ConfigurationError(why) from None
    handler.setLevel(LEVELS[2 if verbosity > 1 else 1])
    handler.setFormatter(_Json() if form == "json" else _Text())
    attach(handler)


class _File(WatchedFileHandler):
    """Appends to the log file. If it cannot, it prints that once, and the run goes on."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (the library's name)
        error = sys.exception()
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self.filters:
            self.addFilter(lambda _: False)
            why = f"the disk failed while writing to {self.baseFilename}: {error.strerror}"
            with suppress(OSError):
                sys.stderr.write(f"archiver: no log: {why}. The run is not affected\n")


class _Text(logging.Formatter):
    """`2026-11-24T02:30:00+00:00 INFO archived v6/deepfake/263: …`, each record one line."""

    def format(self, record: logging.LogRecord) -> str:
        message = super().format(record).replace("\n", "\n    ")
        return f"{_time(record)} {record.levelname} {message}"


class _Json(logging.Formatter):
    """A JSON object a line: time (UTC), level, message."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "message": super().format(record),
        }
        return json.dumps(line, ensure_ascii=False)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="seconds")
