"""The writable bag: an archive directory in which every line of the checksum manifest is true.

The order in which a group of generations is committed is the heart of it:

1. each file is flushed when it is staged, and at the latest now;
2. the journal names what is about to be placed, and is flushed;
3. each file is renamed into `data/`, and the directories are flushed;
4. the checksum lines are appended and flushed;
5. the catalogue commits, and the journal is cleared.

Whatever is killed or unplugged in between, `recovery` finishes from the journal. It reads what
the journal names and nothing else.
"""

import logging
import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from archiver.archive import other_manifests, placement, recovery, tags
from archiver.archive.bag import Bag
from archiver.archive.checksum_manifest import sha256_of
from archiver.archive.durable import fsync
from archiver.archive.journal import Entry
from archiver.archive.layout import MANIFEST, QUARANTINE
from archiver.archive.lock import locked
from archiver.archive.quarantine import Quarantine
from archiver.archive.staged import StagedFile, StagedGeneration, discard, write_contents
from archiver.checksums import BagFile
from archiver.errors import storage_errors

if TYPE_CHECKING:
    from concurrent.futures import Future

_LOG = logging.getLogger(__name__)


class WritableBag(Bag):
    """An archive directory, for the run that has its lock."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.quarantine = Quarantine(self.layout)

    @classmethod
    @contextmanager
    def open(cls, root: Path, lock_wait: float = 0) -> Iterator["WritableBag"]:
        """Open the archive at `root`, or create an empty one, and hold its lock.

        Raises:
            NotAnArchive: if there is something else at `root`, or nowhere to create it.
            ConfigurationError: if not all of it is on one file system.
            ArchiveLocked: if another run still holds it after `lock_wait` seconds.
            StorageError: if the disk does not take it.
        """
        bag = cls(root)
        bag.check()
        with storage_errors(f"preparing the archive {root}"):
            bag.layout.state.mkdir(parents=True, exist_ok=True)
        with locked(bag.layout.lock, lock_wait):
            with storage_errors(f"preparing the archive {root}"):
                bag._prepare()
            yield bag

    def recover(self) -> Sequence[StagedFile]:
        """Finish the group that a crash left between two steps; return its files.

        Raises:
            StorageError: if the disk fails.
        """
        return recovery.recover(self)

    def begin_upload(self, staged: StagedGeneration) -> "Future[str] | None":  # noqa: ARG002
        """Begin nothing: the commit does all."""
        return None

    def commit(self, group: Sequence[StagedGeneration], record: Callable[[], None]) -> None:
        """Make a group of generations part of the bag, durably; `record` commits the catalogue.

        Raises:
            StorageError: what was not committed stays staged or in the journal, to be recovered.
        """
        files = [file for generation in group for file in generation.files]
        with storage_errors(f"committing {len(group)} generations to {self.layout.root}"):
            write_contents(self.layout, group)
            self._set_manifests_aside()
            targets = [file.target for file in files]
            placement.vacate(self.layout, self.quarantine, targets)
            placement.make_directories(self.layout, targets)  # or the journal could not be acted on
            self.journal.write(Entry(tuple(files), self.manifest.size()))
            placement.place(self.layout, files)
            self.manifest.append(targets)
        record()  # before the journal is cleared: until then a crash is recovered from it
        self.clear_journal(files)

    def clear_journal(self, files: Iterable[StagedFile]) -> None:
        """Clear the journal, of whose files the catalogue knows now, and what was staged for them.

        Raises:
            StorageError: if the disk does not take it.
        """
        with storage_errors(f"clearing the journal of {self.layout.root}"):
            self.journal.clear()
            for directory in {file.directory for file in files}:
                self._remove(directory)

    def relist(
        self, files: Sequence[BagFile], *, new: bool = False
    ) -> tuple[list[BagFile], list[BagFile]]:
        """Write the lines of files that are in place and match.

        Return those, with their sizes, and those of the files that are not there at all. If they
        are `new`, other manifests do not list them, and links that lead out of the bag are none.

        Raises:
            StorageError: if the disk fails.
        """
        with storage_errors(f"reading what {self.layout.manifest} no longer lists"):
            # Unlike pathlib's, this `exists` also answers for a path that no file can have.
            missing = [f for f in files if not os.path.exists(self.layout.at(f.path))]  # noqa: PTH110
            matching = [
                replace(file, bytes=self.size_of(file.path))
                for file in files
                if placement.matches(self.layout, file) and not (new and self.leads_out(file.path))
            ]
            placement.flush(self.layout, matching)  # another program may just have put them there
            if new and matching:
                self._set_manifests_aside()
            self.manifest.append(matching)
            return matching, missing

    def obstacle(self, path: str) -> str:
        """Return what keeps the bag from having a file at a path; empty if nothing does."""
        place, above = self.layout.at(path), path.rpartition("/")[0]
        try:
            if stat.S_ISDIR(os.lstat(place).st_mode):
                return "the target has a directory there"
        except FileNotFoundError:
            pass
        except NotADirectoryError:
            return "the target has a file in place of a directory above it"
        except OSError as error:
            return f"the target can have no such file: {error.strerror}"
        if self.leads_out(above):
            return f"{above} is a link in the target, which leads out of it"
        return ""

    def withdraw(self, paths: Collection[str]) -> None:
        """Remove the lines of files that are about to be committed anew.

        Raises:
            StorageError: if the disk fails.
        """
        with storage_errors(f"writing {self.layout.manifest}"):
            self.quarantine.copy([MANIFEST])
            self.manifest.remove(paths)

    def adopt(self, paths: Iterable[str]) -> list[BagFile]:
        """Write a line for files that are in place; any other lines of theirs are removed.

        So are those that are no checksum lines.

        Raises:
            StorageError: if the disk fails.
        """
        with storage_errors(f"listing files of {self.layout.root}"):
            files = [
                BagFile(path, sha256_of(self.layout.at(path)), self.size_of(path)) for path in paths
            ]
            for file in files:
                fsync(self.layout.at(file.path))
            self.manifest.remove({file.path for file in files}, files)
        return files

    def restore(self, files: Sequence[StagedFile], recorded: Mapping[str, str]) -> None:
        """Put staged files in the places of damaged or missing ones, which are quarantined.

        Where a checksum is not the `recorded` one of its path, the old line is removed before and
        a new one written after: at no time is there a line that is known to be wrong. In between
        the journal names the file.

        Raises:
            StorageError: if the disk fails.
        """
        changed = [f for f in files if recorded.get(f.target.path) != f.target.sha256]
        with storage_errors(f"restoring files of {self.layout.root}"):
            for file in files:
                fsync(self.layout.at(file.staged))
            self.quarantine.copy(file.target.path for file in files)
            placement.make_directories(self.layout, [file.target for file in files])
            if changed:
                self._set_manifests_aside()
                self.journal.write(Entry(tuple(changed), 0))  # their old lines may be anywhere
                self.manifest.remove({file.target.path for file in changed})
            placement.place(self.layout, files)
            if changed:
                self.manifest.append(file.target for file in changed)
                self.journal.clear()

    def set_aside(self, paths: Iterable[str]) -> None:
        """Move files into the quarantine, where they are there.

        Raises:
            StorageError: if the disk fails.
        """
        with storage_errors(f"moving files of {self.layout.root} aside"):
            self.quarantine.move(paths)
            fsync(self.layout.root)

    def copy_aside(self, paths: Iterable[str]) -> None:
        """Keep a second link to files in the quarantine: they are in place at every instant.

        Raises:
            StorageError: if the disk fails.
        """
        with storage_errors(f"keeping files of {self.layout.root} aside"):
            self.quarantine.copy(paths)

    def keep_tags(self) -> None:
        """Do nothing: the tag files that are here are those of the archive."""

    def describe(self, files: int, payload_bytes: int) -> None:
        """Bring `bag-info.txt` and the tag manifests up to date, for this many files and bytes.

        Raises:
            StorageError: if the disk does not take it.
        """
        tags.describe(self.layout, files, payload_bytes)
        with storage_errors(f"writing the tag manifests of {self.layout.root}"):
            for manifest in other_manifests.tag_manifests(self.layout):
                if not other_manifests.is_known(manifest):
                    self.set_manifest_aside(manifest)
                elif other_manifests.bring_up_to_date(self.layout, manifest):
                    _LOG.info("%s is brought up to date", manifest.name)

    def set_manifest_aside(self, manifest: Path) -> None:
        """Quarantine another program's manifest, durably.

        Raises:
            OSError: if the disk does not take it.
        """
        self.quarantine.move([manifest.name])
        fsync(self.layout.root)
        _LOG.warning(
            "%s is moved to %s: it would be wrong now; %s lists every file",
            *(manifest.name, QUARANTINE, MANIFEST),
        )

    def _set_manifests_aside(self) -> None:
        """Quarantine the checksum manifests of other algorithms: they do not list what is added."""
        for manifest in other_manifests.payload_manifests(self.layout):
            self.set_manifest_aside(manifest)

    def _prepare(self) -> None:
        layout = self.layout
        for directory in (layout.incoming, layout.data):
            directory.mkdir(exist_ok=True)
        placement.check_renames(layout)
        self.journal.prepare()
        layout.manifest.touch()
        tags.declare(layout)
        for directory in (layout.state, layout.root, layout.root.absolute().parent):
            fsync(directory)

    def _remove(self, directory: str) -> None:
        """Delete the directory of what is committed; hardly ever is anything left in it."""
        try:
            os.rmdir(self.layout.at(directory))  # noqa: PTH106
        except OSError:
            discard(self.layout, directory)
