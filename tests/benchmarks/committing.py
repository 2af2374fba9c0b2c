"""Committing to a real disk: what durability costs."""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from . import ours
from .comparison import at_most
from .measure import Contender, Unsuccessful, in_turn, succeed
from .site import Site, site
from .workbench import Workbench, file_system

_SMALL = 64 * 1024
_UNSYNCED = str(Path(__file__).with_name("unsynced.py"))
_IN_MEMORY = {"tmpfs", "ramfs"}
_COMMITS = """
import json, os, sqlite3, sys, time
from statistics import median

directory, count = sys.argv[1], 200

def timed(step):
    start = time.perf_counter()
    step()
    return time.perf_counter() - start

def append():
    file.write(bytes(100))
    os.fsync(file.fileno())

def commit():
    with database:
        database.execute("INSERT INTO t VALUES (zeroblob(100))")

file = open(os.path.join(directory, "appended"), "wb", buffering=0)
database = sqlite3.connect(os.path.join(directory, "committed.sqlite"))
for pragma in ("journal_mode = WAL", "synchronous = FULL"):
    database.execute(f"PRAGMA {pragma}")
database.execute("CREATE TABLE t (b BLOB)")
print(json.dumps([median(timed(step) for _ in range(count)) for step in (append, commit)]))
"""


def committing(bench: Workbench) -> None:
    """3,000 videos of 64 KB on a real disk: compared with the same without any fsync."""
    with bench.subdirectory("committing") as home, _on_disk() as disk:
        fsync, commit = json.loads(succeed(sys.executable, "-c", _COMMITS, str(disk)))
        with site(home, bench.scaled(3000, 20), _SMALL) as videos:
            synced = _flushed_before(ours.fresh("archiver", videos, disk / "archive"))
            unsynced = _flushed_before(_unsynced(videos, disk / "unsynced"))
            rounds = in_turn((synced, unsynced), bench.pairs)
        bench.compare("committing", rounds, {unsynced.name: at_most(1.4)})
        bench.table.note(
            f"committing: on this disk ({file_system(disk) or 'unknown'}) an append of 100 bytes "
            f"with an fsync takes {fsync * 1000:.2f} ms, a commit of SQLite (WAL, FULL) "
            f"{commit * 1000:.2f} ms"
        )


def _unsynced(videos: Site, archive: Path) -> Contender:
    """Return the same command, without any flush to the disk."""
    _, *arguments = ours.backup(archive, videos.manifest, videos.api)
    command = (sys.executable, "-P", _UNSYNCED, *arguments)
    return ours.fresh("archiver, without any fsync", videos, archive, command)


def _flushed_before(contender: Contender) -> Contender:
    """Flush what earlier runs left unwritten before this contender runs."""

    def prepare() -> None:
        contender.prepare()
        os.sync()

    return replace(contender, prepare=prepare)


@contextmanager
def _on_disk() -> Iterator[Path]:
    """Make a temporary directory on a real disk."""
    beside = Path(__file__).resolve().parents[3]
    for above in (Path("/var/tmp"), beside):
        if os.access(above, os.W_OK) and file_system(above) not in _IN_MEMORY:
            with tempfile.TemporaryDirectory(
                prefix="archiver-benchmarks-", dir=above, ignore_cleanup_errors=True
            ) as directory:
                yield Path(directory)
            return
    raise Unsuccessful("committing needs a disk: /var/tmp and the repository are in memory")
