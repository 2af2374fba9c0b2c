"""`archiver export`."""

import sys

from archiver.cli.export_rows import export as write
from archiver.cli.output import Options


def export(options: Options) -> int:
    """Write the whole catalogue to standard output."""
    write(options["archive"], options["form"], sys.stdout)
    return 0
