"""Downloads: large videos and small ones, compared with other downloaders."""

from statistics import median

from . import ours, peers
from .comparison import at_least, at_most
from .measure import Rounds, in_turn
from .site import Site, site
from .workbench import Workbench

_LARGE = 20_000_000
_SMALL = 64 * 1024


def big(bench: Workbench) -> None:
    """60 videos of 20 MB: API requests, downloads, hashes and commits."""
    with bench.subdirectory("big") as home, site(home, bench.scaled(60, 2), _LARGE) as videos:
        out = home / "out"
        contenders = (
            ours.fresh("archiver", videos, home / "archive"),
            peers.floor(videos, out),
            peers.aria2c(videos, out),
            peers.parfive(videos, out),
            peers.curl(videos, out),
        )
        rounds = in_turn(contenders, bench.pairs)
    targets = {"floor": at_most(1.15), "aria2c": at_most(1.25), "parfive": at_least(3)}
    bench.compare("big", rounds, targets)
    bench.compare_cpu("big", rounds, {"floor": at_most(1.15)})


def small(bench: Workbench) -> None:
    """3,000 videos of 64 KB, with an API request for each."""
    count = bench.scaled(3000, 20)
    with bench.subdirectory("small") as home, site(home, count, _SMALL) as videos:
        out = home / "out"
        contenders = (
            ours.fresh("archiver", videos, home / "archive"),
            peers.floor(videos, out),
            peers.parfive(videos, out),
            peers.parfive_unsplit(videos, out),
            peers.aria2c(videos, out),
            peers.curl(videos, out),
        )
        rounds = in_turn(contenders, bench.pairs)
    targets = {"floor": at_most(1.6), "parfive, max_splits=1": at_least(1)}
    bench.compare("small", rounds, targets)
    bench.compare_cpu("small", rounds, {"floor": None})
    bench.table.note(_speeds(rounds, videos))


def _speeds(rounds: Rounds, videos: Site) -> str:
    """Describe how many videos a second each got; parfive asks no API and hashes nothing."""
    speeds = {name: len(videos.ids) / median(rounds.of(name)) for name in rounds.runs}
    listed = ", ".join(f"{name} {speed:,.0f}" for name, speed in speeds.items())
    return f"small: videos a second: {listed}"
