"""The lock on an archive: the kernel's, so it dies with its holder."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from archiver.errors import ArchiveLocked, storage_errors


@contextmanager
def locked(path: Path, wait: float = 0) -> Iterator[None]:
    """Hold the lock file at `path` with `flock`; wait for it at most `wait` seconds.

    Raises:
        ArchiveLocked: if another process holds it; the message names its pid and since when.
        StorageError: if the file cannot be opened, or its file system has no locks.
    """
    lock = FileLock(path, fallback_to_soft=False, on_acquired=_sign)
    with storage_errors(f"locking {path}"):
        _acquire(lock, wait)
    try:
        with _directory_locked(path.parent):
            yield
    finally:
        with suppress(OSError):
            os.truncate(path, 0)  # the signature
        lock.release()


@contextmanager
def _directory_locked(directory: Path) -> Iterator[None]:
    """Hold the directory too: a lock file can be deleted, and the next run would make a new one."""
    with storage_errors(f"locking {directory}"):
        descriptor = os.open(directory, os.O_RDONLY)
    try:
        with suppress(OSError):  # of a file system that has no locks on directories
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ArchiveLocked(
                    "another run holds the archive, whose lock file was deleted: wait for it to end"
                ) from None
        yield
    finally:
        os.close(descriptor)


def _acquire(lock: BaseFileLock, wait: float) -> None:
    try:
        lock.acquire(timeout=wait)
    except Timeout:
        who = holder(Path(lock.lock_file)) or "its process is not known"
        raise ArchiveLocked(
            f"another run holds the archive ({who}): wait for it to end, or see --lock-wait"
        ) from None


def _sign(descriptor: int) -> None:
    """Leave the holder's name for whoever finds the archive locked; it locks nothing itself."""
    signature = {"pid": os.getpid(), "since": datetime.now(UTC).isoformat(timespec="seconds")}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(signature).encode(), 0)


def holder(path: Path) -> str | None:
    """Return which process has signed the lock file and is still there, if any.

    The lock itself is not touched: whoever wants it at this moment must get it.
    """
    try:
        signature = json.loads(path.read_text())
        pid = int(signature["pid"])
        since = datetime.fromisoformat(signature["since"]).astimezone()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    with suppress(PermissionError):  # it is there, and somebody else's
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
    return f"process {pid}, since {since:%Y-%m-%d %H:%M}"
