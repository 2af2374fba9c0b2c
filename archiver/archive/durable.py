"""Durable writes: files and directories that outlast a power cut."""

import os
import stat
from collections.abc import Iterable
from errno import EINVAL, ENOSYS, ENOTSUP
from pathlib import Path

_NO_FLUSH_OF_DIRECTORIES = (EINVAL, ENOSYS, ENOTSUP)


def fsync(path: Path | str) -> None:
    """Flush a file's data, or a directory's entries, to the disk.

    CIFS and some FUSE file systems have no way to flush a directory (fsync(2), EINVAL): there the
    server sees to that, and nothing is left to do here.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FLUSH_OF_DIRECTORIES or not _is_directory(descriptor):
            raise
    finally:
        os.close(descriptor)


def write_files(files: Iterable[tuple[str, bytes]]) -> None:
    """Write files, then flush them all: the disk can work on them together."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    descriptors = []
    try:
        for path, data in files:
            descriptors.append(descriptor := os.open(path, flags, 0o666))
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        for descriptor in descriptors:
            os.fsync(descriptor)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def replace(path: Path, lines: Iterable[str]) -> None:
    """Rewrite a text file: at every instant either the old or the new one is there, whole."""
    temporary = path.with_name(path.name + ".new")
    with temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    fsync(path.parent)


def _is_directory(descriptor: int) -> bool:
    return stat.S_ISDIR(os.fstat(descriptor).st_mode)
