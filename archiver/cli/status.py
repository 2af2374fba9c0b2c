"""`archiver status`."""

import json
from collections.abc import Iterator
from contextlib import closing

import click

from archiver.archive.bag import Bag
from archiver.catalogue.queries import Known
from archiver.catalogue.store import Catalogue
from archiver.cli.output import Options, wrapped
from archiver.cli.status_report import known_json, told
from archiver.cli.status_report import status as look
from archiver.manifest.sources import Intake
from archiver.outcomes import Report


def status(options: Options) -> int:
    """Say where an archive stands, or what became of those that are named."""
    if options["which"]:
        return _tell_of(options)
    found = look(options["archive"])
    if options["as_json"]:
        click.echo(json.dumps(found.as_json(), indent=2))
    else:
        click.echo("\n".join(wrapped(found.lines())))
    return 0


def _tell_of(options: Options) -> int:
    report = Report()
    for known in _known(options, report):
        click.echo(json.dumps(known_json(known)) if options["as_json"] else told(known))
    for line in report.not_understood:
        click.echo(line, err=True)
    return report.exit_status


def _known(options: Options, report: Report) -> Iterator[Known]:
    """Yield what is known of each ID, and of each generation of each manifest, named."""
    Bag(options["archive"]).require()
    intake = Intake(options["which"], options["endpoint"], report, or_ids=True)
    intake.check()
    with closing(Catalogue.look(options["archive"])) as catalogue:
        queries = catalogue.queries()
        for listed in intake.listed():
            yield from map(queries.of, listed.generations())
