"""`archiver backup`."""

import asyncio
import json

import click

from archiver.cli.options import settings_of
from archiver.cli.output import Options
from archiver.cli.reporting import conduct
from archiver.outcomes import Report
from archiver.pipeline.backup import backup as run
from archiver.pipeline.backup import plan
from archiver.progress import Progress


def backup(options: Options) -> int:
    """Back up what the manifests list."""
    return conduct(options, "backup", Report(), lambda progress: _back_up(options, progress))


def _back_up(options: Options, progress: Progress) -> Report:
    settings = settings_of(options)
    manifests, endpoint = options["manifests"], options["endpoint"]
    return asyncio.run(run(options["archive"], manifests, endpoint, settings, progress))


def dry_run(options: Options) -> int:
    """Say what a backup would ask for."""
    report, generations = plan(
        options["archive"],
        options["manifests"],
        options["endpoint"],
        retry_lost=options["retry_lost"],
        strict=options["strict"],
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
