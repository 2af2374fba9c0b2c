"""Sync: from the checksum manifest of one archive to another that holds the same files.

What the source lists and the target does not is copied, generation by generation; the lines of a
group come last, by the target's own commit. So a sync that is killed loses nothing and lists
nothing false, and the next one goes on with the rest. What the target lists is never touched, and
nothing is deleted anywhere.
"""

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf

from archiver.archive.staged import names_in_staging
from archiver.archive.store import Store, WritableStore
from archiver.catalogue.store import Catalogue
from archiver.errors import ArchiverError
from archiver.location import Location, parse_location
from archiver.pipeline.indexing import describe, opened_to_plan, opened_to_read
from archiver.pipeline.recovery import recover
from archiver.pipeline.sidecars import describe_held
from archiver.pipeline.waiting import Waiting
from archiver.progress import ByteProgress, Silent
from archiver.run import Completed, Ended, Stopped
from archiver.settings import Timings
from archiver.stores import open_store
from archiver.sync.compare import Catalogues, compare
from archiver.sync.copying import OF_NO_GENERATION, Copying
from archiver.sync.places import check_apart
from archiver.sync.report import Plan, SyncReport, Tally
from archiver.sync.tags import carry_tags, check_shard
from archiver.sync.transfer import Transfer

_READING = 10.0
"""For how many seconds the sidecars of files are read that were there already."""


@dataclass(frozen=True, slots=True)
class SyncSettings:
    """How to sync: `limit_rate` in bytes a second, `lock_wait` in seconds."""

    transfers: int = 16
    """How many generations are copied at once."""
    limit_rate: float | None = None
    lock_wait: float = 0.0


def sync(
    source: Location | str,
    target: Location | str,
    settings: SyncSettings | None = None,
    progress: ByteProgress | None = None,
) -> SyncReport:
    """Copy what one archive lists to another, which is created if it does not exist.

    An error that ends a run which has begun is in the report.

    Raises:
        NotAnArchive: if there is no source, or the target is something else.
        ConfigurationError: if they are one place, or one is in the other.
        ArchiveLocked: if another run holds the target.
        StorageError: if either cannot be opened.
    """
    began, settings = datetime.now(UTC), settings or SyncSettings()
    source, target = parse_location(source), parse_location(target)
    check_apart(source, target)
    with (
        opened_to_read(source) as (origin, known),
        open_store(target, settings.lock_wait) as store,
        closing(Catalogue.open(store.layout.catalogue)) as catalogue,
        catalogue.history.recording("sync", began) as record,
    ):
        check_shard(origin, store)
        ends = _Ends(origin, store, Catalogues(known, catalogue))
        report = _run(ends, settings, progress or Silent(), began)
        record(report.run)
    return report


@contextmanager
def plan(source: Location, target: Location) -> Iterator[tuple[Plan, Iterator[list[str]]]]:
    """Find out what `sync` would copy, and touch nothing; the paths are named, some at a time.

    Raises:
        NotAnArchive: if there is no source, or the target is something else.
        ConfigurationError: if they are one place, or one is in the other.
        StorageError: if either cannot be read.
    """
    check_apart(source, target)
    with opened_to_read(source) as (origin, known), opened_to_plan(target) as (store, catalogue):
        check_shard(origin, store)
        tally = Tally()
        difference = compare(origin, Catalogues(known, catalogue), tally)
        pages = ([file.path for file in page] for page in difference.files())
        yield Plan(tally, *difference.total()), pages


@dataclass(frozen=True, slots=True)
class _Ends:
    """The two ends of a sync."""

    source: Store
    target: WritableStore
    catalogues: Catalogues


def _run(
    ends: _Ends, settings: SyncSettings, progress: ByteProgress, began: datetime
) -> SyncReport:
    """Bring the target up to date; an error that ends that early is in the report.

    Raises:
        ArchiverError: if the run cannot begin.
    """
    store, catalogue, tally = ends.target, ends.catalogues.target, Tally()
    recover(store, catalogue, Timings().stale_after)
    _tidy(store)
    if carry_tags(ends.source, store):
        describe(store, catalogue)
    ended: Ended = Completed()
    try:
        waiting = Waiting(None)
        with waiting.on_signals():
            check = waiting.for_seconds(inf)
            difference = compare(ends.source, ends.catalogues, tally)
            progress.expected(difference.total()[1])
            transfer = Transfer(store, ends.catalogues, tally, progress, check)
            transfer.adopt(difference)
            copying = Copying(ends.source, store, progress, settings.limit_rate)
            transfer.copy(difference, copying, settings.transfers)
            describe_held(store, catalogue, waiting.for_seconds(_READING))
    except ArchiverError as error:
        ended = Stopped(error)
    ended = _finish(store, catalogue, ended)
    return SyncReport(began, datetime.now(UTC), ended, tally)


def _tidy(store: Store) -> None:
    """Delete what a killed sync has staged of files that belong to no generation."""
    for name in names_in_staging(store.layout):
        if name.startswith(f"{OF_NO_GENERATION}~"):
            shutil.rmtree(store.layout.incoming / name, ignore_errors=True)


def _finish(store: WritableStore, catalogue: Catalogue, ended: Ended) -> Ended:
    """Bring the tag files up to date; return how the run ended."""
    try:
        describe(store, catalogue)
    except ArchiverError as error:
        return ended if isinstance(ended, Stopped) else Stopped(error)
    return ended
