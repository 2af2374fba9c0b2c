"""Sidecars: what they say of the generations that an archive holds is in its catalogue.

What is committed is described at once. Of an archive that an earlier version made, or whose
catalogue was lost, the sidecars are read afterwards, some on each run: the catalogue remembers
which were. The videos are not read for that.
"""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from archiver.archive.staged import StagedGeneration
from archiver.archive.staging import Staging
from archiver.archive.store import Store
from archiver.catalogue.store import Catalogue, Described
from archiver.generation import Generation, entry_number
from archiver.manifest.said import DOCUMENTS_LIMIT, additions
from archiver.metadata import Metadata, metadata_of

_LOG = logging.getLogger(__name__)
LARGEST = 8 << 20
"""No sidecar that we write has more bytes than this; one that has is not read."""
_BATCH = 500
_AT_ONCE = 16
"""This many are read together from a store that is far away."""


def describe_held(store: Store, catalogue: Catalogue, has_time: Callable[[], bool]) -> None:
    """Read sidecars that were not read yet, while there is time; the rest is for another run.

    Raises:
        StorageError: if the catalogue cannot be read or written.
    """
    while batch := catalogue.undescribed(_BATCH):
        catalogue.describe(_described(store, catalogue, batch))
        if not has_time():
            return


def with_entries(
    store: Store, catalogue: Catalogue, group: Sequence[StagedGeneration]
) -> list[tuple[StagedGeneration, Described]]:
    """Add what manifests say of generations and no sidecar has; and return what all say."""
    generations = [staged.generation for staged in group]
    first = {generation.entry_path(1): generation.name for generation in generations}
    saying = catalogue.worklist.says(generations)
    saying |= {first[path] for path in catalogue.known(first)}
    return [
        _with_entries(store, catalogue, staged)
        if staged.generation.name in saying
        else (staged, Described(staged.generation, metadata_of(staged.document)))
        for staged in group
    ]


def _with_entries(
    store: Store, catalogue: Catalogue, staged: StagedGeneration
) -> tuple[StagedGeneration, Described]:
    generation, staging = staged.generation, Staging(store.layout, staged.generation)
    sayings = catalogue.worklist.sayings(generation)
    paths = [path for path in sidecars_of(catalogue, generation) if _order(path)]
    known = [document for document in documents(store, paths) if isinstance(document, dict)]
    added = additions(known, (json.loads(saying.text) for saying in sayings))
    first = max(map(_order, paths), default=0) + 1
    last = DOCUMENTS_LIMIT
    made = (
        staging.sidecar(generation.entry_path(number), document)
        for number, document in zip(range(first, last + 1), added, strict=False)
    )
    files = [file for file in made if file.target.bytes <= LARGEST]
    if len(files) < len(added):
        _LOG.warning("%s: the lists say too much of it: not all is kept", generation)
    metadata = metadata_of(staged.document, *known, *added)
    digests = tuple(saying.digest for saying in sayings)
    return replace(staged, files=(*staged.files, *files)), Described(generation, metadata, digests)


def parsed(text: bytes) -> object:
    """Return the JSON in a sidecar; None if there is none in it."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def read(store: Store, path: str) -> bytes:
    """Return the text of a sidecar; none if it cannot be read: `verify` names it then."""
    return store.read(path, LARGEST) or b""


def documents(store: Store, paths: Sequence[str]) -> Iterator[object]:
    """Yield what is in sidecars."""
    return (parsed(read(store, path)) for path in paths)


def sidecars_of(catalogue: Catalogue, generation: Generation) -> list[str]:
    """Return the paths of a generation's sidecars: the response, then what manifests say."""
    paths = [file.path for file in catalogue.queries.files(generation)]
    return sorted((path for path in paths if path.endswith(".json")), key=_order)


def _described(store: Store, catalogue: Catalogue, batch: Sequence[Generation]) -> list[Described]:
    """Return what the sidecars of generations say; far away, many are read together."""
    paths = [sidecars_of(catalogue, generation) for generation in batch]
    read_one = partial(_said, store)
    if not store.is_shared:
        return [*map(Described, batch, map(read_one, paths))]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [*map(Described, batch, pool.map(read_one, paths))]


def _said(store: Store, paths: Sequence[str]) -> Metadata:
    return metadata_of(*documents(store, paths))


def _order(path: str) -> int:
    return entry_number(path) or 0
