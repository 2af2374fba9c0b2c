"""Indexing: keeping the catalogue in step with the checksum manifest."""

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

from archiver.archive.lock import locked
from archiver.archive.store import Store, WritableStore
from archiver.catalogue.store import Catalogue
from archiver.checksums import BagFile
from archiver.errors import ArchiveLocked, NotAnArchive
from archiver.location import Location
from archiver.stores import look_into


def absorb(store: Store, catalogue: Catalogue) -> int:
    """Let the catalogue learn what the checksum manifest lists and it does not know yet.

    Return how many lines were read.

    Where that is not the manifest that it knew, all of it is read.

    Raises:
        StorageError: if the disk fails.
    """
    known, now = catalogue.mark(), store.manifest.mark()
    whole = not store.manifest.has(known)
    lines = store.manifest.lines(0 if whole else known.size)
    files = (BagFile(line.path, line.sha256, store.size_of(line.path)) for line in lines)
    return catalogue.absorb(files, now, whole=whole)


def set_sizes(store: Store, catalogue: Catalogue) -> None:
    """Let the catalogue learn the sizes of files of which it did not know them.

    Raises:
        StorageError: if the store or the disk fails.
    """
    if empty := catalogue.empty():
        catalogue.set_sizes(store.sizes(empty))


def describe(store: WritableStore, catalogue: Catalogue) -> None:
    """Bring the tag files up to date; a file that was not there when it was listed may be back.

    Raises:
        StorageError: if the disk fails.
    """
    set_sizes(store, catalogue)
    store.describe(*catalogue.totals())


@contextmanager
def store_to_read(location: Location) -> Iterator[Store]:
    """Return the store of an archive, only to read it; what is here of it is up to date.

    Raises:
        NotAnArchive: if there is no archive.
        StorageError: if it cannot be read.
        ConfigurationError: if it cannot be reached.
    """
    with look_into(location) as store:
        store.require()
        if store.is_shared:
            catch_up(store)
        yield store


@contextmanager
def opened_to_read(location: Location) -> Iterator[tuple[Store, Catalogue]]:
    """Return the store of an archive and its catalogue, only to read them.

    Raises:
        NotAnArchive: if there is no archive.
        StorageError: if it cannot be read.
        ConfigurationError: if it cannot be reached, or a newer archiver wrote it.
    """
    with store_to_read(location) as store, closing(open_to_read(store)) as catalogue:
        yield store, catalogue


@contextmanager
def opened_to_plan(location: Location) -> Iterator[tuple[Store, Catalogue]]:
    """Return the store and the catalogue of an archive that need not be there yet, to read them.

    Raises:
        NotAnArchive: if there is something else.
        StorageError: if it cannot be read.
        ConfigurationError: if it cannot be reached, or a newer archiver wrote it.
    """
    with look_into(location) as store:
        store.check()
        if store.is_shared:
            with suppress(NotAnArchive):
                store.require()
                catch_up(store)
        with closing(open_to_read(store)) as catalogue:
            yield store, catalogue


def catch_up(store: Store, *, with_sizes: bool = True) -> None:
    """Let the catalogue here learn what other machines have archived, unless a run does that.

    Raises:
        StorageError: if the store or the disk fails.
    """
    layout = store.layout
    with (
        suppress(ArchiveLocked),
        locked(layout.lock, briefly=True),
        closing(Catalogue.open(layout.catalogue)) as catalogue,
    ):
        if catalogue.mark() != store.manifest.mark():
            absorb(store, catalogue)
            if with_sizes:
                set_sizes(store, catalogue)


def open_to_read(store: Store) -> Catalogue:
    """Open an archive's catalogue only to read it; where there is none, the manifest serves.

    Raises:
        StorageError: if it cannot be read.
        ConfigurationError: if a newer archiver wrote it.
    """
    if catalogue := Catalogue.open_to_read(store.layout.catalogue):
        return catalogue
    return index_in_memory(store)


def index_in_memory(store: Store) -> Catalogue:
    """Return a catalogue of what the checksum manifest lists, nowhere but in memory.

    Raises:
        StorageError: if it cannot be read.
    """
    catalogue = Catalogue.in_memory()
    if store.layout.manifest.exists():
        absorb(store, catalogue)
    return catalogue
