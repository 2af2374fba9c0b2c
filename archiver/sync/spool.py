"""The spool: a file on its way, hashed and looked at as it is written."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from archiver.archive.staging import spool
from archiver.errors import storage_errors
from archiver.media.info import Properties
from archiver.media.reader import NotWhole
from archiver.media.validator import Validator

if TYPE_CHECKING:
    import io


class Spool:
    """Takes a file piece by piece: what is small stays in memory, the rest goes to the disk.

    What is not complete in the end is deleted. Its methods raise `StorageError` if the disk fails.
    """

    def __init__(self, path: str, *, look: bool) -> None:
        """Name the file on the disk; `look` at what it says of itself as a video."""
        self.size = 0
        self._path = path
        self._digest = hashlib.sha256()
        self._validator = Validator() if look else None
        self._content = bytearray()
        self._file: io.FileIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            with storage_errors(f"deleting {self._path}"):
                self._close()
                path = Path(self._path)
                path.unlink(missing_ok=True)
                with suppress(OSError):  # others of its generation are there
                    path.parent.rmdir()

    @property
    def sha256(self) -> str:
        """The checksum of what has come."""
        return self._digest.hexdigest()

    def write(self, block: bytes) -> None:
        """Take the next bytes."""
        self.size += len(block)
        self._digest.update(block)
        self._look(block)
        if not self._file and self.size <= spool():
            self._content += block
        else:
            self._write_to_disk(block)

    def complete(self, path: str) -> bytes | None:
        """Return the file's content, or have it at `path`, flushed; one of no bytes is there, too.

        No more can be written.
        """
        if not self._file and self._content:
            return bytes(self._content)
        self._write_to_disk(b"")
        with storage_errors(f"writing {self._path}"):
            if self._file:
                os.fsync(self._file.fileno())
            self._close()
            os.rename(self._path, path)  # noqa: PTH104
        return None

    def properties(self) -> Properties | None:
        """Return what it says of itself as a whole video, if anything."""
        try:
            return self._validator.finish().properties if self._validator else None
        except NotWhole:
            return None

    def _look(self, block: bytes) -> None:
        try:
            if self._validator:
                self._validator.feed(block)
        except NotWhole:
            self._validator = None

    def _write_to_disk(self, block: bytes) -> None:
        with storage_errors(f"writing {self._path}"):
            if not self._file:
                Path(self._path).parent.mkdir(parents=True, exist_ok=True)
                self._file = Path(self._path).open("wb", buffering=0)  # noqa: SIM115 (see _close)
                block, self._content = bytes(self._content) + block, bytearray()
            rest = memoryview(block)
            while rest:
                rest = rest[self._file.write(rest) :]

    def _close(self) -> None:
        if self._file:
            self._file.close()
            self._file = None
