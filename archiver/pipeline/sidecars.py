"""Sidecars: what they say of the generations that an archive holds is in its catalogue.

What is committed is described at once. Of an archive that an earlier version made, or whose
catalogue was lost, the sidecars are read afterwards, some on each run: the catalogue remembers
which were. The videos are not read for that.
"""

import json
import time
from collections.abc import Iterator, Sequence

from archiver.archive.bag import Bag
from archiver.archive.checksum_manifest import open_file
from archiver.catalogue.store import Catalogue, Described
from archiver.generation import Generation, entry_number
from archiver.metadata import metadata_of

LARGEST = 4 << 20
"""No sidecar that we write has more bytes than this; one that has is not read."""
_BATCH = 500


def describe_held(bag: Bag, catalogue: Catalogue, seconds: float) -> None:
    """Read sidecars that were not read yet, for about as long; the rest is for another run.

    Raises:
        StorageError: if the catalogue cannot be read or written.
    """
    until = time.monotonic() + seconds
    while batch := catalogue.undescribed(_BATCH):
        catalogue.describe([_described(bag, catalogue, generation) for generation in batch])
        if time.monotonic() > until:
            return


def parsed(text: bytes) -> object:
    """Return the JSON in a sidecar; None if there is none in it."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def documents(bag: Bag, paths: Sequence[str]) -> Iterator[object]:
    """Yield what is in sidecars, as far as they can be read: `verify` names those that cannot."""
    for path in paths:
        try:
            with open_file(bag.layout.at(path)) as file:
                text = file.read(LARGEST + 1)
        except OSError:
            continue
        if len(text) <= LARGEST:
            yield parsed(text)


def sidecars_of(catalogue: Catalogue, generation: Generation) -> list[str]:
    """Return the paths of a generation's sidecars: the response, then what manifests say."""
    paths = [file.path for file in catalogue.queries.files(generation)]
    return sorted((path for path in paths if path.endswith(".json")), key=_order)


def _described(bag: Bag, catalogue: Catalogue, generation: Generation) -> Described:
    found = documents(bag, sidecars_of(catalogue, generation))
    return Described(generation, metadata_of(*found))


def _order(path: str) -> int:
    return entry_number(path) or 0
