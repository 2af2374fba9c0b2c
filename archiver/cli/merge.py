"""`archiver merge`: the archives of all shards, reported and listed as one."""

import json
from typing import TYPE_CHECKING

import click

from archiver.cli.help import EXIT_STATUS, Command
from archiver.cli.options import INPUT, argument, config_option, json_option, option, quiet_option
from archiver.cli.params import PARTS, File, Name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


@click.command(cls=Command, epilog=EXIT_STATUS)
@argument(
    "archives", metavar="ARCHIVE...", nargs=-1, required=True, type=Name(), heading=INPUT,
    help="The archives. One with {shard} in it, and --shards N, stands for N of them.",
)  # fmt: skip
@option(
    "--shards", metavar="N", type=PARTS, heading=INPUT,
    help="How many shards there must be; without it, the archives themselves say so.",
)  # fmt: skip
@option(
    "-o", "--output", metavar="FILE", type=File(dir_okay=False), heading=INPUT,
    envvar="ARCHIVER_MERGE_OUTPUT",  # ARCHIVER_OUTPUT is that of a discovery
    show_default="all-sha256.txt in the directory that all archives are in",
    help="Where to write the checksums of all files: paths are relative to its directory. In a "
    "configuration file it is merge-output.",
)  # fmt: skip
@quiet_option
@json_option
@config_option
def merge(
    archives: tuple[str, ...], shards: int | None, output: "Path | None", quiet: bool, as_json: bool
) -> int:
    """Sum up the archives of all shards, and list all their files in one checksum manifest.

    It says what they hold and how their last runs ended; the worst exit status is its own. A
    shard that is missing, a generation that two archives hold, and an archive that cannot be read
    are named, too: with 3, or with the status of the error. It changes no archive, and needs no
    key.

    \b
    Merge eight shards, and check every file of all:
      archiver merge --shards 8 '/srv/videos/{shard}'
      cd /srv/videos && sha256sum -c --strict --quiet all-sha256.txt
    """
    from archiver.merge.merge import merge as merged

    report = merged(list(_each(archives, shards)), output, shards)
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2))
    elif not quiet:
        click.echo("\n".join(report.lines()))
    for line in report.wrong():
        click.echo(line, err=True)
    return report.exit_status


def _each(archives: "Sequence[str]", shards: int | None) -> "Iterator[Path]":
    """Yield the archives, each that `{shard}` stands for among them.

    Raises:
        ConfigurationError: if it is not said how many there are.
    """
    from pathlib import Path

    from archiver.shards import PLACE, Shard, placed

    for written in archives:
        if PLACE in written and shards:
            yield from (Path(placed(written, Shard(n, shards))) for n in range(shards))
        else:
            yield Path(placed(written, None))
