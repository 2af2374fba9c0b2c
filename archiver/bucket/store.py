"""The bucket: an archive in it, of which every line of the checksum manifest is true.

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

import errno
import hashlib
import logging
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from archiver.archive import tags
from archiver.archive.checksum_manifest import ChecksumManifest
from archiver.archive.layout import MANIFEST, QUARANTINE, STATE, Layout
from archiver.archive.lock import holder, locked
from archiver.archive.partial_file import this_boot
from archiver.archive.staged import StagedFile, StagedGeneration, discard
from archiver.archive.store import Holder, Records, Reported
from archiver.bucket import lease as leases
from archiver.bucket import segment
from archiver.bucket.lease import Claim, Here, Lease, leased
from archiver.bucket.quarantine import keep_aside
from archiver.bucket.records import (
    download,
    download_records,
    names_of_others,
    remove_leftovers,
    temporary,
)
from archiver.bucket.recovery import Paths, is_whole, matches, sent_without
from archiver.bucket.segments import Segments, refresh
from archiver.bucket.sender import Sender
from archiver.bucket.state import LastRun, layout_of_bucket
from archiver.bucket.tag_files import DECLARATION, TagFiles
from archiver.bucket.uploads import UploadJournal
from archiver.checksums import BagFile
from archiver.errors import (
    ArchiveLocked,
    ArchiverError,
    NotAnArchive,
    StorageError,
    storage_errors,
)
from archiver.generation import generation_at
from archiver.location import BucketUrl
from archiver.s3.client import open_objects
from archiver.s3.measured import in_memory
from archiver.s3.objects import Objects
from archiver.s3.probe import probe
from archiver.s3.replacing import put_over
from archiver.settings import BucketSettings

if TYPE_CHECKING:
    from concurrent.futures import Future

_LOG = logging.getLogger(__name__)
_STALE_UPLOAD = timedelta(days=1)
_FEW = 50
"""Of this many objects each is asked about; of more, all are listed."""
_AT_ONCE = 16
"""This many objects are asked about together."""
_SMALL = 8 << 20
_DATA = "data"


class Bucket:
    """An archive in a bucket. Whoever writes to it has its lease. Its methods block."""

    def __init__(
        self,
        url: BucketUrl,
        objects: Objects,
        lease: Lease | None = None,
        last: LastRun | None = None,
    ) -> None:
        self.url = url
        self.objects = objects
        self.layout = layout_of_bucket(url)
        self.manifest = ChecksumManifest(self.layout.manifest)
        self._segments = Segments(objects, lease, self.layout) if lease else None
        self._last = last or LastRun()
        self._sender = Sender(objects, self.layout, self._check)
        self._restoring = UploadJournal(self.layout.state / "restoring.jsonl")
        self._tag_files = TagFiles(objects, url, self.layout)
        self._began: list[datetime] = []
        """When the runs began that had the lease, by the store's clock."""
        self._alone = False
        """Whether no other program's manifests are beside ours."""

    @classmethod
    @contextmanager
    def open(
        cls, url: BucketUrl, lock_wait: float = 0, settings: BucketSettings | None = None
    ) -> Iterator["Bucket"]:
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
            cls(url, objects).check()
            if not last.probed:
                probe(objects, url)
            here = Here(
                {last.run, last.before} - {""},
                lambda run: replace(last, run=run, before=last.run, probed=True).write(layout),
            )
            with leased(objects, lock_wait, here=here) as lease:
                bucket = cls(url, objects, lease, last)
                # Before it has recovered what there was, its own journal is not all there is.
                LastRun(lease.run, probed=True).write(layout)
                with bucket._in_use():
                    yield bucket

    @classmethod
    @contextmanager
    def look_into(cls, url: BucketUrl) -> Iterator["Bucket"]:
        """Return the archive at `url`, only to read from it; there may be none.

        Raises:
            ConfigurationError: if it cannot be reached.
            StorageError: if the store fails.
        """
        with open_objects(url) as objects:
            yield cls(url, objects)

    @property
    def name(self) -> str:
        """What people call it."""
        return str(self.url)

    @property
    def is_shared(self) -> bool:
        """Whether other machines may have written to it: what is known here may be old."""
        return True

    # --- Beginning and end

    def check(self) -> None:
        """Make sure that this is an archive, or that there is nothing at all.

        Raises:
            NotAnArchive: if it is neither.
            StorageError: if it cannot be read.
        """
        if self.objects.head(DECLARATION) or self._is_begun():
            return
        if other := next(iter(self.objects.list()), None):
            raise NotAnArchive(
                f"{self.url} is not an archive: it has other objects, such as {other.path!r}, and "
                f"no {DECLARATION}; name a prefix of its own"
            )

    def require(self) -> None:
        """Make sure that there is an archive, and bring up to date what is known of it here.

        Raises:
            NotAnArchive: if there is none.
            StorageError: if it cannot be read.
        """
        if not self.objects.head(MANIFEST) and not self._is_begun():
            raise NotAnArchive(f"there is no archive at {self.url}: it has no {MANIFEST}")
        with storage_errors(f"preparing {self.layout.root}"):
            self.layout.incoming.mkdir(parents=True, exist_ok=True)
        with suppress(ArchiveLocked), locked(self.layout.lock, briefly=True):  # else a run does
            refresh(self.objects, self.layout)
            self._tag_files.fetch()

    def _is_begun(self) -> bool:
        """Return whether a run was killed before it wrote what makes it an archive."""
        return next(iter(self.objects.list(f"{STATE}/")), None) is not None

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        """Bring what is here up to date; in the end, leave as little as possible to recover."""
        if aborted := self.objects.abort_uploads(_STALE_UPLOAD):
            _LOG.info("%s: %d uploads of killed runs are aborted", self.url, aborted)
        remove_leftovers(self.layout)
        self._writer.begin()
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
            self._writer.end()
        except ArchiverError as error:
            _LOG.warning("%s: the next run rolls up its checksum manifest: %s", self.url, error)

    # --- Writing

    def recover(self) -> Sequence[StagedFile]:
        """List what a run has sent whole and a crash kept from being listed; return its files.

        The journal names it. Where that may lack something, since the machine was restarted, the
        run was another machine's, or nothing is known here of any, the bucket is listed.

        Raises:
            StorageError: if the store or the disk fails.
        """
        listed = Paths(line.path for line in self.manifest.lines())
        found = [files for files in self._sender.journal.read() if not listed.have_all(files)]
        if not self._journal_serves():
            found += sent_without(self.objects, listed)
        whole = {files[0].directory: files for files in found if is_whole(self.objects, files)}
        files = [file for group in whole.values() for file in group]
        self._append([file.target for file in files if file.target.path not in listed])
        restored = self._restore_rest(listed)
        LastRun(self._writer.run, this_boot(), probed=True).write(self.layout)
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
        if self._writer.is_due():
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

    def withdraw(self, paths: Collection[str]) -> None:
        """Remove the lines of files that are about to be committed anew.

        Raises:
            StorageError: if the store or the disk fails.
        """
        self._set_manifests_aside()
        self._roll_up()
        self.copy_aside([MANIFEST])
        self._writer.rewrite({*paths})

    def adopt(self, paths: Iterable[str]) -> list[BagFile]:
        """Write a line for files that are there, read back; any other lines of theirs are removed.

        Raises:
            StorageError: if the store or the disk fails.
        """
        files = [file for path in paths if (file := self._read_back(path))]
        self._set_manifests_aside()
        self._roll_up()
        self._writer.rewrite({file.path for file in files}, files)
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
            self._writer.rewrite({file.target.path for file in changed})
        for file in files:
            self._sender.replace(file)
        if changed:
            self._append([file.target for file in changed])
            self._restoring.clear()

    def set_aside(self, paths: Iterable[str]) -> None:
        """Move objects into the quarantine, where they are there.

        Raises:
            StorageError: if the store fails.
        """
        there = keep_aside(self.objects, paths)
        self._writer.check()
        self.objects.delete(there)

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

    def publish(self, path: str, content: bytes) -> None:
        """Write a file of the page, unless there is the same.

        Raises:
            StorageError: if the store does not take it.
        """
        body = in_memory(content)
        put_over(self.objects, path, body, lambda there: not there or there.sha256 != body.sha256)

    # --- Reading

    def holder(self) -> Holder | None:
        """Return which run has the lease; one of this machine that is gone is known to be dead.

        Raises:
            ArchiveLocked: if the lease is none that this version knows.
            StorageError: if the store fails.
        """
        found = leases.holder(self.objects)
        if found and found.run == LastRun.read(self.layout).run and not holder(self.layout.lock):
            return replace(found, alive=False)
        return found

    def being_committed(self) -> list[str]:
        """Return the paths of what a run on this machine has sent and may not have listed."""
        return [file.target.path for files in self._sender.journal.read() for file in files]

    def files(self) -> Iterator[str]:
        """Yield the path of every object under `data/`.

        Raises:
            StorageError: if the store fails.
        """
        self._note_lease()
        found = self.objects.list(f"{_DATA}/")
        # Consoles show folders, and create empty objects for them: they are no files.
        return (each.path for each in found if each.size or not each.path.endswith("/"))

    def beside(self, path: str) -> list[str]:
        """Return the files of the generation that a file belongs to.

        Raises:
            StorageError: if the store fails.
        """
        directory, _, name = path.rpartition("/")
        stem = f"{directory}/{name.partition('.')[0]}"
        found = (each.path for each in self.objects.list(stem))
        return [each for each in found if each[len(stem) :].startswith((".", "-"))]

    @contextmanager
    def records(self) -> Iterator[Records]:
        """Download what the archive says of itself: for as long as it is asked for.

        Segments are read before the manifest: what is rolled up meanwhile is in that.

        Raises:
            StorageError: if the store or the disk fails.
        """
        claim = self._note_lease()
        found = list(segment.read(self.objects, segment.listed(self.objects)))
        at_rest = not found and (claim is None or claim.released)
        segments = [(each.path, each.content) for each in found]
        with temporary(self.layout, "records-") as directory:
            here = Layout(directory)
            with storage_errors(f"downloading the records of {self.url} to {directory}"):
                is_counted = download_records(self.objects, here)
            yield Records(here, segments, at_rest, is_counted)

    def is_under_way(self, path: str) -> bool:
        """Return whether an object may be one that a run has sent and not listed.

        It may if it was written since the run began that has the lease, or had it last, both by
        the store's clock. What was just deleted is no file any more.

        Raises:
            StorageError: if the store fails.
        """
        there = self.objects.head(path)
        if not there:
            return True
        is_ours = bool(there.sha256 and generation_at(path))
        return is_ours and any(there.modified >= began for began in self._began)

    def reported(self, path: str) -> Reported | None:
        """Return what the store says of an object; None if there is none.

        Raises:
            StorageError: if the store fails.
        """
        there = self.objects.head(path)
        return Reported(there.size, there.sha256) if there else None

    def published(self, directory: str) -> Iterator[str]:
        """Yield the path of every object below a directory.

        Raises:
            StorageError: if the store fails.
        """
        return (each.path for each in self.objects.list(f"{directory}/"))

    def exists(self, path: str) -> bool:
        """Return whether there is such an object.

        Raises:
            StorageError: if the store fails.
        """
        return self.objects.head(path) is not None

    def leads_out(self, path: str) -> bool:  # noqa: ARG002
        """Return False: in a bucket no path leads anywhere else."""
        return False

    def size_of(self, path: str) -> int:  # noqa: ARG002
        """Return 0: it takes long to ask. See `sizes`."""
        return 0

    def sizes(self, paths: Collection[str]) -> Iterable[tuple[str, int]]:
        """Return the sizes of objects in bytes, by their paths.

        Raises:
            StorageError: if the store fails.
        """
        wanted = frozenset(paths)
        if len(wanted) <= _FEW:
            asked = map(self.objects.head, wanted)
            return [(each.path, each.size) for each in asked if each]
        listed = self.objects.list("data/")
        return [(each.path, each.size) for each in listed if each.path in wanted]

    def sha256(self, path: str) -> str | None:
        """Return the checksum of an object, read back; None if it cannot be read."""
        try:
            file = self._read_back(path)
        except StorageError:
            return None
        return file.sha256 if file else None

    def read(self, path: str, limit: int) -> bytes | None:
        """Return what is in a small object; None if there is none, or it is larger than `limit`.

        Raises:
            StorageError: if the store fails.
        """
        found = self.objects.head(path)
        if not found or found.size > limit:
            return None
        read = self.objects.get(path, limit)
        return read[0] if read else None

    @contextmanager
    def blocks(self, path: str) -> Iterator[Iterable[bytes]]:
        """Read an object in blocks.

        Raises:
            OSError: if there is none.
            StorageError: if the store fails.
        """
        with self.objects.open(path) as reading:
            if not reading:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
            yield reading

    @contextmanager
    def local(self, path: str) -> Iterator[Path]:
        """Download an object to the disk here, for as long as it is asked for.

        Raises:
            StorageError: if the store or the disk fails.
        """
        with temporary(self.layout, "local-") as directory:
            here = directory / path.rpartition("/")[2]
            with storage_errors(f"downloading {path} to {directory}"):
                download(self.objects, path, here)
            yield here

    # --- The checksum manifest

    @property
    def _writer(self) -> Segments:
        """The segments, to which only who has the lease writes."""
        if not self._segments:
            raise RuntimeError("the archive is open only to read it")
        return self._segments

    def _check(self) -> None:
        """Make sure that the lease is still this run's."""
        self._writer.check()

    def _append(self, files: Sequence[BagFile]) -> None:
        """Write lines: in the bucket, then here."""
        if files:
            self._writer.append(files)
            with storage_errors(f"writing {self.layout.manifest}"):
                self.manifest.append(files)

    def _roll_up(self) -> None:
        self._writer.roll_up()
        self._sender.journal.shorten()

    def _journal_serves(self) -> bool:
        """Return whether the journal has all that was sent and not listed."""
        last, taken_over = self._last, self._writer.taken_over
        is_ours = taken_over in (None, last.run, last.before)
        return bool(last.run) and last.boot == this_boot() and is_ours

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

    # --- What is read of it

    def _note_lease(self) -> Claim | None:
        """Note since when the run that has the lease, or had it last, is at work."""
        try:
            found = leases.read(self.objects)
        except ArchiveLocked as error:
            _LOG.warning("%s", error)
            return None
        if not found:
            return None
        claim, stored = found
        self._began.append(claim.at_work_since(stored.modified))
        return claim

    # --- Tag files, other manifests, the quarantine

    def _set_manifests_aside(self) -> None:
        """Quarantine manifests of other programs: they do not list what is added."""
        if self._alone:
            return
        others = names_of_others(self.objects)
        self.set_aside(others)
        for name in others:
            _LOG.warning("%s is moved to %s: it would be wrong now", name, QUARANTINE)
        self._alone = True

    def _read_back(self, path: str) -> BagFile | None:
        digest, size = hashlib.sha256(), 0
        with self.objects.open(path) as reading:
            if not reading:
                return None
            for block in reading:
                digest.update(block)
                size += len(block)
        return BagFile(path, digest.hexdigest(), size)
