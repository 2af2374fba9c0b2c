"""The journal: what is about to be placed in the bag, so that a crash in between can be mended."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from archiver.archive.durable import sync, write_all
from archiver.archive.staging import StagedFile


@dataclass(frozen=True, slots=True)
class Entry:
    """The files of a group, and how long the checksum manifest was before their lines."""

    files: tuple[StagedFile, ...] = ()
    offset: int = 0


class Journal:
    """A file that has one entry while a group is settled, and is empty at rest.

    Its methods raise `OSError` if the disk does not let it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def prepare(self) -> None:
        """Make the file, if there is none."""
        self._path.touch()

    def write(self, entry: Entry) -> None:
        """Put an entry, durably, in the place of the last."""
        fields = {"offset": entry.offset, "files": [file.as_json() for file in entry.files]}
        write_all([(str(self._path), json.dumps(fields).encode())])

    def read(self) -> Entry:
        """Return the entry. One that is torn counts for none: nothing was renamed for it yet."""
        try:
            fields = json.loads(self._path.read_bytes())
        except (FileNotFoundError, ValueError):
            return Entry()
        return Entry(tuple(StagedFile(**file) for file in fields["files"]), fields["offset"])

    def flush(self) -> None:
        """Make sure that the entry is on the disk: its writer may have been killed before."""
        sync(self._path)

    def empty(self) -> None:
        """Take the entry out: the group is settled."""
        os.truncate(self._path, 0)
