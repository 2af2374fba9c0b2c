"""The journal: the group of files that is being committed, so that a crash can be recovered."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from archiver.archive.durable import fsync, write_files
from archiver.archive.staged import StagedFile
from archiver.checksums import BagFile


@dataclass(frozen=True, slots=True)
class Entry:
    """The files of a group, and the size of the checksum manifest before their lines."""

    files: tuple[StagedFile, ...] = ()
    offset: int = 0

    def targets(self) -> Iterator[BagFile]:
        """Yield what the files become."""
        return (file.target for file in self.files)


class Journal:
    """A file that has one entry while a group is committed, and is empty at rest.

    Its methods raise `OSError` if the disk fails.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def prepare(self) -> None:
        """Create the file, if there is none."""
        self._path.touch()

    def write(self, entry: Entry) -> None:
        """Replace the entry, durably."""
        fields = {"offset": entry.offset, "files": [_as_json(file) for file in entry.files]}
        write_files([(str(self._path), json.dumps(fields).encode())])

    def read(self) -> Entry:
        """Return the entry. A torn one is none: nothing was renamed for it yet."""
        try:
            fields = json.loads(self._path.read_bytes())
        except (FileNotFoundError, ValueError):
            return Entry()
        return Entry(tuple(_from_json(**file) for file in fields["files"]), fields["offset"])

    def flush(self) -> None:
        """Make sure that the entry is on the disk: its writer may have been killed before."""
        fsync(self._path)

    def clear(self) -> None:
        """Remove the entry: the group is committed."""
        os.truncate(self._path, 0)


def _as_json(file: StagedFile) -> dict[str, str | int]:
    target = file.target
    return {
        "staged": file.staged,
        "path": target.path,
        "sha256": target.sha256,
        "bytes": target.bytes,
    }


def _from_json(staged: str, path: str, sha256: str, bytes: int) -> StagedFile:  # noqa: A002
    return StagedFile(staged, BagFile(path, sha256, bytes))
