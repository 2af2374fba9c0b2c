"""Settling on a real disk: what it costs that every promise is kept."""

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


def settling(bench: Workbench) -> None:
    """3,000 videos of 64 KB on a real disk, beside the same without any fsync."""
    with bench.room("settling") as room, _on_disk() as disk:
        fsync, commit = json.loads(succeed(sys.executable, "-c", _COMMITS, str(disk)))
        with site(room, bench.scaled(3000, 20), _SMALL) as videos:
            kept = _flushed_before(ours.fresh("archiver", videos, disk / "archive"))
            broken = _flushed_before(_unsynced(videos, disk / "unsynced"))
            rounds = in_turn((kept, broken), bench.pairs)
        bench.compare("settling", rounds, {broken.name: at_most(1.5)})
        bench.table.note(
            f"settling: on this disk ({file_system(disk) or 'unknown'}) 100 bytes and an fsync "
            f"take {fsync * 1000:.2f} ms, a commit of SQLite (WAL, FULL) {commit * 1000:.2f} ms"
        )


def _unsynced(videos: Site, archive: Path) -> Contender:
    """The same command, run by the module that lets nothing be flushed."""
    _, *arguments = ours.backup(archive, videos.manifest, videos.api)
    command = (sys.executable, "-P", _UNSYNCED, *arguments)
    return ours.fresh("archiver, without any fsync", videos, archive, command)


def _flushed_before(contender: Contender) -> Contender:
    """What an earlier run left to be written is not to be waited for in this one."""

    def prepare() -> None:
        contender.prepare()
        os.sync()

    return replace(contender, prepare=prepare)


@contextmanager
def _on_disk() -> Iterator[Path]:
    """Make a directory that does not lie in memory; it is gone afterwards."""
    beside = Path(__file__).resolve().parents[3]
    for above in (Path("/var/tmp"), beside):
        if os.access(above, os.W_OK) and file_system(above) not in _IN_MEMORY:
            with tempfile.TemporaryDirectory(
                prefix="archiver-benchmarks-", dir=above, ignore_cleanup_errors=True
            ) as directory:
                yield Path(directory)
            return
    raise Unsuccessful("settling needs a disk: /var/tmp and the repository lie in memory")
