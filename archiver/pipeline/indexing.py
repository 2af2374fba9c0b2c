"""Indexing: keeping the catalogue in step with the checksum manifest."""

from archiver.archive.bag import Bag
from archiver.catalogue.store import Catalogue
from archiver.checksums import BagFile


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


def open_to_read(bag: Bag) -> Catalogue:
    """Open an archive's catalogue only to read it; where there is none, the manifest serves.

    Raises:
        StorageError: if it cannot be read.
        ConfigurationError: if a newer archiver wrote it.
    """
    if catalogue := Catalogue.open_to_read(bag.layout.catalogue):
        return catalogue
    catalogue = Catalogue.in_memory()
    if bag.layout.manifest.exists():
        absorb(bag, catalogue)
    return catalogue
