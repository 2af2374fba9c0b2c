"""The bucket: an archive in it, as anyone may use it; who has its lease has `WritableBucket`."""

import errno
import hashlib
import logging
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from archiver.archive.checksum_manifest import ChecksumManifest
from archiver.archive.layout import MANIFEST, STATE, Layout
from archiver.archive.lock import holder, locked
from archiver.archive.store import Holder, Records, Reported
from archiver.bucket import claim as claims
from archiver.bucket import segment
from archiver.bucket.claim import Claim
from archiver.bucket.records import download, download_records, temporary
from archiver.bucket.segments import refresh
from archiver.bucket.state import LastRun, layout_of_bucket
from archiver.bucket.tag_files import DECLARATION, TagFiles
from archiver.bucket.uploads import UploadJournal
from archiver.checksums import BagFile
from archiver.errors import ArchiveLocked, NotAnArchive, StorageError, storage_errors
from archiver.generation import generation_at
from archiver.location import BucketUrl
from archiver.s3.client import open_objects
from archiver.s3.measured import in_memory
from archiver.s3.objects import Objects
from archiver.s3.replacing import put_over

if TYPE_CHECKING:
    from datetime import datetime

_LOG = logging.getLogger(__name__)
_FEW = 50
"""Of this many objects each is asked about; of more, all are listed."""
_DATA = "data"


class Bucket:
    """An archive in a bucket, as anyone may use it. Its methods block."""

    def __init__(self, url: BucketUrl, objects: Objects) -> None:
        self.url = url
        self.objects = objects
        self.layout = layout_of_bucket(url)
        self.manifest = ChecksumManifest(self.layout.manifest)
        self._uploads = UploadJournal(self.layout.state / "uploads.jsonl")
        self._tag_files = TagFiles(objects, url, self.layout)
        self._began: list[datetime] = []
        """When the runs began that had the lease, by the store's clock."""

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

    def holder(self) -> Holder | None:
        """Return which run has the lease; one of this machine that is gone is known to be dead.

        Raises:
            ArchiveLocked: if the lease is none that this version knows.
            StorageError: if the store fails.
        """
        found = claims.holder(self.objects)
        if found and found.run == LastRun.read(self.layout).run and not holder(self.layout.lock):
            return replace(found, alive=False)
        return found

    def being_committed(self) -> list[str]:
        """Return the paths of what a run on this machine has sent and may not have listed."""
        return [file.target.path for files in self._uploads.read() for file in files]

    def files(self) -> Iterator[str]:
        """Yield the path of every object under `data/`.

        Raises:
            StorageError: if the store fails.
        """
        self._note_lease()
        found = self.objects.list(f"{_DATA}/")
        # Consoles show folders, and create empty objects for them: they are no files.
        return (each.path for each in found if each.size or not each.path.endswith("/"))

    def published(self, directory: str) -> Iterator[str]:
        """Yield the path of every object below a directory.

        Raises:
            StorageError: if the store fails.
        """
        return (each.path for each in self.objects.list(f"{directory}/"))

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
        with self.objects.open(path) as reading:
            return b"".join(reading) if reading and reading.stored.size <= limit else None

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

    def publish(self, path: str, content: bytes) -> None:
        """Write a file of the page, unless there is the same.

        Raises:
            StorageError: if the store does not take it.
        """
        body = in_memory(content)
        put_over(self.objects, path, body, lambda there: not there or there.sha256 != body.sha256)

    def _note_lease(self) -> Claim | None:
        """Note since when the run that has the lease, or had it last, is at work."""
        try:
            found = claims.read(self.objects)
        except ArchiveLocked as error:
            _LOG.warning("%s", error)
            return None
        if not found:
            return None
        claim, stored = found
        self._began.append(claim.at_work_since(stored.modified))
        return claim

    def _read_back(self, path: str) -> BagFile | None:
        digest, size = hashlib.sha256(), 0
        with self.objects.open(path) as reading:
            if not reading:
                return None
            for block in reading:
                digest.update(block)
                size += len(block)
        return BagFile(path, digest.hexdigest(), size)
