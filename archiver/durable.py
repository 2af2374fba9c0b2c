"""What makes files and directories outlast a power cut."""

import os
from collections.abc import Iterable
from pathlib import Path


def sync(path: Path | str) -> None:
    """Flush a file's data, or a directory's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write(path: str, data: bytes) -> None:
    """Write a file and flush it to the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace(path: Path, lines: Iterable[str]) -> None:
    """Write a file anew so that at every instant the old or the new one is there, whole."""
    temporary = path.with_name(path.name + ".new")
    with temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync(path.parent)
