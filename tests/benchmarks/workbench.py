"""The workbench: where benchmarks work, how often, and where their results go."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from .comparison import Target, at_most, compared
from .measure import Rounds
from .table import Row, Table

_SHARED_MEMORY = Path("/dev/shm")  # Linux has a tmpfs there
_LARGEST = 6.5e9
"""At most this many bytes are written, at full scale."""


@dataclass(frozen=True, slots=True)
class Workbench:
    """A directory for payloads, and the table that benchmarks fill."""

    directory: Path
    pairs: int = 5
    scale: float = 1.0
    table: Table = field(default_factory=Table)
    raw: dict[str, object] = field(default_factory=dict)

    def scaled(self, count: float, least: int = 1) -> int:
        """Return a count or a size at the scale of this trial."""
        return max(least, round(count * self.scale))

    @contextmanager
    def subdirectory(self, name: str) -> Iterator[Path]:
        """Make an empty directory, and remove it afterwards."""
        subdirectory = self.directory / name
        subdirectory.mkdir()
        try:
            yield subdirectory
        finally:
            shutil.rmtree(subdirectory, ignore_errors=True)

    def keep(self, what: str, rounds: Rounds) -> None:
        """Keep the raw measurements."""
        self.raw[what] = rounds.as_json()

    def compare(
        self, what: str, rounds: Rounds, targets: Mapping[str, Target | None] | None = None
    ) -> None:
        """Show the first contender's runs, then each other's compared with them."""
        self.keep(what, rounds)
        ours, *peers = rounds.runs
        self.table.add(Row(what, ours, rounds.runs[ours]))
        for peer in peers:
            target = (targets or {}).get(peer)
            spread = compared(rounds.of(ours), rounds.of(peer), target)
            self.table.add(Row(what, peer, rounds.runs[peer], spread, target))

    def compare_cpu(self, what: str, rounds: Rounds, targets: Mapping[str, Target | None]) -> None:
        """Show the CPU seconds of the first contender compared with those of some others."""
        ours = next(iter(rounds.runs))
        for peer, target in targets.items():
            spread = compared(
                rounds.of(ours, "cpu"), rounds.of(peer, "cpu"), target or at_most(inf)
            )
            self.table.add(Row(what, f"{peer}: CPU", rounds.runs[peer], spread, target))


@contextmanager
def scratch(scale: float) -> Iterator[Path]:
    """Make a temporary directory for payloads, on tmpfs where there is enough space."""
    above = _SHARED_MEMORY if _has_space(_SHARED_MEMORY, _LARGEST * scale) else None
    with tempfile.TemporaryDirectory(
        prefix="archiver-benchmarks-", dir=above, ignore_cleanup_errors=True
    ) as directory:
        yield Path(directory)


def file_system(path: Path) -> str:
    """Return the kind of file system a directory is on; "" where that is not known."""
    try:
        mounts = [entry.split()[1:3] for entry in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return ""
    real = path.resolve()
    over = [(len(point), kind) for point, kind in mounts if real.is_relative_to(point)]
    return max(over, key=lambda found: found[0])[1] if over else ""


def _has_space(directory: Path, size: float) -> bool:
    if not directory.is_dir() or file_system(directory) != "tmpfs":
        return False
    status = os.statvfs(directory)
    return os.access(directory, os.W_OK) and status.f_bavail * status.f_frsize >= size
