"""Downloads: large videos and small ones, beside programs that do less or are slower."""

from statistics import median

from . import ours, peers
from .comparison import at_least, at_most
from .measure import Rounds, in_turn
from .site import Site, site
from .workbench import Workbench

_LARGE = 20_000_000
_SMALL = 64 * 1024


def big(bench: Workbench) -> None:
    """60 videos of 20 MB, asked for, hashed and settled."""
    with bench.room("big") as room, site(room, bench.scaled(60, 2), _LARGE) as videos:
        out = room / "out"
        contenders = (
            ours.fresh("archiver", videos, room / "archive"),
            peers.aria2c(videos, out),
            peers.aria2c_then_sha256sum(videos, out),
            peers.parfive(videos, out),
            peers.curl(videos, out),
        )
        rounds = in_turn(contenders, bench.pairs)
    targets = {
        "aria2c": at_most(1.25),
        "aria2c, then sha256sum": at_least(3),
        "parfive": at_least(3),
    }
    bench.compare("big", rounds, targets)


def small(bench: Workbench) -> None:
    """3,000 videos of 64 KB, each asked for on its own."""
    with bench.room("small") as room, site(room, bench.scaled(3000, 20), _SMALL) as videos:
        out = room / "out"
        contenders = (
            ours.fresh("archiver", videos, room / "archive"),
            peers.parfive(videos, out),
            peers.parfive_unsplit(videos, out),
            peers.aria2c(videos, out),
            peers.curl(videos, out),
        )
        rounds = in_turn(contenders, bench.pairs)
    bench.compare("small", rounds, {"parfive": at_least(2)})
    bench.table.note(_speeds(rounds, videos))


def _speeds(rounds: Rounds, videos: Site) -> str:
    """Say how many a second; parfive asks no API and hashes nothing."""
    speeds = {name: len(videos.ids) / median(rounds.of(name)) for name in rounds.runs}
    told = ", ".join(f"{name} {speed:,.0f}" for name, speed in speeds.items())
    return f"small: videos a second: {told}"
