"""Data scripts: data as JavaScript files, since a page that is opened from disk can load no other.

At every instant each of them is there whole: it is written beside its place, and renamed.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from archiver.archive.durable import write_files

_UNFINISHED = ".new"


def script(name: str, value: object) -> bytes:
    """Return a script that hands a value to the page, under a name.

    It is in ASCII, and nothing in it ends a script element. A browser reads JSON in a string
    twice as fast as the same in its own syntax.
    """
    text = json.dumps(value, separators=(",", ":"))
    for character, escape in (("\\", "\\\\"), ("'", "\\'"), ("<", "\\u003c")):
        text = text.replace(character, escape)
    return f"gallery.take({json.dumps(name)}, '{text}');\n".encode("ascii")


def digest(data: bytes) -> str:
    """Return what distinguishes this version of a file from others, for a browser."""
    return hashlib.sha256(data).hexdigest()[:12]


def write(directory: Path, files: dict[str, bytes]) -> None:
    """Write files into a directory, replacing those that are there.

    Raises:
        OSError: if the disk does not take them.
    """
    unfinished = {f"{directory / name}{_UNFINISHED}": data for name, data in files.items()}
    write_files(unfinished.items())
    for path in unfinished:
        os.replace(path, path.removesuffix(_UNFINISHED))  # noqa: PTH105


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Wait until nobody else writes into the directory, and keep others from it.

    Where a file system has no locks, two writers at once are not noticed: what they write is
    the same but for what has changed in between.

    Raises:
        OSError: if the disk does not allow it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("a") as lock:
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in directory.glob(f"*{_UNFINISHED}"):
            leftover.unlink()
        yield
