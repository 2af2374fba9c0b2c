"""The file that the catalogue is in, and what SQLite's complaints about it mean."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from archiver.errors import DiskTrouble

CATALOGUE = Path(".archiver") / "catalogue.sqlite"
"""Where it is in an archive."""


class Damaged(DiskTrouble):
    """The file is no SQLite database, or a broken one."""


@contextmanager
def sqlite_trouble(path: Path = CATALOGUE) -> Iterator[None]:
    """Translate SQLite's errors: a broken file is one thing, a disk that fails another.

    Raises:
        Damaged: if the file is broken.
        DiskTrouble: if it cannot be read or written.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        raise DiskTrouble(f"the disk failed while using {path}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise Damaged(
            f"{path} is damaged ({error}): move it away, and it is made anew from the archive"
        ) from error
