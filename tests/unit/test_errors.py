"""Errors that end a run: a tree, each with its published exit status."""

import re
from collections.abc import Iterator

import pytest

from archiver import errors
from archiver.errors import (
    ApiUnreachable,
    ArchiveLocked,
    ArchiverError,
    ConfigurationError,
    Interrupted,
    KeyRejected,
    LeaseLost,
    ManifestUnreadable,
    NotAnArchive,
    StorageError,
    storage_errors,
)

STATUSES = [
    (ConfigurationError("x"), 2),
    (NotAnArchive("x"), 2),
    (ManifestUnreadable("x"), 2),
    (ApiUnreachable("x"), 69),
    (StorageError("x"), 74),
    (ArchiveLocked("x"), 75),
    (LeaseLost("x"), 75),
    (KeyRejected("x"), 77),
    (Interrupted(2), 130),
    (Interrupted(15), 143),
]


@pytest.mark.parametrize(("error", "status"), STATUSES)
def test_every_error_has_its_published_status(error: ArchiverError, status: int) -> None:
    """The error that ends a run early decides the exit status."""
    assert error.exit_status == status


def test_the_tree_in_the_docstring_is_complete() -> None:
    """It has each error with its status."""

    def kinds(error: type[ArchiverError]) -> Iterator[type[ArchiverError]]:
        for kind in error.__subclasses__():
            if kind.__module__ == errors.__name__:
                yield kind
                yield from kinds(kind)

    drawn = re.findall(r"── (\w+) +(\d+(?:/\d+)?) ", errors.__doc__ or "")
    true = {kind.__name__: str(kind.exit_status) for kind in kinds(ArchiverError)}
    assert dict(drawn) == true | {"Interrupted": "130/143"}
    assert {type(error).__name__ for error, _ in STATUSES} == set(true)


def test_interruptions_have_their_own_statuses() -> None:
    """Each signal has a status of its own."""
    term, interrupt = Interrupted(15), Interrupted(2)
    assert (term.exit_status, str(term)) == (143, "interrupted by SIGTERM")
    assert (interrupt.exit_status, str(interrupt)) == (130, "interrupted by SIGINT")


def test_an_error_of_the_disk_is_translated() -> None:
    """An `OSError` becomes a storage error that names the work; no other error does."""
    with (
        pytest.raises(StorageError, match=r"^storage failed while writing x: No space left"),
        storage_errors("writing x"),
    ):
        raise OSError(28, "No space left on device")
    with pytest.raises(KeyError), storage_errors("writing x"):
        raise KeyError
