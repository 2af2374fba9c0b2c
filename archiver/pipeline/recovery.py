"""Recovery: what an interrupted run has left is finished before anything is fetched."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from archiver.archive.letter_case import LetterCase
from archiver.archive.staged import StagedGeneration, names_in_staging
from archiver.archive.store import WritableStore
from archiver.catalogue.store import Catalogue, Record
from archiver.checksums import BagFile
from archiver.generation import LISTED
from archiver.pipeline.indexing import absorb
from archiver.units import counted

if TYPE_CHECKING:
    from archiver.archive.staging import Staging

_LOG = logging.getLogger(__name__)


def recover(
    store: WritableStore, catalogue: Catalogue, stale_after: float, *, forget: bool = True
) -> None:
    """Finish what an interrupted run has left.

    First the group that it was committing, then the generations that it had staged whole. Files
    that are neither listed nor there any more are forgotten, unless they are to be fetched anew.

    Raises:
        StorageError: if the disk fails.
    """
    files = store.recover()
    if files:
        _LOG.info("recovered %s from an interrupted run", counted(len(files), "file"))
    absorb(store, catalogue)
    catalogue.read_again(file.target.path for file in files)
    store.clear_journal(files)  # the catalogue knows of them now
    if unlisted := catalogue.unlisted():
        _relist(store, catalogue, unlisted, forget=forget)
    if names_in_staging(store.layout):
        _end_staged(store, catalogue, stale_after)


def _end_staged(store: WritableStore, catalogue: Catalogue, stale_after: float) -> None:
    """Commit what is staged whole, and delete what is of no use any more."""
    # Hardly any run has something to recover, and all the others start sooner without this.
    from archiver.archive.staging import staged_generations  # noqa: PLC0415

    whole, letter_case = [], LetterCase(store.layout)
    for staging in staged_generations(store.layout):
        if letter_case.rival(staging.generation):
            continue  # it stays staged until it can have a name of its own
        if not catalogue.holds(staging.generation) and (staged := _complete(staging)):
            _LOG.info("recovered %s, downloaded by an interrupted run", staging.generation)
            whole.append(staged)
        else:
            staging.tidy(stale_after)  # of a held one a repair may have left something to resume
    if whole:
        _commit(store, catalogue, whole)


def _commit(store: WritableStore, catalogue: Catalogue, whole: Sequence[StagedGeneration]) -> None:
    from archiver.pipeline.commit import commit_staged  # noqa: PLC0415

    records = [Record(each.generation, "held", served_by=("an earlier run",)) for each in whole]
    commit_staged(store, catalogue, whole, records)


def _complete(staging: "Staging") -> StagedGeneration | None:
    """Return a generation if all that its response lists is staged whole."""
    from archiver.modelslab.listing import ready  # noqa: PLC0415
    from archiver.modelslab.reading import parse_json, read_response  # noqa: PLC0415
    from archiver.modelslab.responses import HttpReply, Ready  # noqa: PLC0415

    if (data := staging.read_response()) is None:
        return None
    document, now = parse_json(data), datetime.now(UTC)
    if staging.generation.endpoint == LISTED:
        item = ready(staging.generation, document)
        return staging.complete(item.outputs) if item else None
    match read_response(HttpReply(200, data), document, staging.generation.id, now):
        case Ready(outputs):
            return staging.complete(outputs)
        case _:
            return None


def _relist(
    store: WritableStore, catalogue: Catalogue, files: Sequence[BagFile], *, forget: bool
) -> None:
    """Write back the checksum lines that somebody has removed, of files that still match."""
    relisted, missing = store.relist(files)
    if forget:
        catalogue.forget(missing)
    absorb(store, catalogue)
    changed = len(files) - len(relisted) - len(missing)
    counts = {
        "written back": len(relisted),
        "of files that are gone": len(missing),
        "of files that have changed": changed,
    }
    details = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    lines = counted(len(files), "line")
    _LOG.warning("the checksum manifest had lost %s: %s", lines, details)
