"""Recovery: finishing the commit that a crash has interrupted."""

from typing import TYPE_CHECKING

from archiver.archive import placement
from archiver.archive.checksum_manifest import parse
from archiver.archive.journal import Entry
from archiver.archive.staged import StagedFile
from archiver.checksums import BagFile
from archiver.errors import storage_errors
from archiver.generation import generation_at

if TYPE_CHECKING:
    from archiver.archive.writable import WritableBag


def recover(bag: "WritableBag") -> tuple[StagedFile, ...]:
    """Finish the group that a crash left between two steps; return its files.

    A file that the journal names and that is missing or damaged all the same is quarantined with
    the rest of its generation, which is not held then and will be fetched again. The journal
    stays until the catalogue knows of the group: see `WritableBag.clear_journal`.

    Raises:
        StorageError: if the disk fails.
    """
    with storage_errors(f"recovering {bag.layout.root}"):
        _end_last_line(bag)
        entry = bag.journal.read()
        if not entry.files:
            return ()
        bag.journal.flush()  # before anything is renamed for it, as in a commit
        _remove_lines(bag, entry)
        placement.place(bag.layout, entry.files, again=True)
        targets = list(entry.targets())
        damaged = {
            generation_at(file.path) for file in targets if not placement.matches(bag.layout, file)
        }
        broken = [file for file in targets if generation_at(file.path) in damaged]
        bag.quarantine.move(file.path for file in broken)
        bag.manifest.append(file for file in targets if file not in broken)
        return entry.files


def _end_last_line(bag: "WritableBag") -> None:
    """Cut a last line that has no end, unless all of it is there and true."""
    while torn := bag.manifest.torn_line():
        line = parse(torn + b"\n")
        if line and placement.matches(bag.layout, BagFile(line.path, line.sha256, 0)):
            bag.manifest.append(())
        else:
            bag.manifest.truncate(bag.manifest.size() - len(torn))


def _remove_lines(bag: "WritableBag", entry: Entry) -> None:
    """Remove what a crash may have written of a group: its lines may be half of them.

    In a copy of an archive the journal may be older than the manifest: other groups' lines stay.
    """
    ours = {file.path for file in entry.targets()}
    if bag.manifest.size() <= entry.offset:
        return
    if ours.issuperset(line.path for line in bag.manifest.lines(entry.offset)):
        bag.manifest.truncate(entry.offset)
    else:
        bag.manifest.remove(ours)
