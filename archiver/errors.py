"""Errors: every way in which a run can fail, as a tree.

What goes wrong with one generation is not here: that is a value (`outcomes.py`).
These end a run, or keep it from beginning::

    ArchiverError                    exit status
    ├── ConfigurationError                2  the command line or the configuration is wrong
    │   └── NotAnArchive                  2  the directory is something else
    ├── ManifestUnreadable                2  no manifest at all can be opened or read
    ├── ApiUnreachable                   69  the API gives no usable response at all
    ├── StorageError                     74  the disk is full, read-only or failing
    ├── ArchiveLocked                    75  another run holds the archive
    │   └── LeaseLost                    75  another run has taken it over, or may have
    ├── KeyRejected                      77  the API key was rejected, or has no credit
    └── Interrupted                 130/143  SIGINT, SIGTERM

Each message is one line for a person: what happened, to what, and what to do next.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from signal import Signals


class ArchiverError(Exception):
    """Any failure that ends a run; `exit_status` is what the process then returns."""

    exit_status: int


class ConfigurationError(ArchiverError):
    """The command line, the environment or a file named there is wrong."""

    exit_status = 2


class NotAnArchive(ConfigurationError):
    """The directory named as the archive holds something else."""


class ManifestUnreadable(ArchiverError):
    """No manifest at all can be opened or read."""

    exit_status = 2


class ApiUnreachable(ArchiverError):
    """ModelsLab gives no usable response, to any request."""

    exit_status = 69


class StorageError(ArchiverError):
    """The disk is read-only or failing, or full for everything.

    One payload that does not fit is no reason to end a run.
    """

    exit_status = 74


class ArchiveLocked(ArchiverError):
    """Another run works in the archive."""

    exit_status = 75


class LeaseLost(ArchiveLocked):
    """This run could not renew its lease in time: another may work in the archive now."""


class KeyRejected(ArchiverError):
    """The API key was rejected, or its account has no credit."""

    exit_status = 77


class Interrupted(ArchiverError):
    """A signal asked the run to end: 128 and the signal's number is the exit status."""

    exit_status = 130

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"interrupted by {Signals(signal_number).name}")
        self.exit_status = 128 + signal_number


@contextmanager
def storage_errors(doing: str) -> Iterator[None]:
    """Translate an `OSError` met while `doing` something on the disk.

    Raises:
        StorageError: with what was being done and the system's message.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(f"storage failed while {doing}: {error.strerror or error}") from error
