"""`archiver demo`: a backup from an emulated ModelsLab."""

from typing import TYPE_CHECKING

import click

from archiver.cli.help import Command
from archiver.cli.options import INPUT, config_option, option, quiet_option, verbose_option
from archiver.cli.params import Directory
from archiver.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path


@click.command(cls=Command)
@option(
    "-a", "--archive", metavar="DIR", type=Directory(), envvar=None, heading=INPUT,
    show_default="a new temporary directory",
    help="The archive to create, a directory. It is read from the command line alone, so that the "
    "demo's videos never end up among your own.",
)  # fmt: skip
@option(
    "--browse", is_flag=True, envvar=None, heading=INPUT,
    help="Write a page to look at them with, too, and say where it is.",
)  # fmt: skip
@verbose_option
@quiet_option
@config_option
def demo(archive: "Path | None", browse: bool, verbose: int, quiet: bool) -> int:
    """Back up a dozen generations from an emulated ModelsLab; needs no key and no network."""
    import asyncio
    import shlex

    from archiver.cli.terminal import shown_progress
    from archiver.emulator.demo import demonstrate
    from archiver.run import Completed

    directory = archive or _new_directory()
    if directory.exists() and any(directory.iterdir()):
        raise ConfigurationError(f"{directory} is not empty: the demo needs a new directory")
    click.echo(f"Backing up a dozen generations from an emulated ModelsLab to {directory}")
    with shown_progress(verbose, quiet=quiet) as progress:
        report = asyncio.run(demonstrate(directory, progress))
    click.echo("\n".join(report.lines()))
    click.echo(
        "\nCheck it without this program:\n"
        f"  (cd {shlex.quote(str(directory))} && sha256sum -c manifest-sha256.txt)"
    )
    if browse:
        from archiver.cli.gallery import write

        gallery = write(directory, verbose, quiet=quiet, whole=True)
        click.echo(f"\nLook at it in a browser:\n  {gallery.where}")
    as_planned = isinstance(report.ended, Completed) and report.failed == 1  # one must fail
    return 0 if as_planned else report.exit_status


def _new_directory() -> "Path":
    import tempfile
    from pathlib import Path

    return Path(tempfile.mkdtemp(prefix="archiver-demo-"))
