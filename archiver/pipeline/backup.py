"""A backup run: from manifests to an archive in which their videos are held."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from archiver.archive import shard_mark
from archiver.archive.store import Store, WritableStore
from archiver.catalogue.database import CatalogueDamaged, set_aside
from archiver.catalogue.store import Catalogue
from archiver.errors import (
    ApiUnreachable,
    ArchiverError,
    ConfigurationError,
    Interrupted,
)
from archiver.eventloop import started
from archiver.location import Location, parse_location
from archiver.manifest.sources import Manifests
from archiver.outcomes import Worklist
from archiver.pipeline.indexing import describe, opened_to_plan
from archiver.pipeline.recovery import recover
from archiver.pipeline.report import Discovered, Plan, Report, Tally
from archiver.pipeline.waiting import Waiting
from archiver.progress import Progress, Silent
from archiver.run import Completed, Ended, Skipped, Stopped, TimeUp
from archiver.settings import Settings
from archiver.stores import open_store

if TYPE_CHECKING:
    from archiver.modelslab.rate_limit import RateLimit
    from archiver.pipeline.listed import Discovery, Sorting

_LOG = logging.getLogger(__name__)
_READING = 10.0
"""For how many seconds a run goes on reading the sidecars of an older archive."""
_WRITING = 30.0
"""For how many seconds a run goes on writing what manifests say of what was held before."""


async def backup(
    archive: Location | str,
    manifests: Sequence[Path | str],
    settings: Settings,
    progress: Progress | None = None,
) -> Report:
    """Archive what the manifests list and the archive does not hold yet.

    The archive is a directory, or a place in a bucket: `s3://bucket/prefix`. With
    `settings.discover` one's own generations are archived too, and no manifest is needed. An
    error that ends a run which has begun is in the report.

    Raises:
        ManifestUnreadable: if no manifest can be read.
        ConfigurationError: if the archive is something else, also another shard's, or a line is bad
            and `strict` set.
        ArchiveLocked: if another run holds the archive.
        StorageError: if the archive cannot be opened or recovered.
        Interrupted: if a signal ends the wait for a manifest.
    """
    names, progress = [str(name) for name in manifests], progress or Silent()
    sources = _manifests(names, settings)
    _check(sources, settings)
    with open_store(parse_location(archive), settings.lock_wait, settings.bucket) as store:
        shard_mark.claim(store.layout, settings.shard)
        store.keep_tags()
        report = await _back_up(store, sources, settings, progress)
        match report.ended:
            case Stopped(CatalogueDamaged() as damage):
                set_aside(store.layout.catalogue)
                if sources.used_up:
                    return report
                reason = damage.reason
                _LOG.warning("%s: it is set aside and rebuilt, without its history", reason)
                sources = _manifests(names, settings)
                return await _back_up(store, sources, settings, progress)
        return report


@contextmanager
def plan(
    archive: Location,
    manifests: Sequence[str],
    settings: Settings,
    discovery: "Discovery | None" = None,
) -> Iterator[tuple[Plan, Iterator[list[str]]]]:
    """Find out what `backup` would fetch of the manifests and a discovery, and touch nothing.

    It is named, some at a time.

    Raises:
        ManifestUnreadable: if no manifest can be read.
        ConfigurationError: if the archive is something else, or a line is bad and `strict` set.
        StorageError: if the archive cannot be read.
        Interrupted: if a signal ends the wait for a manifest.
    """
    sources = _manifests(manifests, settings)
    _check(sources, settings)
    with opened_to_plan(archive) as (store, catalogue):
        shard_mark.check_to_fill(store.layout, settings.shard)
        own = _sorting(store, catalogue, discovery, settings) if discovery else None
        lists = _Lists(sources, own)
        worklist = _worklist(catalogue, lists, settings, Waiting(settings.max_time), keep=False)
        yield Plan(worklist, sources.problems, lists.discovered), catalogue.worklist.names()


async def _back_up(
    store: WritableStore, sources: Manifests, settings: Settings, progress: Progress
) -> Report:
    """Back up into an archive whose lock is held; a damaged catalogue is in the report.

    Raises:
        ArchiverError: if the run cannot begin.
    """
    began = datetime.now(UTC)
    try:
        return await _run(store, sources, settings, progress, began)
    except CatalogueDamaged as damage:
        return Report.failed_to_begin(began, damage)


async def _run(
    store: WritableStore,
    sources: Manifests,
    settings: Settings,
    progress: Progress,
    began: datetime,
) -> Report:
    with (
        closing(Catalogue.open(store.layout.catalogue)) as catalogue,
        catalogue.history.recording("backup", began) as record,
        _described_on_error(store, catalogue),
    ):
        recover(store, catalogue, settings.timings.stale_after)
        waiting = Waiting(settings.max_time)
        lists, rate_limit = _Lists(sources), None
        if settings.discover:
            discovery, rate_limit = await _discover(settings, waiting, progress)
            lists = _Lists(sources, _sorting(store, catalogue, discovery, settings))
        worklist = _worklist(catalogue, lists, settings, waiting)
        progress.planned(worklist)
        tally = Tally()
        for lost in worklist.unreported:
            tally.add(lost)
        ended: Ended = Completed()
        if waiting.time_left == 0:  # more time would have brought no more: this is no success
            ended = Skipped(TimeUp().reason)
        elif worklist.to_fetch:
            settings = replace(settings, max_time=waiting.time_left)
            ended = await _fetch(_Ground(store, catalogue, tally), rate_limit, settings, progress)
        elif lists.unreachable:
            ended = Stopped(lists.unreachable)
        ended = _finish(store, catalogue, ended, waiting)
        report = Report(
            began,
            datetime.now(UTC),
            ended,
            worklist,
            tally,
            sources.problems,
            lists.discovered,
        )
        record(report.run)
        return report


@dataclass(frozen=True, slots=True)
class _Ground:
    """What a run works on, and where it counts what becomes of it."""

    store: WritableStore
    catalogue: Catalogue
    tally: Tally


@dataclass(frozen=True, slots=True)
class _Lists:
    """What a run is asked for: manifests, and perhaps one's own generations."""

    manifests: Manifests
    own: "Sorting | None" = None

    @property
    def discovered(self) -> Discovered | None:
        """What was made of one's own generations, if any page was read."""
        return self.own.summary if self.own and self.own.discovery.pages else None

    @property
    def unreachable(self) -> ApiUnreachable | None:
        """Why there was not a single response when they were to be listed."""
        trouble = self.own.discovery.trouble if self.own else None
        error = trouble.error if trouble else None
        return error if isinstance(error, ApiUnreachable) else None


