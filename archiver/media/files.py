"""Files: hash and validate one in a single pass."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from archiver.media.info import MediaInfo, Properties
from archiver.media.reader import NotWhole
from archiver.media.validator import Validator

_READ_SIZE = 1 << 20


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a file of one whole video is."""

    sha256: str
    """In lower-case hexadecimal."""
    bytes: int
    media: MediaInfo


def inspect(file: Path | BinaryIO) -> Inspection:
    """Hash and validate a file: all of the one at a path, or the rest of an open one.

    It reads no further than to the first block that cannot belong to a video.

    Raises:
        NotWhole: if it is not one whole video.
        OSError: if it cannot be read.
    """
    if isinstance(file, Path):
        with file.open("rb", buffering=0) as opened:
            return _inspect(opened)
    return _inspect(file)


def examine(file: BinaryIO) -> tuple[str, Properties]:
    """Hash the rest of an open file, whatever it is; return what it says of itself as a video.

    Of what is not one whole video nothing is known.

    Raises:
        OSError: if it cannot be read.
    """
    digest, validator = hashlib.sha256(), Validator()
    try:
        while block := file.read(_READ_SIZE):
            digest.update(block)
            validator.feed(block)
        properties = validator.finish().properties
    except NotWhole:
        properties = Properties()
        while block := file.read(_READ_SIZE):
            digest.update(block)
    return digest.hexdigest(), properties


def _inspect(file: BinaryIO) -> Inspection:
    digest, validator, size = hashlib.sha256(), Validator(), 0
    while block := file.read(_READ_SIZE):
        digest.update(block)
        validator.feed(block)
        size += len(block)
    return Inspection(digest.hexdigest(), size, validator.finish())
