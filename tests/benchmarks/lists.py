"""Long lists: nights on which all or nearly all is held already."""

import shutil
import sys
from pathlib import Path

from . import ours
from .comparison import Spread, at_most, ratios
from .held import held_archive, id_list
from .measure import Contender, Measurement, Rounds, in_turn
from .site import FIRST_ID, Site, site
from .table import Row
from .workbench import Workbench

_SET = "import sys\nwith open(sys.argv[1]) as lines:\n    held = {line.strip() for line in lines}"
_SET_WALL = at_most(2 / 0.7)
_SET_PEAK = at_most(80 / 112)
_GROWTH = at_most(4.4)
_BUSY = at_most(1.1)
_SMALL = 64 * 1024


def quiet(bench: Workbench) -> None:
    """1,000,000 IDs, all held: beside a Python set of them, and beside a quarter as many."""
    whole = bench.scaled(1_000_000, 1000)
    whole_night, quarter_night = _night(bench, whole), _night(bench, whole // 4)
    with bench.room("quiet") as room:
        lines = str(id_list(room, whole))
        a_set = Contender("a Python set of the IDs", (sys.executable, "-c", _SET, lines))
        rounds = in_turn((whole_night, a_set, quarter_night), bench.pairs)
    bench.keep("quiet", rounds)
    bench.table.add(Row("quiet", whole_night.name, rounds.runs[whole_night.name]))
    _show(bench, rounds, whole_night.name, a_set.name)
    quarter = quarter_night.name
    growth = Spread.of(ratios(rounds.of(whole_night.name), rounds.of(quarter)))
    bench.table.add(Row("quiet", quarter, rounds.runs[quarter], growth, _GROWTH))


def _night(bench: Workbench, count: int) -> Contender:
    archive, ids = held_archive(bench.directory, count), id_list(bench.directory, count)
    return ours.quiet(f"{count:,} held", archive, ids, count)


def _show(bench: Workbench, rounds: Rounds, night: str, a_set: str) -> None:
    runs = rounds.runs[a_set]
    for quantity, target in (("wall", _SET_WALL), ("peak", _SET_PEAK)):
        spread = Spread.of(ratios(rounds.of(night, quantity), rounds.of(a_set, quantity)))
        bench.table.add(Row("quiet", f"{a_set}: {quantity}", runs, spread, target))


def busy(bench: Workbench) -> None:
    """1,000,000 IDs, 1,000 of them new: beside the quiet night and the 1,000 alone."""
    count, new = bench.scaled(1_000_000, 1000), bench.scaled(1000, 20)
    before = held_archive(bench.directory, count - new)
    with bench.room("busy") as room, site(room, new, _SMALL, FIRST_ID + count - new) as videos:
        archive, ids = room / "archive", id_list(room, count)
        contenders = (
            _busy_night(before, archive, ids, videos),
            ours.quiet("the quiet night after", archive, ids, count),
            ours.fresh(f"the {new:,} alone", videos, room / "alone"),
        )
        rounds = in_turn(contenders, bench.pairs)
    _show_busy(bench, rounds)


def _busy_night(before: Path, archive: Path, ids: Path, videos: Site) -> Contender:
    def restore() -> None:
        ours.remove(archive)
        shutil.copytree(before, archive)

    count = int(before.name.rpartition("-")[2]) + len(videos.ids)
    return Contender(
        f"{len(videos.ids):,} new of {count:,}",
        ours.backup(archive, ids, videos.api),
        prepare=restore,
        check=lambda _: ours.check_listed(archive, count),
    )


def _show_busy(bench: Workbench, rounds: Rounds) -> None:
    bench.keep("busy", rounds)
    names = list(rounds.runs)
    for name in names:
        bench.table.add(Row("busy", name, rounds.runs[name]))
    night, quiet_runs, alone_runs = (rounds.runs[name] for name in names)
    both = [one + other for one, other in zip(quiet_runs, alone_runs, strict=True)]
    spread = Spread.of(ratios(_walls(night), _walls(both)))
    bench.table.add(Row("busy", "quiet and alone together", both, spread, _BUSY))


def _walls(runs: list[Measurement]) -> list[float]:
    return [run.wall for run in runs]
