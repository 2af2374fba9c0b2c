"""Files: hash and validate one in a single pass."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from archiver.media.validator import Proof, Prover

_READ_SIZE = 1 << 20


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a whole media file is."""

    sha256: str
    bytes: int
    media: Proof


def inspect(path: Path) -> Inspection:
    """Hash and validate a file.

    Raises:
        NotWhole: if it is not one whole video.
        OSError: if it cannot be read.
    """
    digest, validator, size = hashlib.sha256(), Prover(), 0
    with path.open("rb", buffering=0) as file:
        while block := file.read(_READ_SIZE):
            digest.update(block)
            validator.feed(block)
            size += len(block)
    return Inspection(digest.hexdigest(), size, validator.finish())
