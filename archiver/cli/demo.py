"""`archiver demo`."""

import asyncio
import shlex
import tempfile
from pathlib import Path

import click

from archiver.cli.output import Options, watching
from archiver.emulator.demo import demonstrate
from archiver.errors import ConfigurationError


def demo(options: Options) -> int:
    """Back up a dozen generations from an emulated ModelsLab."""
    place = options["archive"] or Path(tempfile.mkdtemp(prefix="archiver-demo-"))
    if place.exists() and any(place.iterdir()):
        raise ConfigurationError(f"{place} is not empty: the demo wants a new directory")
    click.echo(f"Backing up a dozen generations from an emulated ModelsLab into {place}")
    with watching(options) as progress:
        report = asyncio.run(demonstrate(place, progress))
    click.echo("\n".join(report.lines()))
    click.echo(
        "\nCheck it without this program:\n"
        f"  (cd {shlex.quote(str(place))} && sha256sum -c manifest-sha256.txt)"
    )
    as_it_should = report.ending is None and not report.failed  # one is to be lost
    return 0 if as_it_should else report.exit_status
