"""The lock on an archive is the kernel's: held by one process, and gone with it."""

import errno
import fcntl
import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from archiver.archive.lock import holder, locked
from archiver.errors import ArchiveLocked, StorageError

HOLDER = """
import sys
from pathlib import Path
from archiver.archive.lock import locked

with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_by_another(path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A second process that holds the lock until its input ends, or it is killed."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        watchdog = threading.Timer(60, holder.kill)
        watchdog.start()
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            yield holder
        finally:
            watchdog.cancel()
            holder.kill()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def test_a_lock_can_be_taken_again_and_again(path: Path) -> None:
    """Whoever lets it go leaves it to the next."""
    for _ in range(3):
        with locked(path):
            assert path.exists()


def test_another_process_is_kept_out_and_the_holder_is_named(path: Path) -> None:
    """The message names the holder's pid and since when it holds."""
    before = datetime.now(UTC).replace(microsecond=0)
    with (
        held_by_another(path) as holder,
        pytest.raises(ArchiveLocked, match="another run holds the archive") as refusal,
        locked(path),
    ):
        pass
    found = re.search(r"process (\d+), since ([^)]+)\)", str(refusal.value))
    assert found
    assert int(found[1]) == holder.pid
    since = datetime.strptime(found[2], "%Y-%m-%d %H:%M").astimezone()
    assert before - timedelta(minutes=1) <= since <= datetime.now(UTC)


def test_a_lock_cannot_be_deleted(path: Path) -> None:
    """Without the file that names the holder, the directory is still locked."""
    with held_by_another(path):
        path.unlink()
        with pytest.raises(ArchiveLocked, match="its process is not known"), locked(path):
            pass
    with locked(path):
        assert path.exists()


def test_a_killed_holder_leaves_the_lock_free(path: Path) -> None:
    """SIGKILL lets nobody tidy up: the kernel does."""
    with held_by_another(path) as holder:
        holder.send_signal(signal.SIGKILL)
        holder.wait(40)
        with locked(path):
            assert json.loads(path.read_text())["pid"] == os.getpid()


def test_a_lock_that_is_let_go_in_time_is_waited_for(path: Path) -> None:
    """With `wait`, the next run comes in as soon as the last one has ended."""
    with held_by_another(path) as holder:
        threading.Timer(0.1, holder.kill).start()
        with locked(path, wait=20):
            assert json.loads(path.read_text())["pid"] == os.getpid()


def test_one_process_cannot_hold_it_twice(path: Path) -> None:
    """A second run in the same process is another run all the same."""
    with (
        locked(path),
        pytest.raises(ArchiveLocked, match=f"process {os.getpid()}"),
        locked(path),
    ):
        pass


def test_a_refused_run_leaves_the_holders_name(path: Path) -> None:
    """The error of a third run names the holder, not the second run."""
    with held_by_another(path) as holder:
        for _ in range(2):
            with pytest.raises(ArchiveLocked, match=f"process {holder.pid}"), locked(path):
                pass


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"pid": 1}'])
def test_an_unreadable_name_is_no_hindrance(path: Path, text: str) -> None:
    """A holder whose name is torn holds the lock none the less."""
    with locked(path):
        path.write_text(text)
        with pytest.raises(ArchiveLocked, match="its process is not known"), locked(path):
            pass


def test_a_name_left_behind_locks_nothing(path: Path) -> None:
    """The file alone means nothing, even if it is longer than what is written over it."""
    path.write_text(json.dumps({"pid": 1, "since": "2026-01-01", "more": "x" * 500}))
    with locked(path):
        assert json.loads(path.read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("name", ["missing/lock/file", "."])
def test_a_lock_that_cannot_be_opened_is_disk_trouble(tmp_path: Path, name: str) -> None:
    """No file, no lock: that is the disk's failure, not another run's."""
    (tmp_path / "missing").touch()
    with pytest.raises(StorageError, match=r"locking|writing"), locked(tmp_path / name):
        pass


def test_a_full_disk_leaves_the_lock_free(path: Path) -> None:
    """A holder that cannot write its name fails, and holds nothing."""
    path.symlink_to("/dev/full")
    with pytest.raises(StorageError, match="No space left"), locked(path):
        pass
    path.unlink()
    with locked(path):
        pass


def test_a_directory_that_cannot_be_locked_is_locked_by_its_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on NFS, where a lock needs a file that is open for writing."""
    plain = fcntl.flock

    def flock(descriptor: int, operation: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        plain(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    with locked(path), pytest.raises(ArchiveLocked, match=f"process {os.getpid()}"), locked(path):
        pass
    with locked(path):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_what_goes_wrong_inside_lets_it_go(path: Path) -> None:
    """An error of the holder's passes through, and the lock is free."""
    with pytest.raises(KeyError), locked(path):
        raise KeyError
    with locked(path):
        pass


def test_a_lock_that_is_held_briefly_is_waited_for(tmp_path: Path) -> None:
    """Who only reads keeps no run from working, and is not taken for one."""
    signature = tmp_path / "lock"
    with ExitStack() as reading:
        reading.enter_context(locked(signature, briefly=True))
        assert holder(signature) is None
        threading.Timer(0.3, reading.pop_all().close).start()
        with locked(signature):
            assert holder(signature)
