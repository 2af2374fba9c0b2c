"""Records: what an archive in a bucket says of itself, downloaded to compare it with the rest."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from archiver.archive import other_manifests
from archiver.archive.layout import MANIFEST, Layout
from archiver.bucket.tag_files import DECLARATION, INFO
from archiver.errors import storage_errors
from archiver.s3.objects import Objects, Stored

_LEFTOVER = 86_400.0
"""What is temporary and older than this many seconds is a killed process's."""


def download_records(objects: Objects, here: Layout) -> bool:
    """Download the manifests and tag files; return whether the payload is counted in them.

    Raises:
        OSError: if the disk fails.
        StorageError: if the store fails.
    """
    here.data.mkdir()
    manifest = download(objects, MANIFEST, here.manifest)
    info = download(objects, INFO, here.info)
    for name in (DECLARATION, *names_of_others(objects)):
        download(objects, name, here.root / name)
    for others in other_manifests.tag_manifests(here):
        for name in other_manifests.listed_files(others):
            if not (here.root / name).exists():
                download(objects, name, here.root / name)
    return not manifest or (info is not None and info.modified >= manifest.modified)


def names_of_others(objects: Objects) -> list[str]:
    """Return the names of the manifests that other programs have added.

    Raises:
        StorageError: if the store fails.
    """
    return [
        each.path
        for prefix in ("manifest-", "tagmanifest-")
        for each in objects.list(prefix)
        if each.path != MANIFEST and each.path.endswith(".txt") and "/" not in each.path
    ]


def download(objects: Objects, path: str, target: Path) -> Stored | None:
    """Download an object to a file, if there is one.

    Raises:
        OSError: if the disk fails.
        StorageError: if the store fails.
    """
    with objects.open(path) as reading:
        if not reading:
            return None
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            for block in reading:
                file.write(block)
        return reading.stored


def remove_leftovers(layout: Layout) -> None:
    """Delete what killed processes have downloaded for a while: others may still be at work.

    Raises:
        StorageError: if the disk fails.
    """
    with storage_errors(f"clearing {layout.state}"):
        for left in layout.state.glob("*-????????"):
            is_ours = left.name.startswith(("local-", "records-")) and left.is_dir()
            if is_ours and time.time() - left.stat().st_mtime > _LEFTOVER:
                shutil.rmtree(left, ignore_errors=True)


@contextmanager
def temporary(layout: Layout, prefix: str) -> Iterator[Path]:
    """Have a directory here for a while.

    Raises:
        StorageError: if the disk fails.
    """
    with storage_errors(f"writing to {layout.state}"):
        layout.state.mkdir(parents=True, exist_ok=True)
        directory = tempfile.TemporaryDirectory(prefix=prefix, dir=layout.state)
    with directory as name:
        yield Path(name)
