"""`archiver backup`."""

import asyncio
import json

import click

from archiver.backup import backup as run
from archiver.backup import plan
from archiver.commands.conduct import conduct
from archiver.commands.telling import Options
from archiver.options import settings_of
from archiver.outcome import Report
from archiver.watch import Watch


def backup(options: Options) -> int:
    """Back up what the manifests list."""
    return conduct(options, "backup", Report(), lambda watch: _back_up(options, watch))


def _back_up(options: Options, watch: Watch) -> Report:
    settings = settings_of(options)
    manifests, endpoint = options["manifests"], options["endpoint"]
    return asyncio.run(run(options["archive"], manifests, endpoint, settings, watch))


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
