"""The checksum manifest, `manifest-sha256.txt`: a line for each file that is surely there.

Its form is that of BagIt (RFC 8493, 2.1.3) and of sha256sum: a checksum, two spaces, a path.
"""

import os
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from archiver.archive.durable import replace
from archiver.archive.staging import StagedFile
from archiver.errors import storage_errors

CHECKSUMS = "manifest-sha256.txt"
_TAIL = 160
_LINE = re.compile(r"(?P<sha256>[0-9a-fA-F]{64})  (?P<path>[^\0\r\n]+)\r?\n")


@dataclass(frozen=True, slots=True)
class Checksum:
    """One line of the checksum manifest."""

    sha256: str
    path: str

    def __str__(self) -> str:
        return f"{self.sha256}  {self.path}\n"


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in the checksum manifest: so many bytes, and the last few before it."""

    size: int
    tail: bytes


class Checksums:
    """The checksum manifest of the archive at `root`. Its methods block."""

    def __init__(self, root: Path) -> None:
        self.path = root / CHECKSUMS

    def lines(self, start: int = 0) -> Iterator[Checksum]:
        """Yield the checksum manifest's lines from byte `start` on.

        A line that is not of the form `<sha256>  <path>` is passed over: it proves nothing.
        """
        return (line for line in self.raw_lines(start) if isinstance(line, Checksum))

    def raw_lines(self, start: int = 0) -> Iterator[Checksum | bytes]:
        """Yield every line from byte `start` on; one that is no checksum line as its bytes."""
        with storage_errors(f"reading {self.path}"), self.path.open("rb") as file:
            file.seek(start)
            for line in file:
                found = _LINE.fullmatch(line.decode(errors="replace"))
                yield Checksum(found["sha256"].lower(), found["path"]) if found else line

    def mark(self) -> Mark:
        """Return where the checksum manifest ends now."""
        with storage_errors(f"reading {self.path}"), self.path.open("rb") as manifest:
            size = manifest.seek(0, os.SEEK_END)
            manifest.seek(max(0, size - _TAIL))
            return Mark(size, manifest.read())

    def has(self, mark: Mark) -> bool:
        """Tell whether the checksum manifest up to `mark` is, by its looks, what it was then."""
        with storage_errors(f"reading {self.path}"), self.path.open("rb") as manifest:
            manifest.seek(mark.size - len(mark.tail))
            return manifest.read(len(mark.tail)) == mark.tail

    def size(self) -> int:
        """Return how many bytes it has."""
        return self.path.stat().st_size

    def append(self, files: Iterable[StagedFile]) -> None:
        """Write the lines of files, durably, or none of them.

        Raises:
            OSError: if the disk does not take them.
        """
        lines = "".join(str(Checksum(file.sha256, file.path)) for file in files)
        size = self.size()
        try:
            with self.path.open("ab+") as manifest:
                manifest.seek(max(0, size - 1))
                if manifest.read(1) not in (b"", b"\n"):  # an editor has dropped it
                    manifest.write(b"\n")
                manifest.write(lines.encode())
                manifest.flush()
                os.fsync(manifest.fileno())
        except OSError:
            os.truncate(self.path, size)  # half a line would be read as a whole one
            raise

    def strike(self, paths: Collection[str]) -> None:
        """Take the lines of these paths, and those that are none, out of the checksum manifest."""
        replace(self.path, (str(line) for line in self.lines() if line.path not in paths))

    def cut_torn_line(self) -> None:
        """Cut a last line that has no end: what it named is not vouched for."""
        with self.path.open("rb") as manifest:
            size = manifest.seek(0, os.SEEK_END)
            manifest.seek(max(0, size - 4096))
            tail = manifest.read()
        if tail and not tail.endswith(b"\n"):
            os.truncate(self.path, size - len(tail) + tail.rfind(b"\n") + 1)
