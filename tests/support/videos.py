"""Videos that tests archive, and what is no video."""

import hashlib
from pathlib import Path

VIDEOS = Path(__file__).parents[1] / "videos"
MP4 = (VIDEOS / "faststart.mp4").read_bytes()
OTHER_MP4 = (VIDEOS / "moov-last.mp4").read_bytes()
WEBM = (VIDEOS / "sized.webm").read_bytes()
OPEN_ENDED = (VIDEOS / "live.webm").read_bytes()
"""Its structure does not show where it ends."""
HTML = b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head></html>\n"


def sha256(data: bytes) -> str:
    """Return a checksum, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
