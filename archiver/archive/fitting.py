"""What does not fit: there is no space for a payload, or no file may have its size."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EDQUOT, EFBIG, ENOSPC

from archiver.errors import StorageError, storage_errors

TOO_LARGE = "the file system or a limit allows no file of this size (FAT32, ulimit -f)"


class DoesNotFit(Exception):
    """This payload does not fit; others may. The text says what it would need, for people."""

    def __init__(self, reason: str, *, pause: float | None = None, disk_full: bool = False) -> None:
        super().__init__(reason)
        self.pause = pause
        """In how many seconds it may fit, if downloads under way are all that is in its way."""
        self.disk_full = disk_full
        """The disk itself has refused a write: it may have no space for anything."""


@contextmanager
def payload_errors(doing: str) -> Iterator[None]:
    """Translate an `OSError` met while `doing` something with the bytes of one payload.

    Raises:
        DoesNotFit: if there is no space, or no file may be as large.
        StorageError: if the disk fails otherwise.
    """
    try:
        with storage_errors(doing):
            yield
    except StorageError as error:
        match error.__cause__:
            case OSError(errno=number) if number == EFBIG:
                raise DoesNotFit(TOO_LARGE) from error
            case OSError(errno=number) if number in (ENOSPC, EDQUOT):
                raise DoesNotFit(f"{error}; what came of it is deleted", disk_full=True) from error
            case _:
                raise


def largest_file() -> float:
    """Return how many bytes a file of this process may have (`ulimit -f`)."""
    soft, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return float("inf") if soft == resource.RLIM_INFINITY else soft
