"""The lock on an archive: the kernel's, so it dies with its holder."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from archiver.errors import ArchiveLocked, disk_trouble


@contextmanager
def locked(path: Path, wait: float = 0) -> Iterator[None]:
    """Hold the lock file at `path` with `flock`; wait for it at most `wait` seconds.

    Raises:
        ArchiveLocked: if another process holds it; the message names its pid and since when.
        DiskTrouble: if the file cannot be opened, or its file system has no locks.
    """
    lock = FileLock(path, fallback_to_soft=False, on_acquired=_sign)
    with disk_trouble(f"locking {path}"):
        _acquire(lock, wait)
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: BaseFileLock, wait: float) -> None:
    try:
        lock.acquire(timeout=wait)
    except Timeout:
        holder = _holder(Path(lock.lock_file))
        raise ArchiveLocked(
            f"another run holds the archive ({holder}): wait for it to end"
        ) from None


def _sign(descriptor: int) -> None:
    """Leave the holder's name for whoever finds the archive locked; it locks nothing itself."""
    signature = {"pid": os.getpid(), "since": datetime.now(UTC).isoformat(timespec="seconds")}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(signature).encode(), 0)


def _holder(path: Path) -> str:
    try:
        signature = json.loads(path.read_text())
        return f"process {signature['pid']}, since {signature['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "its process is not known"
