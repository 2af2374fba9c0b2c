"""The quarantine in a bucket: objects that are not what they should be, kept aside."""

from collections.abc import Iterable
from datetime import UTC, datetime

from archiver.archive.layout import QUARANTINE
from archiver.s3.objects import Objects


def keep_aside(objects: Objects, paths: Iterable[str]) -> list[str]:
    """Copy objects into the quarantine, under the name of this moment; return which were there.

    Raises:
        StorageError: if the store fails.
    """
    aside = f"{QUARANTINE}/{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
    there = [path for path in paths if objects.head(path)]
    for path in there:
        objects.copy(path, f"{aside}/{path}")
    return there
