"""Indexing: keeping the catalogue in step with the checksum manifest."""

from archiver.archive.bag import Bag
from archiver.catalogue.store import Catalogue
from archiver.checksums import BagFile
from archiver.errors import storage_errors


def absorb(bag: Bag, catalogue: Catalogue) -> int:
    """Let the catalogue learn what the checksum manifest lists and it does not know yet.

    Return how many lines were read.

    Where that is not the manifest that it knew, all of it is read.

    Raises:
        StorageError: if the disk fails.
    """
    known, now = catalogue.mark(), bag.manifest.mark()
    whole = not bag.manifest.has(known)
    lines = bag.manifest.lines(0 if whole else known.size)
    files = (BagFile(line.path, line.sha256, bag.size_of(line.path)) for line in lines)
    return catalogue.absorb(files, now, whole=whole)


def describe(bag: Bag, catalogue: Catalogue) -> None:
    """Bring the tag files up to date; a file that was not there when it was listed may be back.

    Raises:
        StorageError: if the disk fails.
    """
    with storage_errors(f"reading the sizes of files in {bag.layout.root}"):
        catalogue.set_sizes([(path, bag.size_of(path)) for path in catalogue.empty()])
    bag.describe(*catalogue.totals())


def open_to_read(bag: Bag) -> Catalogue:
    """Open an archive's catalogue only to read it; where there is none, the manifest serves.

    Raises:
        StorageError: if it cannot be read.
        ConfigurationError: if a newer archiver wrote it.
    """
    if catalogue := Catalogue.open_to_read(bag.layout.catalogue):
        return catalogue
    return index_in_memory(bag)


def index_in_memory(bag: Bag) -> Catalogue:
    """Return a catalogue of what the checksum manifest lists, nowhere but in memory.

    Raises:
        StorageError: if it cannot be read.
    """
    catalogue = Catalogue.in_memory()
    if bag.layout.manifest.exists():
        absorb(bag, catalogue)
    return catalogue
