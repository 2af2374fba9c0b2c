"""`archiver export`."""

import sys

from archiver.commands.telling import Options
from archiver.export import export as write


def export(options: Options) -> int:
    """Write the whole catalogue to standard output."""
    write(options["archive"], options["form"], sys.stdout)
    return 0
