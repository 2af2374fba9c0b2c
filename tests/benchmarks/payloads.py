"""Payload files: whole MP4s of a given size, no two the same, written by a child process."""

import sys
from pathlib import Path

from .measure import succeed

_WRITE = """
import sys
from pathlib import Path
from archiver.emulator.clip import grown_clip

directory, size = Path(sys.argv[1]), int(sys.argv[2])
for id_ in range(int(sys.argv[3]), int(sys.argv[4])):
    payload = grown_clip.__wrapped__(size, str(id_))
    with (directory / f"{id_}.mp4").open("wb") as file:
        file.writelines(payload.pieces(range(payload.size)))
"""


def write_payloads(directory: Path, ids: range, size: int) -> None:
    """Write one video of `size` bytes for each ID, under the name in its link."""
    directory.mkdir(exist_ok=True)
    span = (str(ids.start), str(ids.stop))
    succeed(sys.executable, "-c", _WRITE, str(directory), str(size), *span)
