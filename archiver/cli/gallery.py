"""Writing the gallery, with a bar for its posters on a terminal."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Never

from tqdm import tqdm

from archiver.cli.bars import AboveBars
from archiver.gallery.browse import Gallery, Silent, browse
from archiver.gallery.posters import PosterProgress
from archiver.monitoring.logs import log_to


class PosterBar:
    """Shows a bar as soon as there are posters to make."""

    def __init__(self) -> None:
        self._bar: tqdm[Never] | None = None

    def planned(self, count: int) -> None:
        """Show the bar."""
        self._bar = tqdm(total=count, desc="posters", unit="", dynamic_ncols=True, leave=False)

    def made(self) -> None:
        """Move it."""
        if self._bar is not None:
            self._bar.update()

    def close(self) -> None:
        """Remove it."""
        if self._bar is not None:
            self._bar.close()


def write(archive: Path, verbose: int, *, quiet: bool, whole: bool) -> Gallery:
    """Write the gallery of an archive; see `archiver.gallery.browse`.

    Raises:
        ArchiverError: if it cannot be written.
    """
    with _shown_progress(verbose, quiet=quiet) as progress:
        return browse(archive, progress, whole=whole)


@contextmanager
def _shown_progress(verbose: int, *, quiet: bool) -> Iterator[PosterProgress]:
    if quiet or not sys.stderr.isatty():
        log_to(logging.StreamHandler(), verbose)
        yield Silent()
        return
    log_to(AboveBars(), verbose)
    bar = PosterBar()
    try:
        yield bar
    finally:
        bar.close()
