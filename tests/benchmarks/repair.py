"""Repair: the time it takes grows with what is damaged, and no faster."""

from pathlib import Path

from . import ours
from .comparison import Spread, at_most, ratios
from .measure import Contender, in_turn, measured
from .site import Site, site
from .table import Row
from .tools import archiver
from .workbench import Workbench

_FEW, _MANY = 2000, 20_000
_SIZE = 8 * 1024
_GROWTH = at_most(12)


def repair(bench: Workbench) -> None:
    """20,000 damaged generations fetched anew, against 2,000: at most 12 times as long."""
    few, many = bench.scaled(_FEW, 10), bench.scaled(_MANY, 100)
    with (
        bench.subdirectory("few") as few_home,
        bench.subdirectory("many") as many_home,
        site(few_home, few, _SIZE) as few_videos,
        site(many_home, many, _SIZE) as many_videos,
    ):
        contenders = [_repair(few_videos), _repair(many_videos)]
        rounds = in_turn(contenders, bench.pairs)
    bench.keep("repair", rounds)
    less, more = rounds.runs
    growth = Spread.of(ratios(rounds.of(more), rounds.of(less)))
    bench.table.add(Row("repair", less, rounds.runs[less]))
    bench.table.add(Row("repair", more, rounds.runs[more], growth, _GROWTH))


def _repair(videos: Site) -> Contender:
    """Repair an archive of which every video is damaged."""
    archive = videos.directory / "archive"
    measured(ours.fresh("backup", videos, archive))
    command = (
        archiver(), "verify", "--repair", "-a", str(archive), "--api-url", videos.api,
        "--api-rate", "1000000/s", "--downloads", "16", "--allow-private-links", "--min-free", "0",
        "--wait", "0", "-q", "--json",
    )  # fmt: skip
    name = f"{len(videos.ids):,} damaged"
    return Contender(name, command, prepare=lambda: _damage(archive))


def _damage(archive: Path) -> None:
    """Change a byte of every video."""
    ours.remove(archive / ".archiver" / "quarantine")
    for video in archive.glob("data/v6/deepfake/*.mp4"):
        with video.open("r+b") as file:
            file.seek(-1, 2)
            last = file.read(1)
            file.seek(-1, 2)
            file.write(bytes([last[0] ^ 1]))
