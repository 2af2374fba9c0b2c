"""The mirror: a copy, here, of the bucket's checksum manifest and of the lines in its segments.

It begins with the manifest of the bucket; the lines of segments follow. How far it is that
manifest, and which one, is noted beside it. The note is written last, and believed only of bytes
with the checksum in it: after a crash between the two the manifest is read again.
"""

import hashlib
import json
import logging
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from archiver.archive.checksum_manifest import ChecksumManifest, parse
from archiver.archive.durable import fsync, replace
from archiver.archive.layout import MANIFEST
from archiver.checksums import BagFile, Checksum
from archiver.errors import StorageError, storage_errors
from archiver.s3.measured import in_file
from archiver.s3.objects import Objects, Reading

_LOG = logging.getLogger(__name__)
_PLAIN = re.compile(rb"[0-9a-f]{64}  data/[^%\r\n]+\n")
"""A line as we write nearly all: there is no other way to write it but in other letters."""
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Base:
    """The bucket's manifest, with which the mirror begins."""

    etag: str = ""
    """Empty where there is none."""
    content: str = hashlib.sha256().hexdigest()
    """The SHA-256 of its bytes in the bucket, where lines may be spelled in another way."""
    size: int = 0
    """How far the mirror is that manifest, in bytes."""
    sha256: str = hashlib.sha256().hexdigest()
    """The SHA-256 of those bytes."""


class Mirror:
    """The mirror at `path`. Its methods block."""

    def __init__(self, objects: Objects, path: Path) -> None:
        self.path = path
        self.base = Base()
        self._objects = objects
        self._note = path.with_suffix(".json")

    def fetch(self) -> None:
        """Have the bucket's manifest here; it is read only where it is not the one noted.

        Raises:
            StorageError: if the store or the disk fails.
        """
        there = self._objects.head(MANIFEST)
        with storage_errors(f"reading {self.path}"):
            noted = self._noted()
        if noted and noted.etag == (there.etag if there else ""):
            self.base = noted
            return
        if noted and noted.etag and not there:
            _LOG.warning("the bucket has no %s any more: it is begun anew", MANIFEST)
        with self._objects.open(MANIFEST) as reading, storage_errors(f"writing {self.path}"):
            self._take(reading)

    def complete(self, lines: Iterable[Checksum]) -> None:
        """Make it the bucket's manifest and these lines, each once, durably.

        Raises:
            StorageError: if the disk fails.
        """
        wanted = {str(line).encode(): line for line in lines}
        with storage_errors(f"writing {self.path}"):
            end = self._end_of_known(wanted)
            if end < self.path.stat().st_size:
                os.truncate(self.path, end)
                fsync(self.path)
            if wanted:
                self._leave_out_what_is_there(wanted)
            if wanted:
                files = (BagFile(line.path, line.sha256, 0) for line in wanted.values())
                ChecksumManifest(self.path).append(files)

    def is_true(self) -> bool:
        """Return whether it still begins with the manifest that it did begin with.

        Raises:
            OSError: if it cannot be read.
        """
        return self._begins_with(self.base)

    def agree(self, base: Base) -> None:
        """Note that all of it is the bucket's manifest now.

        Raises:
            StorageError: if the disk fails.
        """
        with storage_errors(f"noting what {self.path} is"):
            replace(self._note, [json.dumps(asdict(base)) + "\n"])
        self.base = base

    def _noted(self) -> Base | None:
        """Return what is noted, if it is true of the mirror."""
        try:
            noted = Base(**json.loads(self._note.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        return noted if self._begins_with(noted) else None

    def _begins_with(self, base: Base) -> bool:
        digest, left = hashlib.sha256(), base.size
        try:
            with self.path.open("rb", buffering=0) as file:
                while block := file.read(min(_BLOCK, left)):
                    digest.update(block)
                    left -= len(block)
        except FileNotFoundError:
            return False
        return not left and digest.hexdigest() == base.sha256

    def _take(self, reading: Reading | None) -> None:
        temporary, digest = self.path.with_name(self.path.name + ".new"), hashlib.sha256()
        with temporary.open("wb") as file:
            for block in reading or ():
                digest.update(block)
                file.write(block if file.tell() else block.lstrip(b"\r\n"))
            file.flush()
            os.fsync(file.fileno())
        if reading and reading.stored.sha256 not in ("", digest.hexdigest()):
            raise StorageError(f"{MANIFEST} came with another checksum than the store has of it")
        temporary.replace(self.path)
        fsync(self.path.parent)
        here = in_file(self.path)
        etag = reading.stored.etag if reading else ""
        self.agree(Base(etag, digest.hexdigest(), here.size, here.sha256))

    def _end_of_known(self, wanted: dict[bytes, Checksum]) -> int:
        """Return up to where it is the manifest and lines that are wanted; those are no more."""
        with self.path.open("rb") as file:
            end = file.seek(self.base.size)
            for line in file:
                if wanted.pop(line, None) is None:
                    break
                end += len(line)
        return end

    def _leave_out_what_is_there(self, wanted: dict[bytes, Checksum]) -> None:
        with self.path.open("rb") as file:
            for line in file:
                if wanted.pop(line, None) is None and not _PLAIN.fullmatch(line):
                    for part in line.splitlines():  # an editor may have dropped the last end
                        wanted.pop(str(parse(part + b"\n") or "").encode(), None)
