"""`archiver backup`: archive the videos of all generations that manifests list."""

from typing import TYPE_CHECKING, Any

import click

from archiver.cli.help import EXIT_STATUS, Command
from archiver.cli.options import (
    INPUT,
    LIMITS,
    archive_option,
    config_option,
    endpoint_option,
    fetch_options,
    json_option,
    manifests_argument,
    monitoring_options,
    option,
    pick,
    quiet_option,
    verbose_option,
)
from archiver.cli.params import Parsed, types
from archiver.cli.sharding import list_shard_options
from archiver.units import parse_duration

if TYPE_CHECKING:
    from archiver.cli.fetching import FetchOptions
    from archiver.cli.reporting import Job, ReportingOptions
    from archiver.location import Location
    from archiver.pipeline.listed import Discovery
    from archiver.pipeline.report import Report
    from archiver.progress import Progress
    from archiver.settings import Settings


@click.command(cls=Command, epilog=EXIT_STATUS)
@manifests_argument
@archive_option
@endpoint_option
@list_shard_options
@option(
    "--discover", is_flag=True, heading=INPUT,
    help="Archive your own generations too, as ModelsLab lists them: no MANIFEST is needed.",
)  # fmt: skip
@option(
    "--discover-type", "discover_types", metavar="TYPE", type=Parsed("type", types),
    default="video", heading=INPUT,
    help="What --discover lists: video, image or video,image. Of images only GIFs and videos are "
    "archived.",
)  # fmt: skip
@option("--dry-run", is_flag=True, heading=INPUT, help="List what would be fetched; fetch nothing.")
@option(
    "--strict", is_flag=True, heading=INPUT,
    help="Fetch nothing, and end with status 2, if a line of a MANIFEST is not understood.",
)  # fmt: skip
@option("--retry-lost", is_flag=True, heading=INPUT, help="Try lost generations again.")
@option(
    "--browse", is_flag=True, heading=INPUT,
    help="Bring the page that shows the archive up to date after the run: see archiver browse.",
)  # fmt: skip
@fetch_options
@option(
    "--max-time", metavar="DURATION", type=Parsed("duration", parse_duration), heading=LIMITS,
    help="End the run after this long: downloads in progress get 10 s to finish, and the next run "
    "goes on with the rest.",
)  # fmt: skip
@verbose_option
@quiet_option
@json_option
@monitoring_options
@config_option
def backup(
    archive: "Location", manifests: tuple[str, ...], dry_run: bool, browse: bool, **options: Any
) -> int:
    """Archive the videos of all generations that the MANIFESTs list, or ModelsLab itself.

    A MANIFEST is a file of IDs (text, CSV, TSV, JSON or JSON Lines), a directory of such files,
    or - for standard input. Saved responses, webhook bodies and pages of assets_generated are
    manifests too. What is held already is not fetched again.

    \b
    A text manifest, one generation per line:
      263             an ID of the default endpoint
      realtime/263    an ID of another endpoint
      https://modelslab.com/api/v6/video/fetch/147

    DURATION is in seconds, or 90s, 15m, 2h; SIZE in bytes, or 500K, 20M, 1G.
    """
    from archiver.cli.fetching import FetchOptions
    from archiver.cli.reporting import ReportingOptions, perform

    fetch, reporting = pick(FetchOptions, options), pick(ReportingOptions, options)
    if not manifests and not fetch.discover:
        _require_manifests()
    if dry_run:
        return _dry_run(archive, manifests, fetch, reporting)
    status = perform(_job(archive, manifests, fetch), reporting)
    return _show(archive, status, reporting) if browse else status


def _show(archive: "Location", status: int, reporting: "ReportingOptions") -> int:
    """Bring the page up to date; return the run's exit status, or why that failed if all is well.

    The run itself has ended and is reported: what is wrong with the page is no part of it.
    """
    from archiver.cli.gallery import write
    from archiver.errors import ArchiverError

    try:
        write(archive, reporting.verbose, quiet=reporting.quiet, whole=False)
    except ArchiverError as error:
        click.echo(f"archiver: the page is not up to date: {error}", err=True)
        return status or error.exit_status
    return status


def _require_manifests() -> None:
    ctx = click.get_current_context()
    hint = "Name a list of IDs, or use --discover."
    raise click.MissingParameter(hint, ctx, param_type="argument", param_hint="'MANIFEST...'")


def _job(archive: "Location", manifests: tuple[str, ...], fetch: "FetchOptions") -> "Job":
    from archiver.cli.reporting import Job
    from archiver.eventloop import run
    from archiver.pipeline.backup import backup as back_up
    from archiver.pipeline.report import Report

    def work(progress: "Progress") -> "Report":
        return run(back_up(archive, manifests, fetch.settings(), progress))

    return Job("backup", archive, work, Report.failed_to_begin)


def _dry_run(
    archive: "Location",
    manifests: tuple[str, ...],
    fetch: "FetchOptions",
    reporting: "ReportingOptions",
) -> int:
    """List what a backup would fetch, which needs an API key only to discover."""
    import json

    from archiver.apikey import ApiKey
    from archiver.pipeline.backup import plan

    settings = fetch.settings(None if fetch.discover else ApiKey("none"))
    discovery = _discovered(settings, reporting) if fetch.discover else None
    with plan(archive, manifests, settings, discovery) as (summary, batches):
        if reporting.as_json:
            names = [name for names in batches for name in names]
            click.echo(json.dumps(summary.as_json() | {"generations": names}, indent=2))
        else:
            for names in batches:  # one at a time, click's checks take longer than all the rest
                click.echo("\n".join(f"would fetch {name}" for name in names))
    if summary.exit_status or not reporting.quiet:
        click.echo("\n".join(summary.lines()), err=True)
    return summary.exit_status


def _discovered(settings: "Settings", reporting: "ReportingOptions") -> "Discovery":
    import asyncio

    from archiver.cli.terminal import shown_progress
    from archiver.pipeline.discover import discover
    from archiver.pipeline.sessions import new_rate_limit

    async def found() -> "Discovery":
        return await discover(settings, progress, new_rate_limit(settings))

    with shown_progress(reporting.verbose, quiet=reporting.quiet) as progress:
        return asyncio.run(found())
