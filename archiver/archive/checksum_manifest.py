"""The checksum manifest, `manifest-sha256.txt`: a line for each file that is wholly there.

Its form is that of BagIt (RFC 8493, 2.1.3) and of sha256sum: a checksum, two spaces, a path.
"""

import hashlib
import os
import re
from collections.abc import Collection, Iterable, Iterator
from itertools import chain
from pathlib import Path

from archiver.archive.durable import replace
from archiver.checksums import BagFile, Checksum, Mark
from archiver.errors import storage_errors

_TAIL = 160
_LINE = re.compile(r"(?P<sha256>[0-9a-fA-F]{64})  (?P<path>[^\0\r\n]+)\r?\n")


class ChecksumManifest:
    """The checksum manifest at `path`. Its methods block."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self, start: int = 0) -> Iterator[Checksum]:
        """Yield the lines from byte `start` on.

        A line that is not of the form `<sha256>  <path>` is passed over: it proves nothing.
        """
        return (line for line in self.raw_lines(start) if isinstance(line, Checksum))

    def raw_lines(self, start: int = 0) -> Iterator[Checksum | bytes]:
        """Yield every line from byte `start` on; one that is no checksum line as its bytes.

        Raises:
            StorageError: if it cannot be read.
        """
        with storage_errors(f"reading {self.path}"), self.path.open("rb") as file:
            file.seek(start)
            for line in file:
                found = _LINE.fullmatch(line.decode(errors="replace"))
                yield Checksum(found["sha256"].lower(), found["path"]) if found else line

    def mark(self) -> Mark:
        """Return where it ends now.

        Raises:
            StorageError: if it cannot be read.
        """
        with storage_errors(f"reading {self.path}"), self.path.open("rb") as manifest:
            size = manifest.seek(0, os.SEEK_END)
            manifest.seek(max(0, size - _TAIL))
            return Mark(size, manifest.read())

    def has(self, mark: Mark) -> bool:
        """Return whether it looks, up to `mark`, as it did then.

        Raises:
            StorageError: if it cannot be read.
        """
        with storage_errors(f"reading {self.path}"), self.path.open("rb") as manifest:
            manifest.seek(mark.size - len(mark.tail))
            return manifest.read(len(mark.tail)) == mark.tail

    def size(self) -> int:
        """Return its size in bytes.

        Raises:
            OSError: if it is not there.
        """
        return self.path.stat().st_size

    def append(self, files: Iterable[BagFile]) -> None:
        """Write the lines of files, durably, or none of them.

        Raises:
            OSError: if the disk does not take them.
        """
        lines = "".join(map(_line, files))
        size = self.size()
        try:
            with self.path.open("ab+") as manifest:
                manifest.seek(max(0, size - 1))
                if manifest.read(1) not in (b"", b"\n"):  # an editor dropped it
                    manifest.write(b"\n")
                manifest.write(lines.encode())
                manifest.flush()
                os.fsync(manifest.fileno())
        except OSError:
            os.truncate(self.path, size)  # half a line would be read as a whole one
            raise

    def remove(self, paths: Collection[str], instead: Iterable[BagFile] = ()) -> None:
        """Remove the lines of these paths, and those that are no checksum lines.

        In the same instant there are the lines of the files that are given `instead`.

        Raises:
            OSError: if the disk does not take it.
        """
        kept = (str(line) for line in self.lines() if line.path not in paths)
        replace(self.path, chain(kept, map(_line, instead)))

    def truncate(self, size: int) -> None:
        """Cut it to `size` bytes.

        Raises:
            OSError: if the disk does not take it.
        """
        os.truncate(self.path, size)

    def cut_torn_line(self) -> None:
        """Cut a last line that has no end: nothing is proven of what it names.

        Raises:
            OSError: if the disk does not take it.
        """
        with self.path.open("rb") as manifest:
            size = manifest.seek(0, os.SEEK_END)
            manifest.seek(max(0, size - 4096))
            tail = manifest.read()
        if tail and not tail.endswith(b"\n"):
            self.truncate(size - len(tail) + tail.rfind(b"\n") + 1)


def _line(file: BagFile) -> str:
    return str(Checksum(file.sha256, file.path))


def sha256_of(path: str | Path) -> str:
    """Return a file's checksum, in hexadecimal.

    Raises:
        OSError: if it cannot be read.
    """
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
