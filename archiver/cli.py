"""The command line: parse, call, print, exit."""

import asyncio
import json
import os
import shlex
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from archiver.errors import ArchiverError
from archiver.generation import canonical_endpoint
from archiver.options import (
    Parsed,
    archive_option,
    fetch_options,
    json_option,
    option,
    quiet_option,
    settings_of,
    share,
    verbose_option,
)
from archiver.quantity import parse_duration
from archiver.secret import ApiKey

if TYPE_CHECKING:
    from archiver.fixity import FixityReport
    from archiver.outcome import Report

EXIT_STATUS = """\b
Exit status (the worst that happened wins):
    0  every generation asked for is held, or is still being made
    1  a bug: the traceback is shown
    2  the command line or the configuration is wrong
    3  some generations could not be archived, or a line was not understood
    4  fixity: a held file is missing or does not match
   69  the API cannot be reached at all: the night was ended early
   74  the disk: full, read-only, failing
   75  another run holds the archive
   77  the API key was refused or has no credit
  130  interrupted, 143 terminated: the rest goes on next time
"""


@click.group(epilog=EXIT_STATUS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="archiver", message="%(prog)s %(version)s")
def cli() -> None:
    """Back up videos generated through the ModelsLab API before their links die.

    \b
    Example:
      export MODELSLAB_API_KEY=...
      archiver backup -a /srv/videos /srv/manifests

    Every video that can be had is then on disk, whole, with its checksum in
    DIR/manifest-sha256.txt; what cannot be had is named with the reason.
    """


@cli.command(epilog=EXIT_STATUS)
@archive_option
@click.argument("manifests", metavar="MANIFEST...", nargs=-1, required=True)
@option(
    "--endpoint", type=Parsed("endpoint", canonical_endpoint), default="deepfake",
    help="What a bare ID belongs to: realtime, video, v7/video-fusion, v1/enterprise/video, …",
)  # fmt: skip
@fetch_options
@option(
    "--max-time", metavar="DURATION", type=Parsed("duration", parse_duration),
    help="End the night in order after so long; the rest is left for the next.",
)  # fmt: skip
@option("--retry-lost", is_flag=True, help="Ask again for what is known to be lost.")
@option("--strict", is_flag=True, help="Fetch nothing if a manifest line is not understood.")
@option("--dry-run", is_flag=True, help="Say what would be asked for; touch nothing.")
@json_option
@quiet_option
@verbose_option
@click.pass_context
def backup(ctx: click.Context, /, **options: Any) -> None:
    """Archive the videos of all generations that the MANIFESTs list.

    A MANIFEST is a file of IDs (text, CSV, TSV, JSON or JSON Lines), a directory of such files,
    or - for standard input. What is held already is not asked for again.

    \b
    A text manifest, one generation a line:
      263                    an ID of the default endpoint
      realtime/263           of another endpoint
      https://modelslab.com/api/v6/video/fetch/147

    DURATION is in seconds, or 90s, 15m, 2h; SIZE in bytes, or 500K, 20M, 1G.
    """
    ctx.exit(_dry_run(options) if options["dry_run"] else _backup(options))


@cli.command(short_help="Back up a dozen generations from an emulated ModelsLab.")
@option(
    "-a", "--archive", metavar="DIR", type=click.Path(path_type=Path),
    help="The archive to make; a new temporary directory if not given.",
)  # fmt: skip
@quiet_option
@verbose_option
@click.pass_context
def demo(ctx: click.Context, /, archive: Path | None, quiet: bool, verbose: int) -> None:
    """Back up a dozen generations from an emulated ModelsLab; needs no key and no network."""
    from archiver.demo import demonstrate  # noqa: PLC0415 (keeps the start of --help quick)
    from archiver.progress import log_to_stderr, watching  # noqa: PLC0415

    log_to_stderr(verbose)
    place = archive or Path(tempfile.mkdtemp(prefix="archiver-demo-"))
    click.echo(f"Backing up a dozen generations from an emulated ModelsLab into {place}")
    with watching(bars=not quiet and sys.stderr.isatty()) as watch:
        report = asyncio.run(demonstrate(place, watch))
    click.echo("\n".join(report.lines()))
    click.echo(
        "\nCheck it without this program:\n"
        f"  (cd {shlex.quote(str(place))} && sha256sum -c manifest-sha256.txt)"
    )
    as_it_should = report.ending is None and not report.failed  # one is to be lost
    ctx.exit(0 if as_it_should else report.exit_status)


