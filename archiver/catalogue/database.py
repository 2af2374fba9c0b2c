"""The file that the catalogue is in, and what SQLite's complaints about it mean."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from archiver.errors import StorageError

CATALOGUE = Path(".archiver") / "catalogue.sqlite"
"""Where it is in an archive."""


class Damaged(StorageError):
    """The file is no SQLite database, or a broken one."""

    def __init__(self, path: Path, error: sqlite3.DatabaseError) -> None:
        self.what = f"{path} is damaged ({error})"
        super().__init__(f"{self.what}: the next backup puts it aside and makes it anew")


@contextmanager
def sqlite_errors(path: Path = CATALOGUE) -> Iterator[None]:
    """Translate SQLite's errors: a broken file is one thing, a disk that fails another.

    Raises:
        Damaged: if the file is broken.
        StorageError: if it cannot be read or written.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StorageError(f"the disk failed while using {path}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise Damaged(path, error) from error
