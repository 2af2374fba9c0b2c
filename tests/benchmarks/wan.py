"""Real networks: requests that take long to be answered, and links that fail."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from . import ours
from .comparison import Spread, Target, at_most
from .measure import Contender, Rounds, in_turn
from .payloads import write_payloads
from .servers import far_away
from .site import FIRST_ID, Site
from .table import Row
from .workbench import Workbench

_COUNT = 80
_SIZE = 3_000_000
_DOWNLOADS = 8
_API_DELAY = 0.3
_FIRST_BYTE = 0.2
_RATE = 5e6
"""In bytes a second, on each connection."""
_API_RATE = 5
"""In requests a second: the default of --api-rate."""
_TIMEOUT = 2.0
"""For how long a connection may be silent, in seconds, where some fall silent."""
_NETWORK = (str(_API_DELAY), str(_FIRST_BYTE), str(_RATE))


@dataclass(frozen=True, slots=True)
class _Case:
    """A run, and the seconds that it takes at best: computed, not measured."""

    contender: Contender
    ideal: float
    target: Target


def wan(bench: Workbench) -> None:
    """80 videos of 3 MB from far away: compared with what the network allows at best."""
    count = bench.scaled(_COUNT, 10)
    ids = range(FIRST_ID, FIRST_ID + count)
    with bench.subdirectory("wan") as home:
        write_payloads(home / "videos", ids, _SIZE)
        with (
            far_away(home / "videos", *_NETWORK) as port,
            far_away(home / "videos", *_NETWORK, "faults") as failing,
        ):
            cases = _cases(Site(home, port, ids), Site(home, failing, ids))
            rounds = in_turn([case.contender for case in cases], bench.pairs)
    bench.keep("wan", rounds)
    for case in cases:
        _show(bench, rounds, case)
    bench.table.note(
        f"wan: the API responds after {_API_DELAY} s; a link sends its first byte after "
        f"{_FIRST_BYTE} s, then {_RATE / 1e6:g} MB a second on each of {_DOWNLOADS} connections; "
        f"with faults, one link in ten falls silent once, until --timeout {_TIMEOUT:g}s, half of "
        "these in mid-body, and one in ten answers 503 once. An ideal is computed: from this "
        "alone, without the start of any program"
    )


def _cases(sound: Site, failing: Site) -> Sequence[_Case]:
    count = len(sound.ids)
    return (
        _Case(_run("archiver", sound), ideal(count), at_most(1.15)),
        _Case(
            _run(f"archiver, --api-rate {_API_RATE}/s", sound, "--api-rate", f"{_API_RATE}/s"),
            count / _API_RATE,
            at_most(1.1),
        ),
        _Case(
            _run("archiver, with faults", failing, "--timeout", f"{_TIMEOUT}"),
            ideal_with_faults(failing.ids),
            at_most(1.15),
        ),
    )


def _run(name: str, site: Site, *options: str) -> Contender:
    archive = site.directory / "archive"
    backup = ours.backup(archive, site.manifest, site.api)
    command = (*backup, "--downloads", str(_DOWNLOADS), *options)
    return ours.fresh(name, site, archive, command)


def ideal(count: int) -> float:
    """Return how many seconds the downloads take, with all slots in use and the API asked ahead."""
    return ceil(count / _DOWNLOADS) * (_FIRST_BYTE + _SIZE / _RATE)


def ideal_with_faults(ids: range) -> float:
    """Return the same where what fails once occupies a slot, and is then completed at once.

    In mid-body that is one more first byte, and the silence; before the head the silence alone,
    for then it is counted from the request; and for a 503 its own first byte.
    """
    mid_body = sum(id_ % 20 == 3 for id_ in ids)
    before_head = sum(id_ % 20 == 13 for id_ in ids)
    unavailable = sum(id_ % 10 == 7 for id_ in ids)
    lost = (mid_body + before_head) * _TIMEOUT + (mid_body + unavailable) * _FIRST_BYTE
    return (len(ids) * (_FIRST_BYTE + _SIZE / _RATE) + lost) / _DOWNLOADS


def _show(bench: Workbench, rounds: Rounds, case: _Case) -> None:
    name = case.contender.name
    bench.table.add(Row("wan", name, rounds.runs[name]))
    spread = Spread.of([wall / case.ideal for wall in rounds.of(name)])
    bench.table.add(
        Row("wan", f"  the ideal: {case.ideal:.1f} s, computed", (), spread, case.target)
    )