@cli.command(epilog=EXIT_STATUS)
@archive_option
@option(
    "--sample", metavar="SHARE", type=Parsed("share", share), default="100%",
    help="Read only this share of the files, those not proven for longest.",
)  # fmt: skip
@option(
    "--older-than", metavar="DURATION", type=Parsed("duration", parse_duration), default="0",
    help="Read only files that were last proven so long ago.",
)  # fmt: skip
@option(
    "--threads", metavar="N", type=click.IntRange(1, 256), default=os.cpu_count() or 1,
    help="Read so many files at once.",
)  # fmt: skip
@option("--repair", is_flag=True, help="Mend what can be mended; fetch what is missing or damaged.")
@option(
    "--accept-changed", is_flag=True,
    help="With --repair: take another file than the recorded one, if ModelsLab gives that now.",
)  # fmt: skip
@json_option
@quiet_option
@verbose_option
@fetch_options
@click.pass_context
def verify(ctx: click.Context, /, **options: Any) -> None:
    """Check that every file in the archive is what its checksum says.

    Names what is missing, changed, unreadable, unexpected or contradictory. It needs no key and
    may run beside a backup; --repair does need one, and holds the archive. A damaged file is kept
    in .archiver/quarantine, never deleted.
    """
    ctx.exit(_verify(options))


def _verify(options: dict[str, Any]) -> int:
    from archiver import repair, verify  # noqa: PLC0415
    from archiver.progress import log_to_stderr, watching  # noqa: PLC0415

    log_to_stderr(options["verbose"])
    selection = verify.Selection(options["sample"], options["older_than"], options["threads"])
    bars = not options["quiet"] and sys.stderr.isatty()
    with watching(bars=bars, generations=options["repair"]) as watch:
        if options["repair"]:
            fetching = repair.Fetching(settings_of(options), options["accept_changed"], watch)
            report = asyncio.run(repair.repair(options["archive"], selection, fetching))
        else:
            report = verify.verify(options["archive"], selection, watch)
    _tell(report, options)
    return report.exit_status


def _backup(options: dict[str, Any]) -> int:
    from archiver.backup import backup as run  # noqa: PLC0415
    from archiver.outcome import Report  # noqa: PLC0415
    from archiver.progress import log_to_stderr, watching  # noqa: PLC0415

    log_to_stderr(options["verbose"])
    try:
        settings = settings_of(options)
        with watching(bars=not options["quiet"] and sys.stderr.isatty()) as watch:
            report = asyncio.run(
                run(options["archive"], options["manifests"], options["endpoint"], settings, watch)
            )
    except ArchiverError as error:
        if options["as_json"]:
            click.echo(json.dumps(Report(ending=error).as_json(), indent=2))
        raise
    _tell(report, options)
    return report.exit_status


def _tell(report: "Report | FixityReport", options: dict[str, Any]) -> None:
    """Cron is told nothing when all is well; a person at a terminal is."""
    if options["as_json"]:
        click.echo(json.dumps(report.as_json(), indent=2))
    wanted = sys.stderr.isatty() or options["verbose"]
    if report.exit_status or (wanted and not options["quiet"]):
        click.echo("\n".join(report.lines()), err=True)


def _dry_run(options: dict[str, Any]) -> int:
    from archiver.backup import plan  # noqa: PLC0415

    settings = settings_of(options | {"key": ApiKey("none-is-needed")})
    report, generations = plan(
        options["archive"], options["manifests"], options["endpoint"], settings
    )
    if options["as_json"]:
        names = [generation.name for generation in generations]
        click.echo(
            json.dumps(
                report.as_json() | {"would_ask": report.would_ask, "generations": names}, indent=2
            )
        )
    else:
        for generation in generations:
            click.echo(f"would ask for {generation}")
    if report.exit_status or not options["quiet"]:
        click.echo("\n".join(report.lines()), err=True)
    return report.exit_status


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line and exit with its status."""
    # asyncio would replace the default handler by one that waits for the loop's next turn.
    signal.signal(signal.SIGINT, _interrupt)
    try:
        status = cli.main(prog_name="archiver", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        status = 130
    except ArchiverError as error:
        for line in str(error).splitlines():
            click.echo(f"archiver: {line}", err=True)
        status = error.exit_status
    sys.exit(status)
