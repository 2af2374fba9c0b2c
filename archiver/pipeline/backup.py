"""The night's work: from a list of generations to an archive in which they are held."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from archiver.archive.bag import Bag
from archiver.archive.staging import StagedFile, StagedGeneration, Staging, staged_generations
from archiver.catalogue.database import Damaged
from archiver.catalogue.store import Catalogue
from archiver.errors import ConfigurationError, StorageError
from archiver.generation import Generation
from archiver.manifest.sources import Intake
from archiver.outcomes import Archived, Failed, Lost, Outcome, Pending, Report
from archiver.pipeline.desk import Finished, Result, archived
from archiver.progress import Progress
from archiver.settings import Settings
from archiver.units import counted

_LOG = logging.getLogger(__name__)


async def backup(
    archive: Path,
    manifests: Sequence[str],
    default_endpoint: str,
    settings: Settings,
    progress: Progress,
) -> Report:
    """Archive what the manifests list and is not held yet; return what became of it.

    Raises:
        ManifestUnreadable: if no manifest can be read.
        ConfigurationError: if the archive is something else, or a line is bad and `strict` set.
        ArchiveLocked: if another run holds the archive.
        StorageError: if the archive cannot be opened or mended.
    """
    intake = Intake(manifests, default_endpoint, Report())
    intake.check()
    with Bag.hold(archive, settings.lock_wait) as bag:
        try:
            return await _back_up(bag, intake, settings, progress)
        except Damaged as damage:
            Catalogue.put_aside(archive)
            if "-" in manifests:  # what was read from there cannot be read again
                raise
            _LOG.warning("%s: it is put aside and made anew, without its history", damage.what)
        again = Intake(manifests, default_endpoint, Report())
        return await _back_up(bag, again, settings, progress)


async def _back_up(bag: Bag, intake: Intake, settings: Settings, progress: Progress) -> Report:
    """Do the work of `backup` in an archive that is held.

    Raises:
        Damaged: if the catalogue is, wherever that has shown.
    """
    report, started = intake.report, time.monotonic()
    with (
        closing(Catalogue.open(bag.root)) as catalogue,
        catalogue.history().recorded("backup", report),
    ):
        mend(bag, catalogue)
        try:
            enlisted = catalogue.enlist(intake.listed(), retry_lost=settings.retry_lost)
            intake.check()
            report.enlist(enlisted)
            _be_strict(report, strict=settings.strict)
            progress.enlisted(enlisted)
            if enlisted.to_ask:
                from archiver.pipeline.workers import Night  # noqa: PLC0415 (a night without work starts sooner)

                await Night(_Desk(bag, catalogue), settings, report, progress).run()
            catalogue.have_told()
        finally:
            report.seconds = time.monotonic() - started
            with suppress(StorageError) if report.ending else nullcontext():
                bag.describe(*catalogue.totals())
    if isinstance(report.ending, Damaged):
        raise report.ending
    return report


def plan(
    archive: Path,
    manifests: Sequence[str],
    default_endpoint: str,
    *,
    retry_lost: bool,
    strict: bool,
) -> tuple[Report, Iterator[Generation]]:
    """Say what `backup` would ask for, and touch nothing.

    Raises:
        ManifestUnreadable: if no manifest can be read.
        ConfigurationError: if the archive is something else, or a line is bad and `strict` set.
    """
    report = Report()
    intake = Intake(manifests, default_endpoint, report)
    intake.check()
    Bag(archive).check()
    with ExitStack() as stack:
        catalogue = stack.enter_context(closing(Catalogue.look(archive)))
        enlisted = catalogue.enlist(intake.listed(), retry_lost=retry_lost)
        intake.check()
        _be_strict(report, strict=strict)
        stack.pop_all()
    report.plan(enlisted)
    return report, catalogue.taken()


def _be_strict(report: Report, *, strict: bool) -> None:
    if strict and report.not_understood:
        raise ConfigurationError("\n".join(report.not_understood))


def mend(bag: Bag, catalogue: Catalogue, *, forget: bool = True) -> None:
    """Finish what a crash has left open, before anything is asked for.

    First the group that was being placed, then the generations that were staged whole. What is
    neither listed nor there any more is forgotten, unless it is to be fetched anew.

    Raises:
        StorageError: if the disk does not let it.
    """
    if mended := bag.mend():
        _LOG.info("mended: %d files that the last run was placing", mended)
    catalogue.absorb(bag)
    bag.close_mended()
    if unlisted := catalogue.unlisted():
        _relist(bag, catalogue, unlisted, forget=forget)
    whole = []
    for staging in staged_generations(bag.root):
        if catalogue.holds(staging.generation):
            staging.tidy()  # a repair may have begun what the next one finishes
        elif staged := staging.complete():
            _LOG.info("mended: %s, which the last run had downloaded", staging.generation)
            whole.append(staged)
        else:
            staging.tidy()
    if whole:
        _settle(bag, catalogue, whole, [archived(staged, ("an earlier run",)) for staged in whole])


def _relist(bag: Bag, catalogue: Catalogue, files: Sequence[StagedFile], *, forget: bool) -> None:
    """Write back the checksum lines that somebody has cut, of files that still match them."""
    relisted, missing = bag.relist(files)
    if forget:
        catalogue.forget(missing)
    catalogue.absorb(bag)
    changed = len(files) - len(relisted) - len(missing)
    counts = {
        "written back": len(relisted),
        "of files that are gone": len(missing),
        "of files that have changed": changed,
    }
    told = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    _LOG.warning("the checksum manifest had lost %s: %s", counted(len(files), "line"), told)


def _settle(
    bag: Bag, catalogue: Catalogue, staged: Sequence[StagedGeneration], outcomes: Sequence[Outcome]
) -> None:
    """Place what is staged, and commit all outcomes with it."""
    files = [file for generation in staged for file in generation.files]
    if staged:
        if listed := catalogue.listed(files):
            bag.withdraw(listed)
        bag.settle(staged, commit=lambda: catalogue.record(outcomes, files, bag.checksums.mark()))
    else:
        catalogue.record(outcomes, (), bag.checksums.mark())


@dataclass(frozen=True, slots=True)
class _Desk:
    """A backup's work comes from the catalogue, and goes into the bag."""

    bag: Bag
    catalogue: Catalogue

    @property
    def root(self) -> Path:
        return self.bag.root

    def take(self, count: int) -> list[tuple[Generation, bool]]:
        return self.catalogue.take(count)

    def settle(self, group: Sequence[Result]) -> Sequence[Outcome]:
        """Place what is staged, commit all outcomes, and tidy up after those that have no file."""
        staged = [result.staged for result in group if isinstance(result, Finished)]
        outcomes = [
            result.outcome if isinstance(result, Finished) else self.catalogue.judge(result)
            for result in group
        ]
        _settle(self.bag, self.catalogue, staged, outcomes)
        for outcome in outcomes:
            match outcome:
                case Lost(generation):
                    Staging(self.bag.root, generation).give_up()
                case Failed(generation):
                    Staging(self.bag.root, generation).tidy()
                case Archived() | Pending():
                    pass
                case _:
                    assert_never(outcome)
        return outcomes
