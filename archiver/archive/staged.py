"""Staged: files that are ready to be committed, and those of a generation.

Where they are staged, and what their names there mean, see `staging`.
"""

import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from archiver.archive.durable import write_files
from archiver.archive.layout import Layout
from archiver.archive.quarantine import Quarantine
from archiver.checksums import BagFile
from archiver.errors import storage_errors
from archiver.generation import Generation

if TYPE_CHECKING:
    from archiver.media.info import Properties

WHOLE = "*of*-*-[0-9a-f]*"
"""The names of payloads that are staged whole."""


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A file that is ready to be committed: where it is staged, and what it becomes.

    Its `content` is still to be written, unless that is None: then it is on the disk, flushed.
    """

    staged: str
    """Relative to the archive."""
    target: BagFile
    content: bytes | None = None
    properties: "Properties | None" = field(default=None, compare=False)
    """What a video says of itself, where it was looked at."""

    @property
    def directory(self) -> str:
        """The generation's directory, relative to the archive."""
        return self.staged.rpartition("/")[0]

    @property
    def is_sidecar(self) -> bool:
        """Whether it is no payload, but says something about one."""
        return self.target.path.endswith(".json")


@dataclass(frozen=True, slots=True)
class StagedGeneration:
    """All files of a generation: its payloads, then the response, then other sidecars."""

    generation: Generation
    files: tuple[StagedFile, ...]
    document: object = field(default=None, compare=False, repr=False)
    """The response; None if it cannot be read."""

    @property
    def payload_bytes(self) -> int:
        """The size of its payloads."""
        return sum(file.target.bytes for file in self.files if not file.is_sidecar)


def properties(files: Iterable[StagedFile]) -> "list[tuple[str, Properties]]":
    """Return what those of the files that are videos say of themselves, by their paths."""
    return [(file.target.path, file.properties) for file in files if file.properties]


def write_contents(layout: Layout, group: Iterable[StagedGeneration]) -> None:
    """Write what is still in memory of a group; a payload has its name only once it is flushed.

    Raises:
        OSError: if the disk does not take all of it; as many generations as it takes stay.
    """
    waiting = [staged for staged in group if any(file.content for file in staged.files)]
    try:
        _write(layout, waiting)
    except OSError:
        # What is half written takes the space that others would fit in: begin again, one by one.
        in_memory = [staged for staged in waiting if all(file.content for file in staged.files)]
        for staged in in_memory:
            shutil.rmtree(layout.at(staged.files[0].directory), ignore_errors=True)
        for staged in in_memory:
            try:
                _write(layout, [staged])
            except OSError:
                shutil.rmtree(layout.at(staged.files[0].directory), ignore_errors=True)
        raise


def _write(layout: Layout, group: Sequence[StagedGeneration]) -> None:
    """Write the files together, so that the disk can flush them together."""
    files: list[tuple[str, bytes]] = []
    renames: list[tuple[str, str]] = []
    for staged in group:
        with suppress(FileExistsError):
            os.mkdir(layout.at(staged.files[0].directory))  # noqa: PTH102
        for file in staged.files:
            name = layout.at(file.staged)
            if file.content is None:
                continue
            if file.is_sidecar:
                files.append((name, file.content))
            else:
                partial = f"{name.rpartition('-')[0]}-.part"
                files.append((partial, file.content))
                renames.append((partial, name))
    write_files(files)  # flushed before any of them has the name of a whole payload
    for partial, name in renames:
        os.rename(partial, name)  # noqa: PTH104


def discard(layout: Layout, place: str) -> None:
    """Delete a generation's directory; whole payloads in it go into the quarantine."""
    directory = layout.root / place
    Quarantine(layout).take_payloads(directory.name, directory.glob(WHOLE))
    shutil.rmtree(directory, ignore_errors=True)


def names_in_staging(layout: Layout) -> list[str]:
    """Return the names of the directories in staging, in order.

    Raises:
        StorageError: if they cannot be read.
    """
    with storage_errors(f"reading {layout.incoming}"):
        return sorted(os.listdir(layout.incoming))  # noqa: PTH208 (names are all that is needed)
