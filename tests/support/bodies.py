"""Bodies: what objects are to be, with their checksums."""

import hashlib
from pathlib import Path

from archiver.s3.objects import Body


def body(content: bytes) -> Body:
    """Return a body in memory."""
    return Body(hashlib.sha256(content).hexdigest(), len(content), content)


def file_body(file: Path) -> Body:
    """Return the body that a file is."""
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return Body(digest, file.stat().st_size, file=str(file))