def _manifests(names: Sequence[str], settings: Settings) -> Manifests:
    return Manifests(names, settings.endpoint, settings.shard, strict=settings.strict)


def _check(sources: Manifests, settings: Settings) -> None:
    """Make sure that there is a manifest that can be read, unless there is something else to do.

    Raises:
        ManifestUnreadable: if there is not.
    """
    if not settings.discover:
        sources.check()


async def _discover(
    settings: Settings, waiting: Waiting, progress: Progress
) -> "tuple[Discovery, RateLimit]":
    """List one's own generations, in at most half of the time that the run has."""
    await started()
    from archiver.pipeline.discover import discover  # noqa: PLC0415
    from archiver.pipeline.sessions import new_rate_limit  # noqa: PLC0415

    waiting.begin()
    rate_limit = new_rate_limit(settings)
    seconds = None if waiting.time_left is None else waiting.time_left / 2
    return await discover(settings, progress, rate_limit, seconds), rate_limit


def _sorting(
    store: Store, catalogue: Catalogue, discovery: "Discovery", settings: Settings
) -> "Sorting":
    from archiver.pipeline.listed import Sorting  # noqa: PLC0415

    return Sorting(discovery, catalogue.listed, store, settings.retry_lost)


def _worklist(
    catalogue: Catalogue, lists: _Lists, settings: Settings, waiting: Waiting, *, keep: bool = True
) -> Worklist:
    """List what there is to do; `keep` what the manifests say of it."""
    redact = settings.api.key.redact_document if keep else None
    sources, own = lists.manifests, lists.own
    listed, discovered = sources.entries(waiting.until_readable), own.entries() if own else ()
    with waiting.on_signals():
        worklist = catalogue.worklist.add(
            listed, discovered, retry_lost=settings.retry_lost, redact=redact
        )
    _check(sources, settings)
    if settings.strict and sources.problems:
        problems = "\n".join(sources.problems.lines())
        raise ConfigurationError(f"{problems}\nnothing was fetched, because of --strict")
    if own:
        own.discovery.add_to(sources.problems, items=sources.speaks_for_all)
    return worklist


async def _fetch(
    ground: _Ground, rate_limit: "RateLimit | None", settings: Settings, progress: Progress
) -> Ended:
    # Most runs have nothing to fetch, and start sooner without aiohttp and an event loop.
    await started()
    from archiver.pipeline.commit import GroupCommit  # noqa: PLC0415
    from archiver.pipeline.families import VIDEO_FAMILIES, Families  # noqa: PLC0415
    from archiver.pipeline.workers import Work, fetch_all  # noqa: PLC0415

    store, catalogue = ground.store, ground.catalogue
    commit = GroupCommit(store, catalogue, settings.timings.stale_after, ground.tally)
    worklist = catalogue.worklist
    families = Families(worklist.families(VIDEO_FAMILIES))
    work = Work(
        store.layout,
        worklist.take,
        commit.commit,
        families,
        worklist.resolve,
        rate_limit,
        commit.begin_upload,
    )
    return await fetch_all(work, settings, progress)


def _finish(store: WritableStore, catalogue: Catalogue, ended: Ended, waiting: Waiting) -> Ended:
    """Note what is reported, and bring the records up to date; return how the run ended."""
    try:
        catalogue.worklist.set_reported()
        if isinstance(ended, Completed | Skipped):
            ended = _keep_what_is_said(store, catalogue, waiting) or ended
        describe(store, catalogue)
    except ArchiverError as error:
        return ended if isinstance(ended, Stopped) else Stopped(error)
    return ended


def _keep_what_is_said(
    store: WritableStore, catalogue: Catalogue, waiting: Waiting
) -> Ended | None:
    """Keep what is said of generations that were held before, unless a signal ends the run."""
    if not (catalogue.worklist.held_with_sayings(None, 1) or catalogue.undescribed(1)):
        return None  # as on most runs
    from archiver.pipeline.entries import add_entries  # noqa: PLC0415
    from archiver.pipeline.sidecars import describe_held  # noqa: PLC0415

    try:
        with waiting.on_signals():
            add_entries(store, catalogue, waiting.for_seconds(_WRITING))
            describe_held(store, catalogue, waiting.for_seconds(_READING))
    except Interrupted as interrupted:
        return Stopped(interrupted)
    return None


@contextmanager
def _described_on_error(store: WritableStore, catalogue: Catalogue) -> Iterator[None]:
    """Bring `bag-info.txt` up to date also after an error: something may have been recovered."""
    try:
        yield
    except BaseException:
        with suppress(ArchiverError):
            describe(store, catalogue)
        raise
