"""`archiver status`: where an archive stands, or the state of some generations."""

import sys
from typing import TYPE_CHECKING

import click

from archiver.cli.help import Command
from archiver.cli.options import (
    INPUT,
    archive_option,
    argument,
    config_option,
    endpoint_option,
    option,
)
from archiver.cli.params import Name
from archiver.cli.sharding import list_shard_options

if TYPE_CHECKING:
    from archiver.cli.status_report import Status
    from archiver.location import Location
    from archiver.manifest.sources import Manifests
    from archiver.shards import Shard


@click.command(cls=Command)
@argument("which", metavar="[ID|MANIFEST]...", nargs=-1, type=Name(), heading=INPUT,
          help="Generations to show, instead of the archive as a whole.")  # fmt: skip
@archive_option
@endpoint_option
@list_shard_options
@option(
    "--json", "as_json", is_flag=True, heading="Reporting",
    help="Print JSON: one object, or with IDs one object per line.",
)  # fmt: skip
@option(
    "--watch", is_flag=True, heading="Reporting",
    help="Follow the run that is in progress until it ends: in place on a terminal, and otherwise "
    "with a line each time something changes.",
)  # fmt: skip
@option(
    "--color", "colour", is_flag=True, default=None, heading="Reporting",
    show_default="on a terminal",
    help="Use colours; --no-color uses none, and neither does it where NO_COLOR is set. "
    "CLICOLOR_FORCE=1 asks for them as well.",
)  # fmt: skip
@config_option
def status(
    which: tuple[str, ...],
    archive: "Location",
    endpoint: str,
    shard: "Shard | None",
    **options: bool | None,
) -> int:
    """Show where the archive stands: what is held, pending, failed and lost, and the last runs.

    With IDs, or manifests of them: the state of each generation, where its files are, and what is
    known of how it was made. It needs no key, and may run beside a backup.
    """
    from archiver.cli.terminal import log_to_terminal

    log_to_terminal()
    if options["watch"] and (which or options["as_json"]):
        raise click.UsageError("--watch follows a run: it goes with no ID, and not with --json")
    if which:
        manifests = _manifests(which, endpoint, shard)
        return _show_generations(manifests, archive, as_json=bool(options["as_json"]))
    if options["as_json"]:
        return _print_json(archive)
    return _show_archive(archive, options["colour"], watch=bool(options["watch"]))


def _print_json(archive: "Location") -> int:
    import json

    from archiver.cli.status_report import look

    click.echo(json.dumps(look(archive).as_json(), indent=2))
    return 0


def _show_archive(archive: "Location", wanted: bool | None, *, watch: bool) -> int:
    from archiver.cli.status_report import described_run, look
    from archiver.cli.status_watch import watch as follow
    from archiver.cli.terminal import coloured

    colours = coloured(sys.stdout, wanted)
    followed = follow(archive, colours=colours) if watch else None
    found = look(archive)
    if followed and not sys.stdout.isatty():
        same = (run for run in found.runs if followed.run and run.began == followed.run.began)
        ended = (found.here and found.here.killed) or "the run has ended"
        click.echo("".join(map(described_run, same)) or ended)
    elif colours or sys.stdout.isatty():
        _draw(found, colours=colours)
    else:
        click.echo("\n".join(found.lines()))
    if watch and not followed:
        click.echo("no run is in progress", err=True)
    return 0


def _draw(found: "Status", *, colours: bool) -> None:
    import shutil

    from archiver.cli.status_view import drawn, rows

    lines = drawn(rows(found), shutil.get_terminal_size().columns, colours=colours)
    click.echo("\n".join(lines), color=colours)


def _manifests(which: tuple[str, ...], endpoint: str, shard: "Shard | None") -> "Manifests":
    from archiver.manifest.sources import Manifests

    return Manifests(which, endpoint, shard, or_ids=True)


def _show_generations(manifests: "Manifests", archive: "Location", *, as_json: bool) -> int:
    import json

    from archiver.cli.status_report import described, details, known_json, states

    for known in states(archive, manifests):
        lines = [json.dumps(known_json(known))] if as_json else [described(known), *details(known)]
        click.echo("\n".join(lines))
    return _print_problems(manifests)


def _print_problems(manifests: "Manifests") -> int:
    for line in manifests.problems.lines():
        click.echo(line, err=True)
    return 3 if manifests.problems else 0
