"""Measured: what an object is to be, with its checksum and size."""

import hashlib
from pathlib import Path

from archiver.s3.objects import Body


def in_memory(content: bytes) -> Body:
    """Return the body of an object that is to have this content."""
    return Body(hashlib.sha256(content).hexdigest(), len(content), content)


def in_file(path: Path) -> Body:
    """Return the body of an object that is to have the content of a file.

    Raises:
        OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return Body(sha256, file.tell(), file=str(path))
