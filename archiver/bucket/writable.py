"""The writable bucket: an archive in which every line of the checksum manifest is true.

The order in which a group of generations is committed:

1. the journal of uploads names each generation, and its objects are created, the response last:
   the store proves each against the recorded checksum, and writes over nothing;
2. a segment with the group's lines is created, which only the holder of the lease can;
3. the lines are appended to the copy of the checksum manifest that is here;
4. the catalogue commits, and the journal forgets the group.

Segments are rolled up into `manifest-sha256.txt`, every few minutes and at the end of a run. What
a crash leaves between two steps is found by the journal; where that is not to be had, by listing
the bucket.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from archiver.archive import tags
from archiver.archive.layout import MANIFEST, QUARANTINE
from archiver.archive.lock import locked
from archiver.archive.partial_file import this_boot
from archiver.archive.staged import StagedFile, StagedGeneration, discard
from archiver.bucket.lease import Here, Lease, leased
from archiver.bucket.quarantine import keep_aside
from archiver.bucket.records import names_of_others, remove_leftovers
from archiver.bucket.recovery import Paths, is_whole, matches, sent_without
from archiver.bucket.segments import Segments
from archiver.bucket.sender import Sender
from archiver.bucket.state import LastRun, layout_of_bucket
from archiver.bucket.store import Bucket
from archiver.bucket.uploads import UploadJournal
from archiver.checksums import BagFile
from archiver.errors import ArchiverError, storage_errors
from archiver.location import BucketUrl
from archiver.s3.client import open_objects
from archiver.s3.objects import Objects
from archiver.s3.probe import probe
from archiver.settings import BucketSettings

if TYPE_CHECKING:
    from concurrent.futures import Future

_LOG = logging.getLogger(__name__)
_STALE_UPLOAD = timedelta(days=1)
_AT_ONCE = 16
"""This many objects are asked about together."""


class WritableBucket(Bucket):
    """An archive in a bucket, for the run that has its lease."""

    def __init__(self, url: BucketUrl, objects: Objects, lease: Lease, last: LastRun) -> None:
        super().__init__(url, objects)
        self._segments = Segments(objects, lease, self.layout)
        self._last = last
        self._sender = Sender(objects, self.layout, self._uploads, self._segments.check)
        self._restoring = UploadJournal(self.layout.state / "restoring.jsonl")
        self._alone = False
        """Whether no other program's manifests are beside ours."""

    @classmethod
    @contextmanager
    def open(
        cls, url: BucketUrl, lock_wait: float = 0, settings: BucketSettings | None = None
    ) -> Iterator["WritableBucket"]:
        """Open the archive at `url`, or create an empty one, and hold its lease.

        Raises:
            NotAnArchive: if there is something else.
            ConfigurationError: if it cannot be reached, or the store does not keep its promises.
            ArchiveLocked: if another run still holds it after `lock_wait` seconds.
            StorageError: if the store or the disk fails.
        """
        layout = layout_of_bucket(url)
        with storage_errors(f"preparing {layout.root}"):
            layout.incoming.mkdir(parents=True, exist_ok=True)
        with locked(layout.lock, lock_wait), open_objects(url, settings) as objects:
            last = LastRun.read(layout)
            Bucket(url, objects).check()
            if not last.probed:
                probe(objects, url)
            here = Here(
                {last.run, last.before} - {""},
                lambda run: replace(last, run=run, before=last.run, probed=True).write(layout),
            )
            with leased(objects, lock_wait, here=here) as lease:
                bucket = cls(url, objects, lease, last)
                # Before it has recovered what there was, its own journal is not all there is.
                LastRun(run=lease.run, probed=True).write(layout)
                with bucket._in_use():
                    yield bucket

    def recover(self) -> Sequence[StagedFile]:
        """List what a run has sent whole and a crash kept from being listed; return its files.

        The journal names it. Where that may lack something, since the machine was restarted, the
        run was another machine's, or nothing is known here of any, the bucket is listed.

        Raises:
            StorageError: if the store or the disk fails.
        """
        listed = Paths(line.path for line in self.manifest.lines())
        found = [files for files in self._uploads.read() if not listed.have_all(files)]
        if not self._journal_serves():
            found += sent_without(self.objects, listed)
        whole = {files[0].directory: files for files in found if is_whole(self.objects, files)}
        files = [file for group in whole.values() for file in group]
        self._append([file.target for file in files if file.target.path not in listed])
        restored = self._restore_rest(listed)
        LastRun(run=self._segments.run, boot=this_boot(), probed=True).write(self.layout)
        return [*files, *restored]

    def begin_upload(self, staged: StagedGeneration) -> "Future[str]":
        """Begin to send what is staged; if that fails, what is in memory of it is kept here.

        The future has why the store did not take this one, or an empty text.

        Raises:
            StorageError: if the disk does not take it.
        """
        return self._sender.begin(staged)

    def commit(self, group: Sequence[StagedGeneration], record: Callable[[], None]) -> None:
        """Make a group of generations part of the archive, durably; `record` commits the catalogue.

        Raises:
            StorageError: if the store or the disk fails: what was not committed is recovered.
            ArchiveLocked: if the lease was lost.
        """
        files = [file for generation in group for file in generation.files]
        self._set_manifests_aside()
        try:
            self._sender.send(group)
            self._append([file.target for file in files])
        except ArchiverError:
            self._sender.keep(group)
            raise
        record()  # before the journal forgets it: until then a crash is recovered from that
        self.clear_journal(files)
        if self._segments.is_due():
            self._roll_up()

    def clear_journal(self, files: Iterable[StagedFile]) -> None:
        """Forget what was sent, of which the catalogue knows now, and what was staged for it.

        Raises:
            StorageError: if the disk does not take it.
        """
        files = list(files)
        self._sender.forget(files)
        with storage_errors(f"clearing what was staged in {self.layout.incoming}"):
            for directory in {file.directory for file in files}:
                discard(self.layout, directory)

    def relist(
        self, files: Sequence[BagFile], *, new: bool = False
    ) -> tuple[list[BagFile], list[BagFile]]:
        """Write the lines of files that are there and match; return those, and the missing.

        If they are `new`, other manifests do not list them.

        Raises:
            StorageError: if the store or the disk fails.
        """
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            heads = list(pool.map(self.objects.head, (file.path for file in files)))
        there = list(zip(files, heads, strict=True))
        missing = [file for file, head in there if head is None]
        matching = [file for file, head in there if matches(head, file)]
        if new and matching:
            self._set_manifests_aside()
        self._append(matching)
        return matching, missing

    def obstacle(self, path: str) -> str:
        """Return what keeps the bucket from having an object; empty if nothing does.

        A key has at most 1,024 bytes (Amazon S3 User Guide, "Naming Amazon S3 objects").
        """
        size = len(self.url.key(path).encode())
        return f"its key would have {size:,} bytes: 1,024 are allowed" if size > 1024 else ""

    def withdraw(self, paths: Collection[str]) -> None:
        """Remove the lines of files that are about to be committed anew.

        Raises:
            StorageError: if the store or the disk fails.
        """
        self._set_manifests_aside()
        self._roll_up()
        self.copy_aside([MANIFEST])
        self._segments.rewrite({*paths})

    def adopt(self, paths: Iterable[str]) -> list[BagFile]:
        """Write a line for files that are there, read back; any other lines of theirs are removed.

        Raises:
            StorageError: if the store or the disk fails.
        """
        files = [file for path in paths if (file := self._read_back(path))]
        self._set_manifests_aside()
        self._roll_up()
        self._segments.rewrite({file.path for file in files}, files)
        return files

    def restore(self, files: Sequence[StagedFile], recorded: Mapping[str, str]) -> None:
        """Put staged files in the places of damaged or missing ones, which are quarantined.

        Where a checksum is not the `recorded` one of its path, the old line is removed before and
        a new one written after. In between a journal names the file.

        Raises:
            StorageError: if the store or the disk fails.
        """
        changed = [f for f in files if recorded.get(f.target.path) != f.target.sha256]
        if changed:
            self._set_manifests_aside()
            self._roll_up()
            self._restoring.add(changed)
            self._restoring.shorten()  # durably: no other line says what they are to be
            self._segments.rewrite({file.target.path for file in changed})
        for file in files:
            self._sender.replace(file)
        if changed:
            self._append([file.target for file in changed])
            self._restoring.clear()

    def set_aside(self, paths: Iterable[str]) -> None:
        """Move objects into the quarantine, where they are there.

        Raises:
            ArchiveLocked: if the lease was lost.
            StorageError: if somebody else writes there at the same time, or the store fails.
        """
        there = keep_aside(self.objects, paths)
        self._segments.check()
        for each in there:
            self.objects.delete_unchanged(each)

    def copy_aside(self, paths: Iterable[str]) -> None:
        """Keep a copy of objects in the quarantine: they stay in place.

        Raises:
            StorageError: if the store fails.
        """
        keep_aside(self.objects, paths)

    def keep_tags(self) -> None:
        """Write to the bucket those tag files that are others here.

        Raises:
            StorageError: if the store or the disk fails.
        """
        self._tag_files.send()

    def describe(self, files: int, payload_bytes: int) -> None:
        """Roll up, and bring `bag-info.txt` up to date, for this many files and bytes.

        Raises:
            StorageError: if the store or the disk does not take it.
            ArchiveLocked: if the lease was lost.
        """
        self._roll_up()
        tags.describe(self.layout, files, payload_bytes)
        self.keep_tags()

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        """Bring what is here up to date; in the end, leave as little as possible to recover."""
        if aborted := self.objects.abort_uploads(_STALE_UPLOAD):
            _LOG.info("%s: %d uploads of killed runs are aborted", self.url, aborted)
        remove_leftovers(self.layout)
        self._segments.begin()
        self._tag_files.fetch()
        try:
            yield
        except BaseException:
            self._sender.close()
            with suppress(ArchiverError):
                self._roll_up()
            raise
        self._sender.close()
        try:
            self._roll_up()
            self._segments.end()
        except ArchiverError as error:
            _LOG.warning("%s: the next run rolls up its checksum manifest: %s", self.url, error)

    def _append(self, files: Sequence[BagFile]) -> None:
        """Write lines: in the bucket, then here."""
        if files:
            self._segments.append(files)
            with storage_errors(f"writing {self.layout.manifest}"):
                self.manifest.append(files)

    def _roll_up(self) -> None:
        self._segments.roll_up()
        self._uploads.shorten()

    def _journal_serves(self) -> bool:
        """Return whether the journal has all that was sent and not listed.

        Not so after a run of another machine, however that ended, nor after a power cut here.
        """
        last = self._last
        is_ours = self._segments.previous in {last.run, last.before} - {""}
        return is_ours and last.boot == this_boot()

    def _is_there(self, file: BagFile) -> bool:
        return matches(self.objects.head(file.path), file)

    def _restore_rest(self, listed: Paths) -> list[StagedFile]:
        """Put in place what a killed repair has withdrawn the lines of; return these files."""
        named = [file for files in self._restoring.read() for file in files]
        files = [file for file in named if file.target.path not in listed]
        for file in files:
            if not self._is_there(file.target) and (self.layout.root / file.staged).exists():
                self._sender.replace(file)
        restored = [file for file in files if self._is_there(file.target)]
        self._append([file.target for file in restored])
        if named:
            self._restoring.clear()
        return restored

    def _set_manifests_aside(self) -> None:
        """Quarantine manifests of other programs: they do not list what is added."""
        if self._alone:
            return
        others = names_of_others(self.objects)
        self.set_aside(others)
        for name in others:
            _LOG.warning("%s is moved to %s: it would be wrong now", name, QUARANTINE)
        self._alone = True
