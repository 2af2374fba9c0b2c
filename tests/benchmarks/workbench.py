"""The workbench: where benchmarks work, how often, and where they write what they find."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .comparison import Target, compared
from .measure import Rounds
from .table import Row, Table

_SHARED_MEMORY = Path("/dev/shm")  # where Linux has its tmpfs for everybody
_ROOM = 6e9
"""So many bytes are taken at most, at full scale."""


@dataclass(frozen=True, slots=True)
class Workbench:
    """A directory for payloads, and the table that benchmarks fill."""

    directory: Path
    pairs: int = 5
    scale: float = 1.0
    table: Table = field(default_factory=Table)
    raw: dict[str, object] = field(default_factory=dict)

    def scaled(self, count: float, least: int = 1) -> int:
        """Return a count or a size as large as this trial wants it."""
        return max(least, round(count * self.scale))

    @contextmanager
    def room(self, name: str) -> Iterator[Path]:
        """Make an empty directory; it is gone afterwards."""
        room = self.directory / name
        room.mkdir()
        try:
            yield room
        finally:
            shutil.rmtree(room, ignore_errors=True)

    def keep(self, what: str, rounds: Rounds) -> None:
        """Keep the raw measurements."""
        self.raw[what] = rounds.as_json()

    def compare(
        self, what: str, rounds: Rounds, targets: Mapping[str, Target | None] | None = None
    ) -> None:
        """Show the first contender's runs, and each other's beside them."""
        self.keep(what, rounds)
        ours, *peers = rounds.runs
        self.table.add(Row(what, ours, rounds.runs[ours]))
        for peer in peers:
            target = (targets or {}).get(peer)
            spread = compared(rounds.of(ours), rounds.of(peer), target)
            self.table.add(Row(what, peer, rounds.runs[peer], spread, target))


@contextmanager
def scratch(scale: float) -> Iterator[Path]:
    """Make a directory for payloads, on tmpfs where one has room; it is gone afterwards."""
    above = _SHARED_MEMORY if _has_room(_SHARED_MEMORY, _ROOM * scale) else None
    with tempfile.TemporaryDirectory(
        prefix="archiver-benchmarks-", dir=above, ignore_cleanup_errors=True
    ) as directory:
        yield Path(directory)


def file_system(path: Path) -> str:
    """Return what kind of file system a directory lies on; "" where that is not told."""
    try:
        mounts = [entry.split()[1:3] for entry in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return ""
    real = path.resolve()
    over = [(len(point), kind) for point, kind in mounts if real.is_relative_to(point)]
    return max(over, key=lambda found: found[0])[1] if over else ""


def _has_room(directory: Path, size: float) -> bool:
    if not directory.is_dir() or file_system(directory) != "tmpfs":
        return False
    status = os.statvfs(directory)
    return os.access(directory, os.W_OK) and status.f_bavail * status.f_frsize >= size
