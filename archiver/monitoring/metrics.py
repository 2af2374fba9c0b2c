"""Metrics of an archive's runs, for the textfile collector of Prometheus' node_exporter.

There is one file per archive, and each run writes it anew: what is in it comes from that run and
from the archive's own history, so nothing has to be read back. Gauges in base units, named as
https://prometheus.io/docs/practices/naming/ advises, with the labels `archive` and, up to the
bytes, `command` (backup, verify, repair, sync)::

    archiver_last_run_timestamp_seconds           when the last run ended
    archiver_last_success_timestamp_seconds       when the last run with exit status 0 ended
    archiver_last_run_duration_seconds
    archiver_last_run_exit_status
    archiver_last_run_generations{outcome}        backup: archived, already_held, pending, …
    archiver_last_run_files{outcome}              the others: listed, checked, copied, …
    archiver_last_run_bad_lines                   backup: manifest lines not understood
    archiver_last_run_bytes                       archived, read or copied
    archiver_held_generations, archiver_held_files, archiver_held_bytes
    archiver_build_info{version}                  always 1
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, get_args

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from archiver.catalogue.history import History
from archiver.catalogue.store import Catalogue
from archiver.errors import ArchiverError, storage_errors
from archiver.location import Location, absolute
from archiver.run import Command, Holdings, Run
from archiver.stores import layout_of
from archiver.version import __version__

_LOOKED_AT = 20
"""The last run of a command that has ended is among this many, or too old to matter."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known of an archive: its last runs and successes, and what it holds."""

    archive: str
    """Its path, or its URL."""
    runs: Mapping[Command, Run] = field(default_factory=dict)
    successes: Mapping[Command, datetime] = field(default_factory=dict)
    holdings: Holdings | None = None


def look(archive: Location, run: Run) -> Snapshot:
    """Return what the archive's records and `run`, which may not be among them, amount to.

    Where there are none, or they cannot be read, only `run` is known.
    """
    path = absolute(archive)
    succeeded = {run.command: run.ended} if run.exit_status == 0 and run.ended else {}
    alone = Snapshot(path, {run.command: run}, succeeded)
    try:
        if not (catalogue := Catalogue.open_to_read(layout_of(archive).catalogue)):
            return alone
        with closing(catalogue):
            runs = _last_runs(catalogue.history) | {run.command: run}
            successes = _last_successes(catalogue.history) | succeeded
            return Snapshot(path, runs, successes, catalogue.queries.holdings())
    except ArchiverError:
        return alone


def _last_runs(history: History) -> dict[Command, Run]:
    """Return the last run of each command that has ended: others still run, or were killed."""
    runs: dict[Command, Run] = {}
    for command in get_args(Command):
        for run in history.last(_LOOKED_AT, command):
            if run.ended:
                runs.setdefault(command, run)
    return runs


def _last_successes(history: History) -> dict[Command, datetime]:
    found = {command: history.last_success(command) for command in get_args(Command)}
    return {command: moment for command, moment in found.items() if moment}


def write(path: Path, found: Snapshot) -> None:
    """Write a textfile of what is known of an archive.

    At every instant the old file or the new one is there, whole, with the mode that the umask
    gives.

    Raises:
        StorageError: if the file cannot be written.
    """
    registry = _registry(found)
    with storage_errors(f"writing the metrics to {path}"):
        write_to_textfile(str(path), registry)


_HELP: Mapping[str, str] = {
    "archiver_last_run_timestamp_seconds": "When the last run ended.",
    "archiver_last_success_timestamp_seconds": "When the last run with exit status 0 ended.",
    "archiver_last_run_duration_seconds": "How long the last run took.",
    "archiver_last_run_exit_status": "The exit status of the last run.",
    "archiver_last_run_generations": "How many generations had each outcome in the last backup.",
    "archiver_last_run_files": "How many files had each outcome in the last run of a command.",
    "archiver_last_run_bad_lines": "How many manifest lines the last backup did not understand.",
    "archiver_last_run_bytes": "How many bytes the last run archived, read or copied.",
    "archiver_held_generations": "How many generations are held.",
    "archiver_held_files": "How many files are held.",
    "archiver_held_bytes": "How many bytes are held.",
    "archiver_build_info": "The version that wrote this file.",
}


class _Sample(NamedTuple):
    name: str
    value: float | None
    """None is left out: it is not known."""
    labels: Mapping[str, str] = {}
    """All but `archive`."""


def _registry(found: Snapshot) -> CollectorRegistry:
    registry, gauges = CollectorRegistry(), dict[str, Gauge]()
    for name, value, labels in _samples(found):
        if value is None:
            continue
        if name not in gauges:
            gauges[name] = Gauge(name, _HELP[name], ("archive", *labels), registry=registry)
        gauges[name].labels(_encodable(found.archive), *labels.values()).set(value)
    return registry


def _samples(found: Snapshot) -> Iterator[_Sample]:
    for run in found.runs.values():
        yield from _of_run(run)
    for command, moment in found.successes.items():
        labels = {"command": command}
        yield _Sample("archiver_last_success_timestamp_seconds", moment.timestamp(), labels)
    if found.holdings:
        yield _Sample("archiver_held_generations", found.holdings.generations)
        yield _Sample("archiver_held_files", found.holdings.files)
        yield _Sample("archiver_held_bytes", found.holdings.bytes)
    yield _Sample("archiver_build_info", 1, {"version": __version__})


def _of_run(run: Run) -> Iterator[_Sample]:
    labels = {"command": run.command}
    ended = run.ended.timestamp() if run.ended else None
    yield _Sample("archiver_last_run_timestamp_seconds", ended, labels)
    yield _Sample("archiver_last_run_duration_seconds", run.seconds, labels)
    yield _Sample("archiver_last_run_exit_status", run.exit_status, labels)
    yield _Sample("archiver_last_run_bytes", run.bytes, labels)
    things = "generations" if run.command == "backup" else "files"
    for name, count in run.counts.items():
        if name == "bad_lines":
            yield _Sample("archiver_last_run_bad_lines", count, labels)
        else:
            yield _Sample(f"archiver_last_run_{things}", count, labels | {"outcome": name})


def _encodable(path: str) -> str:
    """Return a path that can be encoded in UTF-8, as the format demands; a file system does not."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
