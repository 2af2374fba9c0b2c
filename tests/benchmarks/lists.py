"""Long lists: runs in which all or nearly all is held already."""

import shutil
import sys
from pathlib import Path

from . import ours
from .comparison import Spread, at_most, ratios
from .held import held_archive, id_list
from .measure import Contender, Measurement, Rounds, Unsuccessful, in_turn
from .site import FIRST_ID, Site, site
from .table import Row
from .workbench import Workbench

_SET = "import sys\nwith open(sys.argv[1]) as lines:\n    held = {line.strip() for line in lines}"
_SET_WALL = at_most(2 / 0.7)
_SET_PEAK = at_most(80 / 112)
_GROWTH = at_most(4.4)
_COMPARED = 10_000
"""Lines at the beginning of an output that are compared with what they should be."""
_BUSY = at_most(1.1)
_DRY = at_most(4)
_SMALL = 64 * 1024


def quiet(bench: Workbench) -> None:
    """1,000,000 IDs, all held: compared with a Python set, and with a quarter as many."""
    whole = bench.scaled(1_000_000, 1000)
    all_held, quarter_held = _quiet_run(bench, whole), _quiet_run(bench, whole // 4)
    with bench.subdirectory("quiet") as home:
        lines = str(id_list(home, whole))
        a_set = Contender("a Python set of the IDs", (sys.executable, "-c", _SET, lines))
        rounds = in_turn((all_held, a_set, quarter_held), bench.pairs)
    bench.keep("quiet", rounds)
    bench.table.add(Row("quiet", all_held.name, rounds.runs[all_held.name]))
    _show(bench, rounds, all_held.name, a_set.name)
    quarter = quarter_held.name
    growth = Spread.of(ratios(rounds.of(all_held.name), rounds.of(quarter)))
    bench.table.add(Row("quiet", quarter, rounds.runs[quarter], growth, _GROWTH))


def _quiet_run(bench: Workbench, count: int) -> Contender:
    archive, ids = held_archive(bench.directory, count), id_list(bench.directory, count)
    return ours.quiet(f"{count:,} held", archive, ids, count)


def _show(bench: Workbench, rounds: Rounds, ours: str, a_set: str) -> None:
    runs = rounds.runs[a_set]
    for quantity, target in (("wall", _SET_WALL), ("peak", _SET_PEAK)):
        spread = Spread.of(ratios(rounds.of(ours, quantity), rounds.of(a_set, quantity)))
        bench.table.add(Row("quiet", f"{a_set}: {quantity}", runs, spread, target))


def dry_run(bench: Workbench) -> None:
    """1,000,000 new IDs, --dry-run -q: compared with a quiet run of as many that are held."""
    count = bench.scaled(1_000_000, 1000)
    held = _quiet_run(bench, count)
    rounds = in_turn((new_run(bench, count, count), held), bench.pairs)
    bench.compare("dry-run", rounds, {held.name: _DRY})
    bench.compare_cpu("dry-run", rounds, {held.name: _DRY})


def new_run(bench: Workbench, count: int, held: int) -> Contender:
    """Return a dry run of new IDs, in an archive that holds others."""
    archive, first = held_archive(bench.directory, held), FIRST_ID + held
    beginning = "".join(
        f"would fetch v6/deepfake/{id_}\n" for id_ in range(first, first + min(count, _COMPARED))
    )

    def check(run: Measurement) -> None:
        if not run.out.startswith(beginning):
            raise Unsuccessful(f"a dry run does not list the {count:,} that are new")

    command = ours.backup(archive, id_list(bench.directory, count, first))
    return Contender(f"{count:,} new", (*command, "--dry-run"), check=check)


def busy(bench: Workbench) -> None:
    """1,000,000 IDs, 1,000 of them new: compared with a quiet run and the 1,000 alone."""
    count, new = bench.scaled(1_000_000, 1000), bench.scaled(1000, 20)
    before = held_archive(bench.directory, count - new)
    first = FIRST_ID + count - new
    with bench.subdirectory("busy") as home, site(home, new, _SMALL, first) as videos:
        archive, ids = home / "archive", id_list(home, count)
        contenders = (
            _busy_run(before, archive, ids, videos),
            ours.quiet("the quiet run after it", archive, ids, count),
            ours.fresh(f"the {new:,} alone", videos, home / "alone"),
        )
        rounds = in_turn(contenders, bench.pairs)
    _show_busy(bench, rounds)


def _busy_run(before: Path, archive: Path, ids: Path, videos: Site) -> Contender:
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
    busy_runs, quiet_runs, alone_runs = (rounds.runs[name] for name in names)
    both = [one + other for one, other in zip(quiet_runs, alone_runs, strict=True)]
    spread = Spread.of(ratios(_walls(busy_runs), _walls(both)))
    bench.table.add(Row("busy", "quiet and alone together", both, spread, _BUSY))


def _walls(runs: list[Measurement]) -> list[float]:
    return [run.wall for run in runs]
