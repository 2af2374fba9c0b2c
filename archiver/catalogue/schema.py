"""The catalogue's tables, and how a file of an earlier kind is brought up to date."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from archiver.catalogue.database import sqlite_errors
from archiver.errors import ConfigurationError

_SCHEMA = (
    """
CREATE TABLE generation (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,       -- v6/deepfake/263
    state TEXT NOT NULL CHECK (state IN ('held', 'pending', 'lost', 'failed')),
    reason TEXT,
    since TEXT NOT NULL,             -- when it came into this state, UTC
    asked TEXT NOT NULL,             -- when this was last found, UTC
    first_asked TEXT NOT NULL,       -- when it was first asked about, UTC
    told INTEGER NOT NULL,           -- whether a run has lived to report it
    gone_nights INTEGER NOT NULL DEFAULT 0,
    gone_since TEXT,                 -- the first of the nights on which all its links were dead
    served_by TEXT                   -- the links that gave the payloads
);
CREATE INDEX untold ON generation (told) WHERE NOT told;
CREATE TABLE file (
    path TEXT PRIMARY KEY,           -- data/v6/deepfake/263.mp4
    sha256 TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    proven TEXT                      -- when its bytes last matched, UTC
) WITHOUT ROWID;
CREATE TABLE absorbed (              -- one row: how much of the checksum manifest is known here
    bytes INTEGER NOT NULL,
    tail BLOB NOT NULL
);
INSERT INTO absorbed VALUES (0, x'');
""",
    """
CREATE TABLE total (                 -- one row, kept by the triggers: a sum over a million is slow
    files INTEGER NOT NULL,
    bytes INTEGER NOT NULL
);
INSERT INTO total SELECT count(*), cast(total(bytes) AS INTEGER) FROM file;
CREATE TRIGGER file_added AFTER INSERT ON file BEGIN
    UPDATE total SET files = files + 1, bytes = bytes + new.bytes;
END;
CREATE TRIGGER file_changed AFTER UPDATE OF bytes ON file BEGIN
    UPDATE total SET bytes = bytes + new.bytes - old.bytes;
END;
CREATE TRIGGER file_removed AFTER DELETE ON file BEGIN
    UPDATE total SET files = files - 1, bytes = bytes - old.bytes;
END;
""",
    """
CREATE INDEX by_state ON generation (state, since);
CREATE TABLE run (
    number INTEGER PRIMARY KEY,
    command TEXT NOT NULL,
    began TEXT NOT NULL,             -- UTC, as is `ended`
    ended TEXT,                      -- NULL: it is running, or was killed
    exit_status INTEGER,
    counts TEXT NOT NULL,            -- JSON: how many of each outcome or finding
    bytes INTEGER NOT NULL,
    summary TEXT NOT NULL,
    version TEXT NOT NULL
);
""",
    """
ALTER TABLE generation ADD COLUMN pending_since TEXT;  -- when it was first found in the making
UPDATE generation SET pending_since = since WHERE state = 'pending';
UPDATE generation SET pending_since = first_asked
    WHERE state = 'failed' AND reason LIKE 'ModelsLab is still making it%';
""",
)
"""What makes each version of a catalogue from the one before; the last is the one we use."""


def connect(path: Path) -> sqlite3.Connection:
    """Open a catalogue to write to it, durably; one that is not there is begun."""
    with sqlite_errors(path):
        connection = sqlite3.connect(path, timeout=60, check_same_thread=False)
        with _closed_on_error(connection):
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            return upgraded(connection)


def connect_to_read(path: Path) -> sqlite3.Connection | None:
    """Open a catalogue that is not written to; return None if there is nothing in it.

    One of an earlier kind is upgraded in memory.
    """
    with sqlite_errors(path):
        connection = _opened_to_read(path)
        with _closed_on_error(connection):
            version = _version(connection)
        if version == len(_SCHEMA):
            return connection
        with closing(connection):
            return upgraded(_in_memory(connection)) if version else None


def _opened_to_read(path: Path) -> sqlite3.Connection:
    """Open a catalogue; what a killed run has left half written is undone by SQLite first.

    Where that cannot be done in place, since all is read-only, it is done in a copy.
    """
    with suppress(sqlite3.OperationalError):
        return _opened(path, "ro")
    if os.access(path, os.W_OK):
        _opened(path, "rw").close()
        return _opened(path, "ro")
    with TemporaryDirectory(prefix="archiver-") as directory:
        for suffix in ("", "-journal", "-wal"):
            with suppress(FileNotFoundError):
                shutil.copyfile(f"{path}{suffix}", f"{directory}/{path.name}{suffix}")
        with closing(_opened(Path(directory, path.name), "rw")) as copy:
            return _in_memory(copy)


def _opened(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True)
    with _closed_on_error(connection):
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        return connection


def _in_memory(connection: sqlite3.Connection) -> sqlite3.Connection:
    copy = sqlite3.connect(":memory:")
    with _closed_on_error(copy):
        connection.backup(copy)
        return copy


@contextmanager
def _closed_on_error(connection: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


def upgraded(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Bring the tables of a new catalogue, or of one of an earlier kind, to what we use."""
    for number, script in enumerate(_SCHEMA[_version(connection) :], _version(connection) + 1):
        connection.executescript(f"BEGIN; {script} PRAGMA user_version = {number}; COMMIT;")
    return connection


def _version(connection: sqlite3.Connection) -> int:
    """Return which of the schemas a catalogue has.

    Raises:
        ConfigurationError: if it is of a later kind.
    """
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found > len(_SCHEMA):
        raise ConfigurationError("the catalogue was written by a newer archiver: upgrade this one")
    return int(found)
