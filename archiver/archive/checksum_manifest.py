"""The checksum manifest, `manifest-sha256.txt`: a line for each file that is wholly there.

Its form is that of BagIt (RFC 8493, 2.1.3) and of sha256sum: a checksum, two spaces, a path. What
other programs write is read, too: other white space, `*data/…`, `./data/…`, upper-case checksums.
"""

import errno
import hashlib
import io
import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator
from itertools import chain
from pathlib import Path

from archiver.archive.durable import replace
from archiver.checksums import BagFile, Checksum, Mark, checksum_line
from archiver.errors import storage_errors

_TAIL = 160
_LONGEST_LINE = 16384
"""In bytes: four times the longest path, each of whose bytes may be encoded in three."""
_LINE = re.compile(
    r"\ufeff?(?P<sha256>[0-9a-fA-F]{64})[ \t]+\*?(?:\./)*(?P<path>[^\0\r\n]+)(?:\r\n?|\n)"
)
_ENDED = re.compile(rb"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")
"""A line, which may end in CR, LF or CR LF (RFC 8493, 2.1.3), or the rest without an end."""
_ENCODED = re.compile("%(0[aAdD]|25)")


class ChecksumManifest:
    """The checksum manifest at `path`. Its methods block."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self, start: int = 0) -> Iterator[Checksum]:
        """Yield the lines from byte `start` on.

        A line that is no checksum, white space and a path in `data/` proves nothing: it is passed
        over.
        """
        return (line for line in self.raw_lines(start) if isinstance(line, Checksum))

    def raw_lines(self, start: int = 0) -> Iterator[Checksum | bytes]:
        """Yield every line from byte `start` on; one that is no checksum line as its bytes.

        Raises:
            StorageError: if it cannot be read.
        """
        with storage_errors(f"reading {self.path}"), self.path.open("rb") as file:
            file.seek(start)
            for line in _ended_lines(file):
                yield parse(line) or line

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
                if manifest.read(1) not in (b"", b"\n", b"\r"):  # an editor dropped it
                    manifest.write(b"\n")
                manifest.write(lines.encode())
                manifest.flush()
                os.fsync(manifest.fileno())
        except OSError:
            os.truncate(self.path, size)  # half a line would be read as a whole one
            raise

    def remove(self, paths: Collection[str], instead: Iterable[BagFile] = ()) -> None:
        """Remove the lines of these paths, and those that are no checksum lines.

        The others stay to the letter. In the same instant there are the lines of the files that
        are given `instead`.

        Raises:
            OSError: if the disk does not take it.
        """
        with self.path.open("rb") as file:
            lines = _ended_lines(file)
            kept = (line for line in lines if (found := parse(line)) and found.path not in paths)
            text = (line.decode(errors="surrogateescape") for line in kept)
            replace(self.path, chain(text, map(_line, instead)))

    def truncate(self, size: int) -> None:
        """Cut it to `size` bytes.

        Raises:
            OSError: if the disk does not take it.
        """
        os.truncate(self.path, size)

    def torn_line(self) -> bytes:
        """Return a last line that has no end: half of one, or one that an editor has saved so.

        Raises:
            OSError: if the disk fails.
        """
        with self.path.open("rb") as manifest:
            size = manifest.seek(0, os.SEEK_END)
            manifest.seek(max(0, size - _LONGEST_LINE))
            return manifest.read().replace(b"\r", b"\n").rpartition(b"\n")[2]


def parse(line: bytes) -> Checksum | None:
    """Return what a line says, its path in the one form that we use; None if it is no such line.

    A path may be written in several ways (RFC 8493, 2.1.3); one that leads out of
    `data/`, or might, is none.
    """
    if not (found := _LINE.fullmatch(line.decode(errors="replace"))):
        return None
    path = payload_path(found["path"])
    return Checksum(found["sha256"].lower(), path) if path else None


def payload_path(written: str) -> str | None:
    """Return the path of a payload file, as a manifest has it, in the one form that we use.

    None if it is not in `data/`.
    """
    path = written
    if "%" in path:
        path = _ENCODED.sub(lambda code: chr(int(code[1], 16)), path)
    parts = path.split("/")
    if "" in parts or "." in parts:
        parts = [part for part in parts if part not in ("", ".")]
        path = "/".join(parts)
    inside = path.startswith("data/") and not written.startswith("/") and ".." not in parts
    return path if inside else None


def _ended_lines(file: Iterable[bytes]) -> Iterator[bytes]:
    for line in file:
        if line.find(b"\r", 0, -2) >= 0:
            yield from _ENDED.findall(line)
        else:
            yield line


def problem_of(line: bytes) -> str:
    """Describe what is wrong with a line that `parse` does not take."""
    if _LINE.fullmatch(line.decode(errors="replace")):
        return "leads out of data/: it is not read"
    return "is not a checksum line"


def _line(file: BagFile) -> str:
    return checksum_line(file.sha256, file.path)


def sha256_of(path: str | Path) -> str:
    """Return a file's checksum, in hexadecimal.

    Raises:
        OSError: if it cannot be read, or is no file.
    """
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_file(path: str | Path) -> io.FileIO:
    """Open a file to read it; a pipe or a device, which might never end, is refused.

    Raises:
        OSError: if it cannot be read, or is no file.
    """
    return io.open(path, "rb", buffering=0, opener=_open_if_file)  # noqa: UP020


def _open_if_file(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is a directory, a pipe or a device", path)
    return descriptor
