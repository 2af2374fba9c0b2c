"""What a run amounts to, for the textfile collector of Prometheus' node_exporter."""

import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile
from prometheus_client.parser import text_string_to_metric_families

from archiver.errors import storage_errors
from archiver.run import Holdings, Run


@dataclass(frozen=True, slots=True)
class _Family:
    """What the series of one name have in common."""

    help: str
    labels: tuple[str, ...] = ("archive", "command")


@dataclass(frozen=True, slots=True)
class _Series:
    """One line of the file, but for its value; the labels are in their family's order."""

    name: str
    labels: tuple[str, ...]


_Values: TypeAlias = dict[_Series, float]

_SUCCESS = "archiver_last_success_timestamp_seconds"
_INFO = "archiver_info"
_FAMILIES: Mapping[str, _Family] = {
    "archiver_last_run_timestamp_seconds": _Family("When the last run ended."),
    _SUCCESS: _Family("When the last run with exit status 0 ended."),
    "archiver_last_run_duration_seconds": _Family("How long the last run took."),
    "archiver_last_run_exit_status": _Family("The exit status of the last run."),
    "archiver_last_run_outcomes": _Family(
        "How many generations or files had each outcome in the last run.",
        ("archive", "command", "outcome"),
    ),
    "archiver_last_run_bytes": _Family("How many bytes the last run archived, or read."),
    "archiver_held_generations": _Family("How many generations are held.", ("archive",)),
    "archiver_held_files": _Family("How many files are held.", ("archive",)),
    "archiver_held_bytes": _Family("How many bytes are held.", ("archive",)),
    _INFO: _Family("The version that wrote last.", ("archive", "version")),
}
"""Gauges in base units, named as https://prometheus.io/docs/practices/naming/ has it."""


def write(path: Path, archive: str, run: Run, holdings: Holdings | None) -> None:
    """Write a textfile of what a run of the archive at the path `archive` amounts to.

    At every instant the old file or the new one is there, whole, with the mode that the umask
    gives. What the old one says of other commands and archives is carried forward, so that they
    may share a file, and so is what this run knows nothing of: when the last success was, if this
    is none, and the `holdings` if they are None. What the old one has of others' metrics, or is
    not to be understood, is left out.

    Raises:
        StorageError: if the file cannot be written.
    """
    shown = _encodable(archive)
    old = {s: value for s, value in _read(path).items() if not _outdated(s, shown, run)}
    registry = _registry(old | _of_run(shown, run) | _of_holdings(shown, holdings))
    with storage_errors(f"writing the metrics to {path}"):
        write_to_textfile(str(path), registry)


def _encodable(path: str) -> str:
    """Return a path as UTF-8 can hold it, which the format demands; a file system does not."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _of_run(archive: str, run: Run) -> _Values:
    ended = run.ended.timestamp() if run.ended else None
    told = {
        "archiver_last_run_timestamp_seconds": ended,
        _SUCCESS: ended if run.exit_status == 0 else None,
        "archiver_last_run_duration_seconds": run.seconds,
        "archiver_last_run_exit_status": run.exit_status,
        "archiver_last_run_bytes": run.bytes,
    }
    labels = (archive, run.command)
    return {
        **{_Series(name, labels): value for name, value in told.items() if value is not None},
        **{
            _Series("archiver_last_run_outcomes", (*labels, outcome)): count
            for outcome, count in run.counts.items()
        },
        _Series(_INFO, (archive, run.version)): 1,
    }


def _of_holdings(archive: str, holdings: Holdings | None) -> _Values:
    if holdings is None:
        return {}
    return {
        _Series("archiver_held_generations", (archive,)): holdings.generations,
        _Series("archiver_held_files", (archive,)): holdings.files,
        _Series("archiver_held_bytes", (archive,)): holdings.bytes,
    }


def _outdated(series: _Series, archive: str, run: Run) -> bool:
    """Tell whether a series is of an earlier run that this one follows: it may lack a successor."""
    if series.name == _INFO:
        return series.labels[0] == archive
    return series.labels[:2] == (archive, run.command) and series.name != _SUCCESS


def _read(path: Path) -> _Values:
    """Return what the file says that is ours, as far as it can be read."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError:
        return {}
    return {series: value for line in lines for series, value in _parse(line)}


def _parse(line: bytes) -> Iterator[tuple[_Series, float]]:
    with suppress(ValueError, OverflowError):  # no line of a textfile, or a number beyond all
        for family in text_string_to_metric_families(line.decode()):
            for sample in family.samples:
                known, value = _FAMILIES.get(sample.name), float(sample.value)
                if known and sample.labels.keys() == set(known.labels) and math.isfinite(value):
                    labels = tuple(sample.labels[label] for label in known.labels)
                    yield _Series(sample.name, labels), value


def _registry(values: _Values) -> CollectorRegistry:
    """Return a registry of nothing but these series, each family with its help and its type."""
    registry = CollectorRegistry()
    for name, family in _FAMILIES.items():
        series = {s.labels: value for s, value in values.items() if s.name == name}
        if series:
            gauge = Gauge(name, family.help, family.labels, registry=registry)
            for labels, value in series.items():
                gauge.labels(*labels).set(value)
    return registry
