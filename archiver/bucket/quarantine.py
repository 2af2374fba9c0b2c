"""The quarantine in a bucket: objects that are not what they should be, kept aside."""

from collections.abc import Iterable
from datetime import UTC, datetime

from archiver.archive.layout import QUARANTINE
from archiver.s3.objects import Objects, Stored


def keep_aside(objects: Objects, paths: Iterable[str]) -> list[Stored]:
    """Copy objects into the quarantine, under the name of this moment; return which were there.

    Raises:
        StorageError: if the store fails.
    """
    aside = f"{QUARANTINE}/{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
    there = [found for path in paths if (found := objects.head(path))]
    for each in there:
        objects.copy(each.path, f"{aside}/{each.path}")
    return there
