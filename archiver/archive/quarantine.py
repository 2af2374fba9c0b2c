"""The quarantine: files that are not what they should be, moved aside and never deleted."""

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from archiver.archive.durable import fsync
from archiver.archive.layout import Layout


class Quarantine:
    """The quarantine of an archive. Its methods raise `OSError` if the disk fails."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def copy(self, paths: Iterable[str]) -> None:
        """Keep a second link to files of the archive: they are in place at every instant.

        What is no file is moved.
        """
        aside = self._place()
        for path in paths:
            if (occupant := self._layout.root / path).exists():
                (aside / path).parent.mkdir(parents=True, exist_ok=True)
                if occupant.is_file():
                    os.link(occupant, aside / path)
                else:
                    occupant.rename(aside / path)
                fsync((aside / path).parent)

    def move(self, paths: Iterable[str]) -> None:
        """Move files of the archive aside, where they are there."""
        aside = self._place()
        for path in paths:
            if (occupant := self._layout.root / path).exists():
                (aside / path).parent.mkdir(parents=True, exist_ok=True)
                occupant.rename(aside / path)

    def take_payloads(self, name: str, payloads: Iterable[Path]) -> None:
        """Move staged payloads into the directory `name`."""
        aside = self._layout.quarantine / name
        for payload in payloads:
            aside.mkdir(parents=True, exist_ok=True)
            payload.rename(aside / payload.name)

    def _place(self) -> Path:
        """Return a directory that is named for this moment."""
        return self._layout.quarantine / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
