"""`archiver browse`: a page to look at an archive with."""

from typing import TYPE_CHECKING

import click

from archiver.cli.help import Command
from archiver.cli.options import (
    INPUT,
    archive_option,
    config_option,
    option,
    quiet_option,
    verbose_option,
)
from archiver.cli.sharding import archive_shard_options

if TYPE_CHECKING:
    from pathlib import Path

    from archiver.location import Location


@click.command(cls=Command)
@archive_option
@archive_shard_options
@option(
    "--open", "opened", is_flag=True, heading=INPUT, envvar=None,
    help="Open the page in a browser.",
)  # fmt: skip
@verbose_option
@quiet_option
@config_option
def browse(archive: "Location", opened: bool, verbose: int, quiet: bool) -> int:
    """Write a page that shows the archive: index.html beside data/, for any browser.

    It shows, plays and finds what is held, and names what is not, with the reason. It is opened
    from disk or from any static host, and needs no server, no network and no key. It may be
    written while a backup runs; backup --browse keeps it up to date.

    Posters are made by PyAV: pip install 'archiver[browse]'. Interrupted, the next time goes on
    with those that are missing.
    """
    from importlib.util import find_spec

    from archiver.cli.gallery import write
    from archiver.units import counted

    gallery = write(archive, verbose, quiet=quiet, whole=True)
    if not quiet:
        click.echo(f"{counted(gallery.rows, 'generation')}: {gallery.where}")
        if gallery.without_poster:
            hint = (
                "-v says why" if find_spec("av") else "pip install 'archiver[browse]' to make them"
            )
            click.echo(f"{counted(gallery.without_poster, 'video')} without a poster: {hint}")
        if gallery.unread:
            click.echo("some prompts are missing: the next backups on this machine read them")
    if opened and (why := _open(gallery.page)):
        click.echo(f"archiver: {why}: {gallery.where}", err=True)
    return 0


def _open(page: "Path | None") -> str:
    """Open a page; return why it could not be opened."""
    import webbrowser

    if not page:
        return "the page is in a bucket, and opens where that is served as a website"
    return "" if webbrowser.open(page.as_uri()) else "no browser was found to open the page"
