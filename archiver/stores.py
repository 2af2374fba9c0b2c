"""Stores: opening the store of a location, a directory or a bucket."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from archiver.archive.bag import Bag
from archiver.archive.layout import Layout
from archiver.archive.store import Store, WritableStore
from archiver.archive.writable import WritableBag
from archiver.location import Location
from archiver.settings import BucketSettings


def open_store(
    location: Location, lock_wait: float = 0, settings: BucketSettings | None = None
) -> AbstractContextManager[WritableStore]:
    """Open the archive at a location, or create an empty one, and hold its lock.

    Raises:
        NotAnArchive: if there is something else, or nowhere to create it.
        ConfigurationError: if it cannot be reached, or its kind of store is of no use.
        ArchiveLocked: if another run still holds it after `lock_wait` seconds.
        StorageError: if the store fails.
    """
    if isinstance(location, Path):
        return WritableBag.open(location, lock_wait)
    from archiver.bucket.writable import WritableBucket  # noqa: PLC0415 (most are directories)

    return WritableBucket.open(location, lock_wait, settings)


def look_into(location: Location) -> AbstractContextManager[Store]:
    """Return the store of a location, only to read from it; there may be no archive.

    Raises:
        ConfigurationError: if it cannot be reached, or its kind of store is of no use.
        StorageError: if the store fails.
    """
    if isinstance(location, Path):
        return nullcontext(Bag(location))
    from archiver.bucket.store import Bucket  # noqa: PLC0415 (most archives are directories)

    return Bucket.look_into(location)


def layout_of(location: Location) -> Layout:
    """Return where on the disk here the catalogue of an archive is; it need not be there."""
    if isinstance(location, Path):
        return Layout(location)
    from archiver.bucket.state import layout_of_bucket  # noqa: PLC0415

    return layout_of_bucket(location)
