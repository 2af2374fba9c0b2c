"""Replacing: a write over the very object that was looked at, never over one that came since."""

from collections.abc import Callable
from contextlib import suppress

from archiver.errors import StorageError
from archiver.s3.objects import Absent, Body, ConditionFailed, Objects, Stored, Unchanged

_TRIES = 3


def put_over(
    objects: Objects, path: str, body: Body, is_to_go: Callable[[Stored | None], bool]
) -> None:
    """Put an object in the place of what is there, or of nothing, if that `is_to_go`.

    Where somebody else writes there at the same time, that is looked at next.

    Raises:
        StorageError: if the store fails, or somebody else was quicker each time.
    """
    for _ in range(_TRIES):
        there = objects.head(path)
        if not is_to_go(there):
            return
        with suppress(ConditionFailed):
            objects.put(path, body, Unchanged(there.etag) if there else Absent())
            return
    raise StorageError(f"somebody else writes to {path} again and again")
