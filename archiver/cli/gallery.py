"""Writing the gallery, with a bar for its posters on a terminal."""

from typing import Never

from tqdm import tqdm

from archiver.cli.terminal import shown
from archiver.gallery.browse import Gallery, browse
from archiver.location import Location


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


def write(archive: Location, verbose: int, *, quiet: bool, whole: bool) -> Gallery:
    """Write the gallery of an archive; see `archiver.gallery.browse`.

    Raises:
        ArchiverError: if it cannot be written.
    """
    with shown(verbose, None if quiet else PosterBar) as bar:
        return browse(archive, bar, whole=whole)
