"""The database file of the catalogue: opening it, and what SQLite's errors about it mean."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from archiver.catalogue.schema import VERSION, upgrade, version_of
from archiver.errors import StorageError, storage_errors

_WAIT = 60.0
"""So long, in seconds, another process may be in the way."""
_AGAIN = 0.02
_NO_SHARED_MEMORY = ("SQLITE_IOERR_SHM", "SQLITE_PROTOCOL")
"""How the names of SQLite's errors begin where memory cannot be shared through a file."""


class CatalogueDamaged(StorageError):
    """The file is no SQLite database, or a broken one."""

    def __init__(self, what: str, error: sqlite3.DatabaseError) -> None:
        self.reason = f"{what} is damaged ({error})"
        super().__init__(f"{self.reason}: the next backup sets it aside and rebuilds it")


@contextmanager
def sqlite_errors(what: Path | str = "the catalogue") -> Iterator[None]:
    """Translate SQLite's errors: a broken file is one thing, a disk that fails another.

    Raises:
        CatalogueDamaged: if the file is broken.
        StorageError: if it cannot be read or written.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StorageError(f"storage failed while using {what}: {_reason(error)}") from error
    except sqlite3.DatabaseError as error:
        raise CatalogueDamaged(str(what), error) from error


def connect(path: Path) -> sqlite3.Connection:
    """Open a catalogue to write to it, durably; one that is not there is created.

    Raises:
        CatalogueDamaged: if it is broken.
        ConfigurationError: if a newer archiver wrote it.
        StorageError: if the disk does not allow it.
    """
    with sqlite_errors(path):
        connection = _opened(path)
        with _closed_on_error(connection):
            # Once the journal is cleared a commit must last: NORMAL would flush it only later.
            connection.execute("PRAGMA synchronous = FULL")
            return upgrade(connection)


def connect_in_memory() -> sqlite3.Connection:
    """Open an empty catalogue that is nowhere but in memory."""
    return upgrade(sqlite3.connect(":memory:"))


def connect_to_read(path: Path) -> sqlite3.Connection | None:
    """Open a catalogue only to read it; return None if there is nothing in it.

    One of an earlier version is upgraded in memory.

    Raises:
        CatalogueDamaged: if it is broken.
        ConfigurationError: if a newer archiver wrote it.
        StorageError: if it cannot be read.
    """
    with sqlite_errors(path):
        connection = _open_to_read(path)
        with _closed_on_error(connection):
            version = version_of(connection)
        if version == VERSION:
            return connection
        with closing(connection):
            return upgrade(_copy_in_memory(connection)) if version else None


def set_aside(path: Path) -> None:
    """Rename a damaged catalogue: where there is none, one is rebuilt.

    Raises:
        StorageError: if the disk does not allow it.
    """
    suffix = f".damaged-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
    with storage_errors(f"setting {path} aside"):
        for damaged in path.parent.glob(f"{path.name}*"):
            if ".damaged-" not in damaged.name:
                damaged.rename(damaged.with_name(f"{damaged.name}{suffix}"))


def _opened(path: Path) -> sqlite3.Connection:
    """Open a catalogue as well as its file system allows.

    Of processes that begin to write ahead in the same moment SQLite refuses all but one, at once.
    """
    opening, until = _open_to_write, time.monotonic() + _WAIT
    while True:
        try:
            return opening(path)
        except sqlite3.OperationalError as error:
            if opening is _open_to_write and _name(error).startswith(_NO_SHARED_MEMORY):
                opening = _open_alone
            elif _name(error) == "SQLITE_BUSY" and time.monotonic() < until:
                time.sleep(_AGAIN)
            else:
                raise


def _open_to_write(path: Path) -> sqlite3.Connection:
    """Open a catalogue with a write-ahead log: readers and the writer are in nobody's way.

    For that SQLite shares memory between processes, through a file.
    """
    connection = sqlite3.connect(path, timeout=_WAIT, check_same_thread=False)
    with _closed_on_error(connection):
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        return connection


def _open_alone(path: Path) -> sqlite3.Connection:
    """Open a catalogue where no memory can be shared: readers and the writer wait for each other.

    Whoever is alone with the file needs none to leave write-ahead logging.
    """
    connection = sqlite3.connect(path, timeout=_WAIT, check_same_thread=False)
    with _closed_on_error(connection):
        for setting in ("locking_mode = EXCLUSIVE", "journal_mode = DELETE"):
            connection.execute(f"PRAGMA {setting}").fetchone()
        connection.execute("PRAGMA locking_mode = NORMAL")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # gives the lock back
        Path(f"{path}-shm").unlink(missing_ok=True)
        return connection


def _open_to_read(path: Path) -> sqlite3.Connection:
    """Open a catalogue; SQLite first undoes what a killed run has left half written.

    Where that cannot be done in place, since all is read-only, it is done in a copy.
    """
    with suppress(sqlite3.OperationalError):
        return _open(path, "ro")
    if os.access(path, os.W_OK):
        _open(path, "rw").close()
        return _open(path, "ro")
    import shutil  # noqa: PLC0415 (hardly ever needed)
    from tempfile import TemporaryDirectory  # noqa: PLC0415

    with TemporaryDirectory(prefix="archiver-") as directory:
        for suffix in ("", "-journal", "-wal"):
            with suppress(FileNotFoundError):
                shutil.copyfile(f"{path}{suffix}", f"{directory}/{path.name}{suffix}")
        with closing(_open(Path(directory, path.name), "rw")) as copy:
            return _copy_in_memory(copy)


def _open(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True)
    with _closed_on_error(connection):
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        return connection


def _copy_in_memory(connection: sqlite3.Connection) -> sqlite3.Connection:
    copy = sqlite3.connect(":memory:")
    with _closed_on_error(copy):
        connection.backup(copy)
        return copy


def _reason(error: sqlite3.Error) -> str:
    """Return SQLite's message; which disk is full, it does not say."""
    if _name(error) == "SQLITE_FULL":
        return f"{error}: the archive's, or that of temporary files ($TMPDIR, or /var/tmp)"
    return str(error)


def _name(error: sqlite3.Error) -> str:
    """Return the name of SQLite's error; Python's own have none."""
    return getattr(error, "sqlite_errorname", "")


@contextmanager
def _closed_on_error(connection: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise
