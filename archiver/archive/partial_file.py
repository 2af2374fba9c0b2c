"""A partial file: a payload on its way, hashed and validated as it is written."""

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from archiver.archive.durable import fsync
from archiver.archive.fitting import DoesNotFit, payload_errors
from archiver.errors import storage_errors
from archiver.media.info import MediaInfo
from archiver.media.reader import NotWhole
from archiver.media.validator import Validator

if TYPE_CHECKING:
    import io

_LOG = logging.getLogger(__name__)
_READ_SIZE = 1 << 20
_UNANNOUNCED = 64 << 20
"""Of a body whose length is not announced, no more bytes are kept to be resumed: it may be endless,
and to fetch these again costs less than to keep the disk full of them."""
_NOTE = '{{"written": "{:020} {}", '
"""What the file of an origin begins with, always as long: how much is written, and its SHA-256."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Which file on a server a partial file is part of, by a validator (RFC 9110, 8.8).

    `place` is where the validator holds: a digest of the URL for a date, and everywhere ("") for
    a strong entity tag; `tag` is a weak one that came with a date. `boot` is when the file was
    begun: what a machine had not flushed when it lost its power may read as zeros, so a file is
    resumed only if the machine is still up.
    """

    validator: str
    place: str
    length: int | None
    boot: str
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Payload:
    """A payload that is proven whole; its bytes are in memory, or in the partial file, flushed."""

    sha256: str
    size: int
    """In bytes."""
    media: MediaInfo
    content: bytes | None = None
    """The bytes, unless they are on the disk."""

    @property
    def name(self) -> str:
        """What the name of its staged file ends with: it shows that the file is whole."""
        return f"{self.sha256}.{self.media.extension}"


def this_boot() -> str:
    """Return an ID of this boot of the machine; "" where there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


class PartialFile:
    """Takes a payload piece by piece, until it is complete.

    The first `spool` bytes stay in memory: a payload that is no larger never touches the disk
    here. What has an `origin` can be resumed, on this run or a later one. Once anything is on
    the disk the methods block: call them in a thread.
    """

    def __init__(self, path: str, spool: int = 0) -> None:
        self.name = path
        self.origin: Origin | None = None
        self._spool = spool
        self._on_disk = False
        self._file: io.FileIO | None = None
        self._notes: io.FileIO | None = None
        self._written = 0, ""
        self._payload: Payload | None = None
        self._begin()

    @classmethod
    def resume(cls, path: str) -> Self:
        """Open what an earlier try has left; it is deleted if it cannot be resumed.

        Raises:
            StorageError: if it cannot be read or deleted.
        """
        partial = cls(path)
        partial._on_disk = True
        if not partial.path.exists():
            partial.reset()
            return partial
        try:
            partial.origin = partial._saved_origin()
            partial._read()
        except NotWhole as error:
            partial.log_unresumed(str(error))
            partial.reset()
        return partial

    def log_unresumed(self, why: str) -> None:
        """Log that what there is of it is of no use, and why."""
        generation = self.path.parent.name.replace("~", "/")
        _LOG.info("%s: %s is not resumed: %s", generation, self.path.name, why)

    @property
    def path(self) -> Path:
        """Where it is, or would be."""
        return Path(self.name)

    @property
    def on_disk(self) -> bool:
        """Whether anything of it is, or may be, on the disk."""
        return self._on_disk

    def fits_in_memory(self, count: int) -> bool:
        """Return whether `count` bytes more would still leave the disk untouched."""
        return not self._on_disk and self.bytes + count <= self._spool

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write all of `data`.

        Raises:
            NotWhole: if these bytes can no longer become a video.
            DoesNotFit: if there is no space for them: then it is deleted, and begins anew.
            StorageError: if the disk fails.
        """
        view = memoryview(data).cast("B")
        in_memory = self.fits_in_memory(len(view))
        self._take(view)
        if in_memory:
            self._memory.append(data if isinstance(data, bytes) else bytes(view))
            return
        with self._given_back(f"writing {self.path}"):
            file = self._file or self._open()
            _write_all(file, view)
            self._note_written()

    def reset(self, origin: Origin | None = None) -> None:
        """Delete what there is, and begin anew with a file of this origin.

        Raises:
            StorageError: if it cannot be deleted.
        """
        with suppress(OSError):  # of bytes that are given up
            self.close()
        self.origin = origin
        if self._on_disk:
            with storage_errors(f"deleting {self.path}"):
                self._delete()
        self._begin()

    def complete(self, length: int | None, *, delimited: bool) -> Payload:
        """Return the payload, proven whole and flushed.

        `length` is the announced one, if any. Some formats do not show where they end: then the
        body must have been `delimited` by the protocol.

        Raises:
            NotWhole: if this is not the whole of a video.
            DoesNotFit: if there is no space for it: then it is deleted, and begins anew.
            StorageError: if the disk fails.
        """
        if length is not None and self.bytes != length:
            raise NotWhole(f"{self.bytes:,} bytes came of {length:,}")
        media = self._validator.finish()
        if media.open_ended and not delimited:
            raise NotWhole(
                f"its length is unknown, and a .{media.extension} of this kind does not show "
                "where it ends"
            )
        content = None if self._on_disk else b"".join(self._memory)
        if self._on_disk:
            self._flush()
        self._payload = Payload(self._digest.hexdigest(), self.bytes, media, content)
        return self._payload

    def suspend(self) -> None:
        """Close it after a failure: what can be resumed stays on the disk, the rest is deleted.

        What was completed, but not staged before the run was ended, gets the name to be found by.

        Raises:
            StorageError: if the disk fails.
        """
        if self._resumable and not self._on_disk:
            with suppress(DoesNotFit), self._given_back(f"writing {self.path}"):
                self._open()
                self._note_written()
        with storage_errors(f"writing {self.path}"):
            self.close()
            if self._on_disk and self._payload:
                stem = self.path.name.removesuffix(".part")
                self.path.rename(self.path.with_name(f"{stem}{self._payload.name}"))
            if self._on_disk and (self._payload or not self._resumable):
                self._delete()

    def close(self) -> None:
        """Close the file, if it is open; what is on the disk stays there."""
        files = self._file, self._notes
        self._file = self._notes = None
        for file in filter(None, files):
            file.close()

    @property
    def origin_path(self) -> Path:
        """Where its origin is kept, if it has one and is on the disk."""
        return self.path.with_name(self.path.name + ".json")

    @property
    def _resumable(self) -> bool:
        """Whether what there is of it is worth keeping."""
        if not self.origin or not self.bytes:
            return False
        return self.origin.length is not None or self.bytes <= _UNANNOUNCED

    @contextmanager
    def _given_back(self, doing: str) -> Iterator[None]:
        """Delete it if it does not fit: others have the space then."""
        try:
            with payload_errors(doing):
                yield
        except DoesNotFit:
            self.reset()
            raise

    def _saved_origin(self) -> Origin:
        """Return its origin.

        Raises:
            NotWhole: if that is not known, or may have lost what was not flushed.
        """
        try:
            fields = json.loads(self.origin_path.read_bytes())
            size, sha256 = fields.pop("written").split()
            self._written = int(size), sha256
            origin = Origin(**fields)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            raise NotWhole("what it is a part of is not known") from None
        if not origin.boot:
            raise NotWhole("the ID of the machine's boot cannot be read")
        if origin.boot != this_boot():
            raise NotWhole("the machine was restarted since")
        return origin

    def _read(self) -> None:
        """Take in what was written; more than was noted may be there after a kill, and is cut.

        Raises:
            NotWhole: if it is not what was written: somebody has changed it since.
        """
        size, sha256 = self._written
        with storage_errors(f"reading {self.path}"), self.path.open("rb", buffering=0) as file:
            while block := file.read(min(_READ_SIZE, size - self.bytes)):
                self._take(memoryview(block))
            if self._digest.hexdigest() != sha256:
                raise NotWhole("it was changed on the disk since it was written")
            os.truncate(self.path, size)

    def _begin(self) -> None:
        self.bytes = 0
        self._payload = None
        self._memory: list[bytes] = []
        self._digest = hashlib.sha256()
        self._validator = Validator()

    def _take(self, view: memoryview) -> None:
        self._validator.feed(view)
        self._digest.update(view)
        self.bytes += len(view)

    def _open(self) -> "io.FileIO":
        """Open the file, and move to it what is in memory."""
        if not self._on_disk:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._on_disk = True
        resumed = self.path.exists()
        if self.origin:
            if not self.origin_path.exists():
                note = _NOTE.format(0, hashlib.sha256().hexdigest())
                self.origin_path.write_text(note + json.dumps(asdict(self.origin))[1:])
            self._notes = self.origin_path.open("rb+", buffering=0)
        self._file = self.path.open("ab" if resumed else "wb", buffering=0)
        spooled, self._memory = self._memory, []
        for block in spooled:
            _write_all(self._file, memoryview(block))
        return self._file

    def _note_written(self) -> None:
        """Note what is in the file by now: it is compared before the file is gone on with."""
        if self._notes:
            note = _NOTE.format(self.bytes, self._digest.hexdigest())
            os.pwrite(self._notes.fileno(), note.encode(), 0)

    def _flush(self) -> None:
        with self._given_back(f"flushing {self.path}"):
            if self._file:
                os.fsync(self._file.fileno())
            else:
                fsync(self.path)
            self.close()

    def _delete(self) -> None:
        self.path.unlink(missing_ok=True)
        self.origin_path.unlink(missing_ok=True)


def _write_all(file: "io.FileIO", view: memoryview) -> None:
    while view:
        view = view[file.write(view) :]
