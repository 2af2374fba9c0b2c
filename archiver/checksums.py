"""Checksums: what a line of the checksum manifest records of a file."""

import re
from dataclasses import dataclass

_ENCODED = re.compile("[%\r\n]")


@dataclass(frozen=True, slots=True)
class Checksum:
    """One line of the checksum manifest: a file's SHA-256, and its path in the archive."""

    sha256: str
    path: str

    def __str__(self) -> str:
        """The line itself."""
        return checksum_line(self.sha256, self.path)


@dataclass(frozen=True, slots=True)
class BagFile:
    """A file of the archive: its path there, its SHA-256, and its size in bytes."""

    path: str
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Mark:
    """A position in the checksum manifest: its size in bytes, and the last few bytes before it."""

    size: int
    tail: bytes


def checksum_line(sha256: str, path: str) -> str:
    """Return a line, in which the path is encoded as BagIt has it (RFC 8493, 2.1.3)."""
    encoded = _ENCODED.sub(lambda found: f"%{ord(found[0]):02X}", path)
    return f"{sha256}  {encoded}\n"
