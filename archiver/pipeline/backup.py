"""A backup run: from manifests to an archive in which their videos are held."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from archiver.archive.bag import Bag
from archiver.catalogue.database import CatalogueDamaged, set_aside
from archiver.catalogue.store import Catalogue
from archiver.errors import ConfigurationError, StorageError
from archiver.eventloop import started
from archiver.manifest.sources import Manifests
from archiver.outcomes import Worklist
from archiver.pipeline.indexing import describe, open_to_read
from archiver.pipeline.recovery import recover
from archiver.pipeline.report import Plan, Report, Tally
from archiver.pipeline.waiting import Waiting
from archiver.progress import Progress, Silent
from archiver.run import Completed, Ended, Skipped, Stopped, TimeUp
from archiver.settings import Settings

_LOG = logging.getLogger(__name__)


async def backup(
    archive: Path | str,
    manifests: Sequence[Path | str],
    settings: Settings,
    progress: Progress | None = None,
) -> Report:
    """Archive what the manifests list and the archive does not hold yet.

    An error that ends a run which has begun is in the report.

    Raises:
        ManifestUnreadable: if no manifest can be read.
        ConfigurationError: if the archive is something else, or a line is bad and `strict` set.
        ArchiveLocked: if another run holds the archive.
        StorageError: if the archive cannot be opened or recovered.
        Interrupted: if a signal ends the wait for a manifest.
    """
    names, progress = [str(name) for name in manifests], progress or Silent()
    sources = Manifests(names, settings.endpoint)
    sources.check()
    with Bag.open(Path(archive), settings.lock_wait) as bag:
        report = await _back_up(bag, sources, settings, progress)
        match report.ended:
            case Stopped(CatalogueDamaged() as damage):
                set_aside(bag.layout.catalogue)
                if sources.used_up:
                    return report
                reason = damage.reason
                _LOG.warning("%s: it is set aside and rebuilt, without its history", reason)
                sources = Manifests(names, settings.endpoint)
                return await _back_up(bag, sources, settings, progress)
        return report


@contextmanager
def plan(
    archive: Path, manifests: Sequence[str], settings: Settings
) -> Iterator[tuple[Plan, Iterator[list[str]]]]:
    """Find out what `backup` would fetch, and touch nothing; name it, some at a time.

    Raises:
        ManifestUnreadable: if no manifest can be read.
        ConfigurationError: if the archive is something else, or a line is bad and `strict` set.
        StorageError: if the archive cannot be read.
        Interrupted: if a signal ends the wait for a manifest.
    """
    sources = Manifests(manifests, settings.endpoint)
    sources.check()
    bag = Bag(archive)
    bag.check()
    with closing(open_to_read(bag)) as catalogue:
        worklist = _worklist(catalogue, sources, settings, Waiting(settings.max_time))
        yield Plan(worklist, sources.problems), catalogue.worklist.names()


async def _back_up(bag: Bag, sources: Manifests, settings: Settings, progress: Progress) -> Report:
    """Back up into an archive whose lock is held; a damaged catalogue is in the report.

    Raises:
        ArchiverError: if the run cannot begin.
    """
    began = datetime.now(UTC)
    try:
        return await _run(bag, sources, settings, progress, began)
    except CatalogueDamaged as damage:
        return Report.failed_to_begin(began, damage)


async def _run(
    bag: Bag, sources: Manifests, settings: Settings, progress: Progress, began: datetime
) -> Report:
    with (
        closing(Catalogue.open(bag.layout.catalogue)) as catalogue,
        catalogue.history.recording("backup", began) as record,
        _described_on_error(bag, catalogue),
    ):
        recover(bag, catalogue, settings.timings.stale_after)
        waiting = Waiting(settings.max_time)
        worklist = _worklist(catalogue, sources, settings, waiting)
        progress.planned(worklist)
        tally = Tally()
        for lost in worklist.unreported:
            tally.add(lost)
        ended: Ended = Completed()
        if waiting.time_left == 0:  # more time would have brought no more: this is no success
            ended = Skipped(TimeUp().reason)
        elif worklist.to_fetch:
            settings = replace(settings, max_time=waiting.time_left)
            ended = await _fetch(bag, catalogue, settings, progress, tally)
        ended = _finish(bag, catalogue, ended)
        report = Report(began, datetime.now(UTC), ended, worklist, tally, sources.problems)
        record(report.run)
        return report


def _worklist(
    catalogue: Catalogue, sources: Manifests, settings: Settings, waiting: Waiting
) -> Worklist:
    listed = sources.entries(waiting.until_readable)
    with waiting.on_signals():
        worklist = catalogue.worklist.add(listed, retry_lost=settings.retry_lost)
    sources.check()
    if settings.strict and sources.problems:
        problems = "\n".join(sources.problems.lines())
        raise ConfigurationError(f"{problems}\nnothing was fetched, because of --strict")
    return worklist


async def _fetch(
    bag: Bag, catalogue: Catalogue, settings: Settings, progress: Progress, tally: Tally
) -> Ended:
    # Most runs have nothing to fetch, and start sooner without aiohttp and an event loop.
    await started()
    from archiver.pipeline.commit import GroupCommit  # noqa: PLC0415
    from archiver.pipeline.families import VIDEO_FAMILIES, Families  # noqa: PLC0415
    from archiver.pipeline.workers import Work, fetch_all  # noqa: PLC0415

    commit = GroupCommit(bag, catalogue, settings.timings.stale_after, tally).commit
    worklist = catalogue.worklist
    families = Families(worklist.families(VIDEO_FAMILIES))
    work = Work(bag.layout, worklist.take, commit, families, worklist.resolve)
    return await fetch_all(work, settings, progress)


def _finish(bag: Bag, catalogue: Catalogue, ended: Ended) -> Ended:
    """Note what is reported, and bring `bag-info.txt` up to date; return how the run ended."""
    try:
        catalogue.worklist.set_reported()
        describe(bag, catalogue)
    except StorageError as error:
        return ended if isinstance(ended, Stopped) else Stopped(error)
    return ended


@contextmanager
def _described_on_error(bag: Bag, catalogue: Catalogue) -> Iterator[None]:
    """Bring `bag-info.txt` up to date also after an error: something may have been recovered."""
    try:
        yield
    except BaseException:
        with suppress(StorageError):
            describe(bag, catalogue)
        raise
