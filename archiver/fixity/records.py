"""Records: bringing the checksum manifest and the catalogue to agree with the files."""

import json

from archiver.archive.layout import MANIFEST
from archiver.archive.store import Store, WritableStore
from archiver.bucket.segment import SEGMENTS
from archiver.catalogue.store import Catalogue
from archiver.errors import StorageError
from archiver.fixity.declarations import without_declarations
from archiver.fixity.report import Audit, Repairs
from archiver.generation import generation_at
from archiver.media.files import inspect
from archiver.media.reader import NotWhole
from archiver.pipeline.sidecars import LARGEST


def repair_records(
    store: WritableStore, catalogue: Catalogue, audit: Audit, repairs: Repairs
) -> None:
    """Correct the records of files that are proven right.

    A file is if it matches either record of it or, where there is no record, if it is a
    generation's and whole.

    Raises:
        StorageError: if the disk fails.
    """
    found = audit.findings.paths("unexpected", "contradictory")
    malformed = [path for path in found if path.startswith((f"{MANIFEST}:", SEGMENTS))]
    paths = without_declarations(found)
    if not malformed and not paths:
        return
    store.copy_aside([MANIFEST])
    records = _recorded(store, catalogue, paths)
    proven = [path for path in paths if _is_proven(store, path, records[path], repairs)]
    if malformed or proven:
        adopted = store.adopt(proven)
        catalogue.correct(adopted)
        for file in adopted:
            repairs.done[file.path] = "the records match the file again"
    for place in malformed:
        repairs.done[place] = "the line is removed; the manifest as it was is in the quarantine"


def _recorded(store: Store, catalogue: Catalogue, paths: list[str]) -> dict[str, set[str]]:
    """Return for each path the checksums that the manifest and the catalogue have for it."""
    records = {path: catalogue.checksums(path) for path in paths}
    for line in store.manifest.lines():
        if line.path in records:
            records[line.path].add(line.sha256)
    return records


def _is_proven(store: Store, path: str, recorded: set[str], repairs: Repairs) -> bool:
    """Return whether the file is proven right; if not, `repairs` has the reason."""
    actual = store.sha256(path)
    if actual is None:
        if not recorded:
            repairs.failed[path] = "it is not there"
    elif recorded:
        if actual in recorded:
            return True
        repairs.failed[path] = "it matches none of its records"
    elif generation_at(path) is None or not _is_whole(store, path):
        repairs.failed[path] = (
            "it is not a complete video or response of a generation: move it away"
        )
    elif store.is_shared and not _has_response(store, path):
        repairs.failed[path] = "it has no response beside it: archive it again, or move it away"
    else:
        return True
    return False


def _is_whole(store: Store, path: str) -> bool:
    """Return whether a file is what its name promises: a sidecar in JSON, or one whole video."""
    if path.endswith(".json"):
        return _has_payload(store, path) and _is_document(store, path)
    try:
        with store.local(path) as here:
            media = inspect(here).media
    except (NotWhole, OSError, StorageError):  # what cannot be read is not surely whole
        return False
    return path.endswith(f".{media.extension}") and not media.open_ended


def _has_payload(store: Store, sidecar: str) -> bool:
    """Return whether a video lies beside it: without one it is left from an interrupted copy."""
    videos = (path for path in store.beside(sidecar) if not path.endswith(".json"))
    return any(_is_whole(store, path) for path in videos)


def _has_response(store: Store, path: str) -> bool:
    """Return whether the response is there: in a bucket it is the last that a run writes."""
    generation = generation_at(path)
    return generation is not None and store.exists(generation.sidecar_path)


def _is_document(store: Store, path: str) -> bool:
    try:
        return isinstance(json.loads(store.read(path, LARGEST) or b""), dict)
    except ValueError:
        return False
