"""`archiver export`: the whole catalogue on standard output."""

import io
import sys
from typing import TYPE_CHECKING

import click

from archiver.cli.help import Command
from archiver.cli.options import INPUT, archive_option, config_option, option
from archiver.cli.sharding import archive_shard_options

if TYPE_CHECKING:
    from archiver.cli.export_rows import Format
    from archiver.location import Location


@click.command(cls=Command)
@archive_option
@archive_shard_options
@option(
    "--format", "form", metavar="csv|jsonl", type=click.Choice(["csv", "jsonl"]), default="csv",
    heading=INPUT, help="A table, or one JSON object per line.",
)  # fmt: skip
@config_option
def export(archive: "Location", form: "Format") -> int:
    """Write the whole catalogue to standard output.

    There is one row per file, and one for each generation without any. It is in UTF-8, whatever
    the locale.
    """
    from archiver.cli.export_rows import write_rows
    from archiver.cli.terminal import log_to_terminal

    log_to_terminal()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    write_rows(archive, form, sys.stdout)
    return 0
