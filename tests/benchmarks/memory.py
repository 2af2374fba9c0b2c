"""Memory: it grows neither with the size of a video nor with the length of the list."""

from collections.abc import Sequence

from . import ours
from .comparison import Spread, at_most
from .held import held_archive, id_list
from .lists import new_run
from .measure import Contender, Rounds, in_turn
from .site import FIRST_ID, site
from .table import Row
from .workbench import Workbench

_LARGE = 1_000_000_000
_SMALL = 10_000_000
_SAME = at_most(20, "MB")


def memory(bench: Workbench) -> None:
    """Peak memory: a video of 1 GB against 10 MB; 1,000,000 IDs, held or new, against 1,000."""
    _sizes(bench)
    _held(bench)
    _new(bench)


def _sizes(bench: Workbench) -> None:
    sizes = (_SMALL, bench.scaled(_LARGE, 2 * _SMALL))
    with (
        bench.subdirectory("small") as small_home,
        bench.subdirectory("large") as large_home,
        site(small_home, 1, sizes[0]) as small,
        site(large_home, 1, sizes[1], FIRST_ID + 1) as large,
    ):
        contenders = [
            ours.fresh(f"a video of {size // 1_000_000:,} MB", videos, videos.directory / "archive")
            for size, videos in zip(sizes, (small, large), strict=True)
        ]
        _show(bench, contenders, "sizes")


def _held(bench: Workbench) -> None:
    contenders = []
    for count in _lengths(bench):
        archive, ids = held_archive(bench.directory, count), id_list(bench.directory, count)
        contenders.append(ours.quiet(f"{count:,} held", archive, ids, count))
    _show(bench, contenders, "held")


def _new(bench: Workbench) -> None:
    _show(bench, [new_run(bench, count, 1000) for count in _lengths(bench)], "new")


def _lengths(bench: Workbench) -> tuple[int, int]:
    return 1000, bench.scaled(1_000_000, 2000)


def _show(bench: Workbench, contenders: Sequence[Contender], what: str) -> None:
    rounds = in_turn(contenders, bench.pairs)
    bench.keep(f"memory: {what}", rounds)
    less, more = rounds.runs
    bench.table.add(Row("memory", less, rounds.runs[less]))
    bench.table.add(Row("memory", more, rounds.runs[more], _difference(rounds, more, less), _SAME))


def _difference(rounds: Rounds, more: str, less: str) -> Spread:
    peaks = zip(rounds.of(more, "peak"), rounds.of(less, "peak"), strict=True)
    return Spread.of([one - other for one, other in peaks])
