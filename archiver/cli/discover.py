"""`archiver discover`: one's own generations, as a manifest."""

from typing import TYPE_CHECKING, Any

import click

from archiver.cli.help import EXIT_STATUS, Command
from archiver.cli.options import (
    INPUT,
    api_options,
    config_option,
    option,
    pick,
    quiet_option,
    verbose_option,
)
from archiver.cli.params import File, Parsed, types
from archiver.cli.sharding import list_shard_options

if TYPE_CHECKING:
    from pathlib import Path


@click.command(cls=Command, epilog=EXIT_STATUS)
@option(
    "--type", "types", metavar="TYPE", type=Parsed("type", types), default="video", heading=INPUT,
    help="What to list: video, image or video,image. Of images only GIFs and videos are listed.",
)  # fmt: skip
@option(
    "-o", "--output", metavar="FILE", type=File(dir_okay=False), heading=INPUT,
    help="Write the manifest to this file, which is replaced once it is complete, instead of to "
    "standard output.",
)  # fmt: skip
@list_shard_options
@api_options
@verbose_option
@quiet_option
@config_option
def discover(output: "Path | None", verbose: int, quiet: bool, **options: Any) -> int:
    """List your own generations, as ModelsLab lists them, in lines that backup understands.

    ModelsLab lists an ID and links, and not which endpoint it belongs to: the video endpoints are
    asked for each, and one whose links are the same has it. An ID that none of them has is written
    as a comment; only "archiver backup --discover" can archive that one.

    \b
    Back up everything that you have made:
      archiver discover | archiver backup -a videos -
    or without a list in between, which needs fewer requests:
      archiver backup -a videos --discover
    """
    import asyncio

    from archiver.cli.discovering import ManifestLines, shown_listing
    from archiver.cli.fetching import ApiOptions
    from archiver.pipeline.discover import find_names

    settings = pick(ApiOptions, options).settings()
    with shown_listing(verbose, quiet=quiet) as progress:
        lines = ManifestLines(output, progress)
        found = asyncio.run(find_names(settings, progress, lines.write))
    if found.trouble and found.trouble.error and not found.items:
        raise found.trouble.error
    lines.end(found)
    problems = list(lines.problems(found))
    said = problems if quiet else [*lines.summary(found), *problems]
    for line in said:
        click.echo(line, err=True)
    return 3 if problems else 0
