"""Segments, rolled up: how an archive in a bucket gets lines of its manifest, and loses them.

A group commit writes its lines into a segment; from there they are rolled up into
`manifest-sha256.txt`. At every instant each committed line is in one of the two: a segment is
emptied or deleted only after a manifest with its lines has taken the place of just the one that
was known (`If-Match`). And each line there is true: lines are withdrawn from both before anything
happens to their files, and a run that has lost its lease can bring none back (`fence.py`).
"""

import logging
import shutil
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from archiver.archive.checksum_manifest import ChecksumManifest
from archiver.archive.durable import fsync
from archiver.archive.layout import MANIFEST, Layout
from archiver.bucket import fence, segment
from archiver.bucket.lease import Lease
from archiver.bucket.mirror import Base, Mirror
from archiver.bucket.segment import EMPTIED, Segment
from archiver.checksums import BagFile, Checksum
from archiver.errors import StorageError, storage_errors
from archiver.s3.measured import in_file, in_memory
from archiver.s3.objects import Absent, ConditionFailed, Objects, Stored, Unchanged

_LOG = logging.getLogger(__name__)

_TRIES = 5
_EVERY = 180.0
"""In seconds: segments are rolled up this often."""
_SHARE = 20
"""At most one part in twenty of the time goes into that: large manifests are rolled up rarely."""


def refresh(objects: Objects, layout: Layout) -> None:
    """Have the lines of the bucket here, to read them; nothing is read there if nothing is new.

    The segments are read before the manifest: what is rolled up meanwhile is in the manifest then.

    Raises:
        StorageError: if the store or the disk fails.
    """
    found = list(segment.read(objects, segment.listed(objects)))
    mirror = Mirror(objects, layout.manifest)
    mirror.fetch()
    mirror.complete(_lines(found))


