"""Letter case: IDs that differ in it alone, on a file system that takes `A` for `a`."""

import os

from archiver.archive.layout import INCOMING, Layout
from archiver.errors import storage_errors
from archiver.generation import Generation


class LetterCase:
    """Knows which generation has a name in the archive; there the first to come has it.

    Where the file system distinguishes upper case from lower, each has its own.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._distinguished = not os.path.lexists(layout.at(INCOMING.upper()))
        self._first: dict[str, str] = {}

    def rival(self, generation: Generation) -> str | None:
        """Return the name of another generation whose files those of this one would replace.

        Raises:
            StorageError: if the directory cannot be read.
        """
        if self._distinguished:
            return None
        name = generation.name
        rival = self._held(name) or self._first.setdefault(name.lower(), name)
        return rival if rival != name else None

    def _held(self, name: str) -> str | None:
        """Return by which name the archive has a response; None if by none."""
        path = self._layout.data / f"{name}.json"
        if not os.path.lexists(path):
            return None
        with storage_errors(f"reading {path.parent}"):
            names = os.listdir(path.parent)  # noqa: PTH208 (pathlib's makes a million objects)
        found = (each for each in names if each.lower() == path.name.lower())
        held = path.name if path.name in names else next(found, path.name)
        return f"{name.rpartition('/')[0]}/{held.removesuffix('.json')}"
