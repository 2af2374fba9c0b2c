"""The archiver without a single fsync: `python unsynced.py archiver-arguments...`.

After a power cut such an archive may be damaged; the difference in speed is the price of fsync.
"""

import os
import sqlite3
from typing import Any

_PRAGMA = 19
"""SQLITE_PRAGMA, the action code: https://sqlite.org/c3ref/c_alter_table.html"""


def do_not_sync_files() -> None:
    """Make the calls that flush to the disk return at once."""
    for name in ("fsync", "fdatasync", "sync"):
        setattr(os, name, lambda *_: None)


def do_not_sync_sqlite() -> None:
    """Open connections with `synchronous = OFF`, and ignore attempts to change that."""
    connect = sqlite3.connect

    def connecting(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*args, **kwargs)
        connection.execute("PRAGMA synchronous = OFF")
        connection.set_authorizer(_allow_all_but_synchronous)
        return connection

    sqlite3.connect = sqlite3.dbapi2.connect = connecting  # type: ignore[assignment]


def _allow_all_but_synchronous(action: int, name: str | None, value: str | None, *_: Any) -> int:
    changes_it = action == _PRAGMA and (name or "").lower() == "synchronous" and value is not None
    return sqlite3.SQLITE_IGNORE if changes_it else sqlite3.SQLITE_OK


if __name__ == "__main__":
    do_not_sync_files()
    do_not_sync_sqlite()
    from archiver.__main__ import main  # type: ignore[attr-defined]  # built on what is patched

    main()
