"""`archiver verify`: check every file against its checksum, and repair."""

import os
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from archiver.cli.help import EXIT_STATUS, Command
from archiver.cli.options import (
    INPUT,
    archive_option,
    config_option,
    fetch_options,
    json_option,
    monitoring_options,
    option,
    pick,
    quiet_option,
    verbose_option,
)
from archiver.cli.params import Count, Parsed, share
from archiver.cli.sharding import archive_shard_options
from archiver.units import parse_duration

if TYPE_CHECKING:
    from archiver.cli.fetching import FetchOptions
    from archiver.cli.reporting import Job
    from archiver.fixity.report import FixityReport
    from archiver.fixity.verify import Selection
    from archiver.location import Location
    from archiver.progress import Progress


@click.command(cls=Command, epilog=EXIT_STATUS)
@archive_option
@archive_shard_options
@option(
    "--read", is_flag=True, heading=INPUT,
    help="Read all objects of a bucket back, which without this or the next two is asked for the "
    "checksums that it keeps. Files in a directory are always read.",
)  # fmt: skip
@option(
    "--sample", metavar="SHARE", type=Parsed("share", share), show_default="all, in a bucket none",
    heading=INPUT, help="Read only this share of the files: those read longest ago.",
)  # fmt: skip
@option(
    "--older-than", metavar="DURATION", type=Parsed("duration", parse_duration), default="0",
    heading=INPUT, help="Read only files last read at least this long ago, or never.",
)  # fmt: skip
@option(
    "--threads", metavar="N", type=Count(1, 256), default=os.cpu_count() or 1,
    show_default="one per CPU", heading=INPUT, help="Read this many files at once.",
)  # fmt: skip
@option(
    "--repair", is_flag=True, heading="Repair",
    help="Repair what can be repaired, and fetch again what is missing or damaged.",
)  # fmt: skip
@option(
    "--accept-changed", is_flag=True, heading="Repair",
    help="With --repair: accept a file that differs from the recorded one, if that is what "
    "ModelsLab has now.",
)  # fmt: skip
@verbose_option
@quiet_option
@json_option
@monitoring_options
@fetch_options
@config_option
def verify(archive: "Location", repair: bool, accept_changed: bool, **options: Any) -> int:
    """Check that every file in the archive matches its checksum.

    Reports what is missing, changed, unreadable, unverified, unexpected or contradictory. It needs
    no key and may run beside a backup; --repair needs one, and locks the archive. A damaged file is
    moved to .archiver/quarantine, never deleted.

    The options under API, Downloads and Limits are for --repair alone. DURATION is in seconds,
    or 90s, 15m, 2h, 30d; SIZE in bytes, or 500K, 20M, 1G; SHARE is 5% or 0.05.
    """
    from archiver.cli.fetching import FetchOptions
    from archiver.cli.reporting import ReportingOptions, perform
    from archiver.fixity.verify import Selection

    if accept_changed and not repair and _is_given("accept_changed"):
        raise click.UsageError("--accept-changed needs --repair")
    selection, reporting = pick(Selection, options), pick(ReportingOptions, options)
    if repair:
        fetch = pick(FetchOptions, options)
        job = _repair(archive, selection, fetch, accept_changed=accept_changed)
    else:
        job = _verify(archive, selection)
    return perform(job, reporting)


def _is_given(parameter: str) -> bool:
    """Return whether an option is on the command line itself: a configuration file serves both."""
    source = click.get_current_context().get_parameter_source(parameter)
    return source is ParameterSource.COMMANDLINE


def _verify(archive: "Location", selection: "Selection") -> "Job":
    from archiver.cli.reporting import Job
    from archiver.fixity.report import FixityReport
    from archiver.fixity.verify import verify as run

    def work(progress: "Progress") -> "FixityReport":
        return run(archive, selection, progress)

    return Job("verify", archive, work, partial(FixityReport.failed_to_begin, "verify"))


def _repair(
    archive: "Location", selection: "Selection", fetch: "FetchOptions", *, accept_changed: bool
) -> "Job":
    import asyncio

    from archiver.cli.reporting import Job
    from archiver.fixity.repair import repair as run
    from archiver.fixity.report import FixityReport

    def work(progress: "Progress") -> "FixityReport":
        repairing = run(
            archive, selection, fetch.settings(), progress, accept_changed=accept_changed
        )
        return asyncio.run(repairing)

    return Job("repair", archive, work, partial(FixityReport.failed_to_begin, "repair"))
