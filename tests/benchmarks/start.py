"""Start-up: how long the command line takes to print its help, and to find nothing to do."""

import sys

from . import ours
from .comparison import at_most
from .held import held_archive, id_list
from .measure import Contender, in_turn
from .tools import archiver
from .workbench import Workbench

_FACTOR = 10
"""These runs are short, so there are this many times more of them."""
_HELD = 5
_IMPORTING = Contender("python -c 'import click'", (sys.executable, "-c", "import click"))


def start(bench: Workbench) -> None:
    """`archiver --help`: compared with a Python that only imports click."""
    contenders = (Contender("archiver --help", (archiver(), "--help")), _IMPORTING)
    rounds = in_turn(contenders, bench.pairs * _FACTOR)
    bench.compare("start", rounds, {_IMPORTING.name: at_most(1.5)})


def idle(bench: Workbench) -> None:
    """5 IDs, all held, so there is nothing to do: compared with a Python that imports click."""
    archive, ids = held_archive(bench.directory, _HELD), id_list(bench.directory, _HELD)
    contenders = (ours.quiet(f"{_HELD} held", archive, ids, _HELD), _IMPORTING)
    rounds = in_turn(contenders, bench.pairs * _FACTOR)
    bench.compare("idle", rounds, {_IMPORTING.name: at_most(3)})
