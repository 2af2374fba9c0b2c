"""Programs that download the same links: the barest loop, aria2c, parfive, curl."""

import sys
from collections.abc import Sequence
from pathlib import Path

from .measure import Contender, Unsuccessful
from .ours import remove
from .site import Site

CONNECTIONS = 16
_ARIA2C = (
    "aria2c", "--no-conf", f"-j{CONNECTIONS}", "--file-allocation=none", "--summary-interval=0",
    "--quiet", "--console-log-level=error",
)  # fmt: skip
_PARFIVE = str(Path(__file__).with_name("parfive_peer.py"))
_FLOOR = str(Path(__file__).with_name("floor_peer.py"))


def floor(site: Site, out: Path) -> Contender:
    """Ask, download and hash with the same HTTP library, and nothing else."""
    what = (str(site.manifest), site.api, str(out), str(CONNECTIONS))
    return _into(out, "floor", site, (sys.executable, "-P", _FLOOR, *what))


def aria2c(site: Site, out: Path) -> Contender:
    """Only download."""
    return _into(out, "aria2c", site, _aria2c(site, out))


def parfive(site: Site, out: Path) -> Contender:
    """Download in Python, each file in five concurrent ranges: parfive's default."""
    return _into(out, "parfive", site, _parfive(site, out, 5))


def parfive_unsplit(site: Site, out: Path) -> Contender:
    """Download in Python, each file in one piece: faster for small files."""
    return _into(out, "parfive, max_splits=1", site, _parfive(site, out, 1))


def curl(site: Site, out: Path) -> Contender:
    """Download with the program that everybody has."""
    how = ("-q", "--fail", "--silent", "--show-error")
    parallel = ("--parallel", "--parallel-max", str(CONNECTIONS))
    config = ("--config", str(site.curl_config(out)))
    return _into(out, "curl --parallel", site, ("curl", *how, *parallel, *config))


def _parfive(site: Site, out: Path, splits: int) -> tuple[str, ...]:
    how = (str(CONNECTIONS), str(splits))
    return (sys.executable, "-P", _PARFIVE, str(site.links), str(out), *how)


def _aria2c(site: Site, out: Path) -> tuple[str, ...]:
    return (*_ARIA2C, "-d", str(out), "-i", str(site.links))


def _into(out: Path, name: str, site: Site, command: Sequence[str]) -> Contender:
    def prepare() -> None:
        remove(out)
        out.mkdir()

    def check(_: object) -> None:
        found = sum(1 for path in out.iterdir() if path.suffix == ".mp4")
        if found != len(site.ids):
            raise Unsuccessful(f"{name}: {found:,} files, not {len(site.ids):,}")

    return Contender(name, command, prepare, check)
