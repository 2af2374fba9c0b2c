"""The start: what it takes until the command line answers."""

import sys

from .comparison import at_most
from .measure import Contender, in_turn
from .tools import archiver
from .workbench import Workbench

_MORE = 10
"""These runs are short: so many times as many are made."""


def start(bench: Workbench) -> None:
    """The help, beside a Python that imports click and ends."""
    importing = Contender("python -c 'import click'", (sys.executable, "-c", "import click"))
    contenders = (Contender("archiver --help", (archiver(), "--help")), importing)
    rounds = in_turn(contenders, bench.pairs * _MORE)
    bench.compare("start", rounds, {importing.name: at_most(1.5)})
