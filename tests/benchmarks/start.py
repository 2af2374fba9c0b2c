"""Start-up: how long the command line takes to print its help."""

import sys

from .comparison import at_most
from .measure import Contender, in_turn
from .tools import archiver
from .workbench import Workbench

_FACTOR = 10
"""These runs are short, so there are this many times more of them."""


def start(bench: Workbench) -> None:
    """`archiver --help`: compared with a Python that only imports click."""
    importing = Contender("python -c 'import click'", (sys.executable, "-c", "import click"))
    contenders = (Contender("archiver --help", (archiver(), "--help")), importing)
    rounds = in_turn(contenders, bench.pairs * _FACTOR)
    bench.compare("start", rounds, {importing.name: at_most(1.5)})
