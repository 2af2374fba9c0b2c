"""Entries: what manifests say of generations that are held already becomes sidecars.

What they say of a generation that is fetched is committed with it.
"""

import logging
from collections.abc import Callable

from archiver.archive.staged import StagedGeneration
from archiver.archive.store import Store, WritableStore
from archiver.catalogue.store import Catalogue
from archiver.generation import Generation
from archiver.pipeline.commit import commit_staged
from archiver.pipeline.sidecars import parsed, read

_LOG = logging.getLogger(__name__)
_GROUP = 500


def add_entries(store: WritableStore, catalogue: Catalogue, has_time: Callable[[], bool]) -> None:
    """Write what manifests say of held generations, while there is time; the rest another time.

    Raises:
        StorageError: if the disk fails.
    """
    last = None
    while group := catalogue.worklist.held_with_sayings(last, _GROUP):
        commit_staged(store, catalogue, [_held(store, generation) for generation in group], ())
        last = group[-1]
        if not has_time():
            _LOG.info("the next run goes on writing what the manifests say")
            return


def _held(store: Store, generation: Generation) -> StagedGeneration:
    """Return a generation to which nothing is to be added but what manifests say."""
    return StagedGeneration(generation, (), parsed(read(store, generation.sidecar_path)))
