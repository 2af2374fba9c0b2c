"""Checksums: what a line of the checksum manifest records of a file."""

from dataclasses import dataclass

_CODES = {ord(character): f"%{ord(character):02X}" for character in "%\r\n"}


@dataclass(frozen=True, slots=True)
class Checksum:
    """One line of the checksum manifest: a file's SHA-256, and its path in the archive."""

    sha256: str
    path: str

    def __str__(self) -> str:
        """The line, in which the path is encoded as BagIt has it (RFC 8493, 2.1.3)."""
        return f"{self.sha256}  {self.path.translate(_CODES)}\n"


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
