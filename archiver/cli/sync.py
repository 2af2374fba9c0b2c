"""`archiver sync`: copy an archive to another place, and prove each file on the way."""

from typing import TYPE_CHECKING, Any

import click

from archiver.cli.help import EXIT_STATUS, Command
from archiver.cli.options import (
    INPUT,
    LIMITS,
    argument,
    bucket_options,
    config_option,
    endpoint_url,
    json_option,
    lock_wait_option,
    monitoring_options,
    option,
    pick,
    quiet_option,
    verbose_option,
)
from archiver.cli.params import Archive, Count, Parsed
from archiver.cli.sharding import archive_shard_options
from archiver.units import parse_byte_rate

if TYPE_CHECKING:
    from pathlib import Path

    from archiver.cli.reporting import Job, ReportingOptions
    from archiver.location import Location
    from archiver.progress import Progress
    from archiver.sync.report import SyncReport
    from archiver.sync.sync import SyncSettings


@click.command(cls=Command, epilog=EXIT_STATUS)
@argument(
    "source", metavar="SOURCE", type=Archive(), heading=INPUT,
    help="The archive to copy, a directory or s3://BUCKET/PREFIX; it is only read.",
)  # fmt: skip
@argument(
    "target", metavar="TARGET", type=Archive(), heading=INPUT,
    help="Where to copy it, a directory or s3://BUCKET/PREFIX: an archive, or a new one.",
)  # fmt: skip
@bucket_options
@option(
    "--source-endpoint-url", metavar="URL", type=Parsed("url", endpoint_url), heading=INPUT,
    show_default="as --endpoint-url",
    help="The URL of the S3 API of SOURCE, where it is not that of TARGET.",
)  # fmt: skip
@archive_shard_options
@option(
    "--dry-run", is_flag=True, heading=INPUT,
    help="List the files that would be copied; copy nothing.",
)  # fmt: skip
@option(
    "--transfers", metavar="N", type=Count(1, 256), default=16, heading=LIMITS,
    help="Copy the files of this many generations at once.",
)  # fmt: skip
@option(
    "--limit-rate", metavar="RATE", type=Parsed("rate", parse_byte_rate), heading=LIMITS,
    help="Read at most this many bytes of SOURCE per second in total: 500K, 20M.",
)  # fmt: skip
@lock_wait_option
@verbose_option
@quiet_option
@json_option
@monitoring_options
@config_option
def sync(source: "Location", target: "Location", dry_run: bool, **options: Any) -> int:
    """Copy an archive to another place: to a directory, to a bucket, or back.

    What SOURCE lists and TARGET does not is copied. Each file is compared with its checksum on the
    way; its line is written to TARGET last. What does not match is named and not copied, what
    TARGET lists is never overwritten, and nothing is deleted. Run it again to go on after an
    interruption, or to copy what is new. It may run beside a backup to SOURCE.

    RATE is in bytes per second, such as 500K or 20M.

    \b
    Copy the archive to a bucket, and restore it:
      archiver sync videos s3://bucket/videos
      archiver sync s3://bucket/videos videos
    """
    from archiver.cli.reporting import ReportingOptions, perform
    from archiver.sync.sync import SyncSettings

    source, target = _reached(source, target, options)
    reporting = pick(ReportingOptions, options)
    if dry_run:
        return _plan(source, target, reporting)
    return perform(_job(source, target, pick(SyncSettings, options)), reporting)


def _reached(
    source: "Location", target: "Location", options: dict[str, Any]
) -> "tuple[Location, Location]":
    """Return the two places, with how each is reached."""
    from archiver.location import reached

    url: str | None = options["endpoint_url"]
    state_dir: Path | None = options["state_dir"]
    return (
        reached(source, options["source_endpoint_url"] or url, state_dir),
        reached(target, url, state_dir),
    )


def _job(source: "Location", target: "Location", settings: "SyncSettings") -> "Job":
    from archiver.cli.reporting import Job
    from archiver.sync.report import SyncReport
    from archiver.sync.sync import sync as run

    def work(progress: "Progress") -> "SyncReport":
        return run(source, target, settings, progress)

    return Job("sync", target, work, SyncReport.failed_to_begin)


def _plan(source: "Location", target: "Location", reporting: "ReportingOptions") -> int:
    """Print what a sync would copy."""
    import json

    from archiver.sync.sync import plan

    with plan(source, target) as (found, pages):
        if reporting.as_json:
            paths = [path for page in pages for path in page]
            click.echo(json.dumps(found.as_json() | {"files": paths}, indent=2))
        else:
            for page in pages:
                click.echo("\n".join(f"would copy {path}" for path in page))
    if found.exit_status or not reporting.quiet:
        click.echo("\n".join(found.lines()), err=True)
    return found.exit_status
