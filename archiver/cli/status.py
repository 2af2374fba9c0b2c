"""`archiver status`: where an archive stands, or the state of some generations."""

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

if TYPE_CHECKING:
    from pathlib import Path

    from archiver.manifest.sources import Manifests


@click.command(cls=Command)
@argument("which", metavar="[ID|MANIFEST]...", nargs=-1, type=Name(), heading=INPUT,
          help="Generations to show, instead of the archive as a whole.")  # fmt: skip
@archive_option
@endpoint_option
@option(
    "--json", "as_json", is_flag=True, heading="Reporting",
    help="Print JSON: one object, or with IDs one object per line.",
)  # fmt: skip
@config_option
def status(which: tuple[str, ...], archive: "Path", endpoint: str, as_json: bool) -> int:
    """Show where the archive stands: what is held, pending, failed and lost, and the last runs.

    With IDs, or manifests of them: the state of each generation, where its files are, and what is
    known of how it was made. It needs no key, and may run beside a backup.
    """
    if which:
        return _show_generations(which, archive, endpoint, as_json=as_json)
    return _show_archive(archive, as_json=as_json)


def _show_archive(archive: "Path", *, as_json: bool) -> int:
    import json

    from archiver.cli.status_report import look
    from archiver.cli.terminal import wrapped

    found = look(archive)
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=2))
    else:
        click.echo("\n".join(wrapped(found.lines())))
    return 0


def _show_generations(
    which: tuple[str, ...], archive: "Path", endpoint: str, *, as_json: bool
) -> int:
    import json

    from archiver.cli.status_report import described, details, known_json, states
    from archiver.manifest.sources import Manifests

    manifests = Manifests(which, endpoint, or_ids=True)
    for known in states(archive, manifests):
        lines = [json.dumps(known_json(known))] if as_json else [described(known), *details(known)]
        click.echo("\n".join(lines))
    return _print_problems(manifests)


def _print_problems(manifests: "Manifests") -> int:
    for line in manifests.problems.lines():
        click.echo(line, err=True)
    return 3 if manifests.problems else 0
