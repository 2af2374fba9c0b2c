"""The lock on an archive: the kernel's, so it dies with its holder.

What is locked is the directory `.archiver` itself: unlike a lock file in it, nobody deletes it by
mistake. Where a file system has no locks on directories (NFS), the file that names the holder is
locked instead.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from archiver.errors import ArchiveLocked, storage_errors

_POLL = 0.1
"""How often to try again, in seconds, while another run holds the lock."""
_BRIEFLY = 600.0
"""So long, in seconds, a lock that is held briefly is waited for in any case."""
_UNSIGNED = 1.0
"""And so long one that nobody has signed: its holder is just coming, or going."""


@contextmanager
def locked(signature: Path, wait: float = 0, *, briefly: bool = False) -> Iterator[None]:
    """Hold the lock on the directory of the file `signature`, which then names the holder.

    Who only reads an archive may hold it `briefly`, for the records here: no run gives up for that.

    Raises:
        ArchiveLocked: if another process still holds it after `wait` seconds.
        StorageError: if it cannot be opened, or its file system has no locks.
    """
    with storage_errors(f"locking {signature.parent}"):
        descriptor = _locked_descriptor(signature, wait)
    try:
        with storage_errors(f"writing {signature}"):
            signed = {"pid": os.getpid(), "since": _now(), "briefly": briefly}
            signature.write_text(json.dumps(signed))
        yield
    finally:
        with suppress(OSError):
            os.truncate(signature, 0)
        os.close(descriptor)


def holder(signature: Path) -> str | None:
    """Return which process has signed the file and is still running, if any.

    The lock itself is not touched: whoever wants it at this moment must get it.
    """
    try:
        fields = json.loads(signature.read_text())
        if fields.get("briefly"):
            return None
        pid = int(fields["pid"])
        since = datetime.fromisoformat(fields["since"]).astimezone()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    with suppress(PermissionError):  # it is there, and somebody else's
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
    return f"process {pid}, since {since:%Y-%m-%d %H:%M}"


def _locked_descriptor(signature: Path, wait: float) -> int:
    until = time.monotonic() + wait
    descriptor = _lockable(signature)
    try:
        while not _try_lock(descriptor):
            _wait(signature, until)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _lockable(signature: Path) -> int:
    """Open the directory or, where directories cannot be locked, the file."""
    descriptor = os.open(signature.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _try_lock(descriptor)
    except OSError:
        os.close(descriptor)
        return os.open(signature, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    return descriptor


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait(signature: Path, until: float) -> None:
    if time.monotonic() >= until + _patience(signature):
        who = holder(signature) or "its process is not known"
        raise ArchiveLocked(
            f"another run holds the archive ({who}): wait for it to end, or see --lock-wait"
        )
    time.sleep(_POLL)


def _patience(signature: Path) -> float:
    """Return how much longer to wait: who comes or goes has not signed at that moment."""
    try:
        text = signature.read_text()
        if not text:
            return _UNSIGNED
        return _BRIEFLY if json.loads(text).get("briefly") else 0
    except (OSError, ValueError, AttributeError):
        return 0


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