class Segments:
    """The segments of the run that has the lease. Its methods block; one at a time is called.

    Each can raise `StorageError`, if the store or the disk fails, and `LeaseLost`.
    """

    def __init__(self, objects: Objects, lease: Lease, layout: Layout) -> None:
        self.run = lease.run
        """The run's name."""
        self.previous = lease.previous
        """The run that worked in the archive before; empty if there was none."""
        self._objects = objects
        self._lease = lease
        self._mirror = Mirror(objects, layout.manifest)
        self._number = 0
        self._unknown: Segment | None = None
        self._pending: list[Segment] = []
        self._last: Segment | None = None
        self._not_again: set[str] = set()
        """The SHA-256s that the manifest must not have again."""
        self._pace = _Pace()

    def begin(self) -> None:
        """Fence the runs that have lost their leases, and have all lines here.

        From here on nobody else can write a line.
        """
        found = segment.listed(self._objects)
        if late := sorted({*self._lease.unfenced, *fence.unfenced(found, self.run)}):
            self._lease.unfenced = tuple(late)
            fence.fence(self._objects, late, found)
            found = segment.listed(self._objects)
        self._pending = list(segment.read(self._objects, found))
        segment.set_odd_aside(self._objects, self._pending)
        self._not_again = fence.superseded(self._objects)
        self._fetch()
        self._mirror.complete(_lines(self._pending))
        if late and self._mirror.path.stat().st_size:
            self._write_manifest(supersede=True)
        self._lease.unfenced = (self.run,)  # unless it ends in order

    def check(self) -> None:
        """Make sure that the lease is still this run's."""
        self._lease.check()

    def append(self, files: Sequence[BagFile]) -> None:
        """Write the lines of files that are there: in the bucket, not yet here."""
        if not files:
            return
        self._lease.check()
        content = "".join(str(Checksum(file.sha256, file.path)) for file in files).encode()
        new = Segment(self.run, self._number + 1, len(content), "", content)
        try:
            self._created(new, self._objects.put(new.path, in_memory(content), Absent()))
        except ConditionFailed:
            self._taken(files)
        except StorageError:
            self._unknown = new  # it may be there, or come there yet
            raise

    def is_due(self) -> bool:
        """Return whether it is time to roll up."""
        return self._pace.is_due() and bool(self._pending)

    def roll_up(self) -> None:
        """Write the lines of all segments into the manifest, and delete the segments.

        Here each line must have been appended already, or not at all.
        """
        self._settle()
        if self._pending or not self._mirror.base.etag:
            self._write_manifest()

    def rewrite(self, paths: Collection[str], instead: Iterable[BagFile] = ()) -> None:
        """Remove the lines of these paths, and those that are no checksum lines, durably.

        In the same instant there are the lines of the files that are given `instead`.
        """
        self._settle()
        self._write_manifest(_Change(paths, tuple(instead)))

    def end(self) -> None:
        """Roll up, and leave no segment of this run, which cannot write any more."""
        self.roll_up()
        if not self._unknown:
            self._objects.delete([self._last.path] if self._last else [])
            self._lease.unfenced = ()
        fence.forget(self._objects)
        self._lease.lose("it has ended")

    def _fetch(self) -> None:
        """Know the manifest; had another run the lease by now, it must stay unknown."""
        self._mirror.fetch()
        self._lease.prove()

    def _taken(self, files: Sequence[BagFile]) -> None:
        """Go on where the number is taken by a segment of ours, whose response never came."""
        if not self._settle():
            raise self._lease.lost("another run has taken it over")
        self.append(files)

    def _settle(self) -> bool:
        """Return whether a segment whose response never came is there."""
        unknown = self._unknown
        found = self._objects.get(unknown.path) if unknown else None
        if not unknown or not found or found[0] != unknown.content:
            return False
        self._created(unknown, found[1])
        return True

    def _created(self, new: Segment, stored: Stored) -> None:
        self._number, self._unknown = new.number, None
        self._pending.append(replace(new, etag=stored.etag))

    def _write_manifest(self, change: "_Change | None" = None, *, supersede: bool = False) -> None:
        """Have in the bucket the manifest that is here, changed if it is to be; then tidy up."""
        for _ in range(_TRIES):
            self._lease.check()
            with self._pace.measured(), storage_errors(f"writing {self._mirror.path}"):
                self._mirror.complete(_lines(self._pending))
                if self._is_written(change, supersede=supersede):
                    self._tidy()
                    return
            _LOG.info("%s is not the one that this run knows: it is read again", MANIFEST)
            self._fetch()
        raise StorageError(f"somebody else writes to {MANIFEST} again and again")

    def _is_written(self, change: "_Change | None", *, supersede: bool) -> bool:
        """Write the manifest; return False if there is another one than was known, or here."""
        mirror, base = self._mirror, self._mirror.base
        if not mirror.is_true():
            return False
        if supersede and base.etag:
            fence.supersede(self._objects, base.content)
            self._not_again.add(base.content)
        condition = Unchanged(base.etag) if base.etag else Absent()
        with _changed(mirror.path, change) as changed:
            said = in_file(changed)
            with fence.spelled(said, self._not_again) as body:
                try:
                    stored = self._objects.put(MANIFEST, body, condition)
                except ConditionFailed:
                    return False
            changed.replace(mirror.path)  # which is nothing where it is the same
        fsync(mirror.path.parent)
        mirror.agree(Base(stored.etag, body.sha256, said.size, said.sha256))
        return True

    def _tidy(self) -> None:
        """Empty the last segment of each run, of those rolled up, and delete the others."""
        last = {each.run: each for each in self._pending}
        for each in last.values():
            with suppress(ConditionFailed):  # another run that works here was quicker
                self._objects.put(each.path, in_memory(EMPTIED), Unchanged(each.etag))
        before = [self._last] if self._last and self.run in last else []
        gone = [each for each in self._pending if last[each.run] is not each]
        self._objects.delete([each.path for each in (*before, *gone)])
        self._last = last.get(self.run, self._last)
        self._pending = []


@dataclass(frozen=True, slots=True)
class _Change:
    """What is to be other in a manifest; what is no checksum line is left out in any case."""

    paths: Collection[str]
    instead: Sequence[BagFile]


@contextmanager
def _changed(manifest: Path, change: _Change | None) -> Iterator[Path]:
    """Return the manifest, or a copy in which this is changed, and which may be moved away.

    Raises:
        OSError: if the disk fails.
    """
    if not change:
        yield manifest
        return
    copy = manifest.with_name(manifest.name + ".changed")
    try:
        shutil.copyfile(manifest, copy)
        ChecksumManifest(copy).remove(change.paths, change.instead)
        yield copy
    finally:
        copy.unlink(missing_ok=True)


class _Pace:
    """When to roll up: rarely where it takes long."""

    def __init__(self) -> None:
        self._ended = time.monotonic()
        self._took = 0.0

    def is_due(self) -> bool:
        """Return whether it is time again."""
        return time.monotonic() - self._ended >= max(_EVERY, self._took * _SHARE)

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Note how long it takes."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._ended = time.monotonic()
            self._took = self._ended - began


def _lines(found: Iterable[Segment]) -> Iterator[Checksum]:
    for each in found:
        yield from each.lines()
