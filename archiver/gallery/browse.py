"""Write the gallery of an archive: its data and its page, then the posters that are missing."""

from dataclasses import dataclass
from pathlib import Path

from archiver.gallery.data import Data
from archiver.gallery.posters import PosterProgress, available
from archiver.gallery.written import Written
from archiver.location import Location
from archiver.stores import look_into


@dataclass(frozen=True, slots=True)
class Gallery:
    """A gallery that was written."""

    page: Path
    """The page to open."""
    rows: int
    """How many generations it shows."""
    without_poster: int
    """How many of their videos have no poster, since none can be made here."""


class Silent:
    """Shows no progress."""

    def planned(self, count: int) -> None:
        """Show nothing."""

    def made(self) -> None:
        """Show nothing."""


def browse(
    archive: Location, progress: PosterProgress | None = None, *, whole: bool = True
) -> Gallery:
    """Write the gallery of an archive, or bring it up to date.

    Unless it is to read the `whole` catalogue, it costs in proportion to what is new. It needs no
    lock of the archive, and may run beside a backup. Interrupted while it makes posters, it
    leaves a page that shows those that were made; the next time goes on with the rest.

    Raises:
        NotAnArchive: if there is no archive.
        ConfigurationError: if another page stands in the place of ours.
        StorageError: if the catalogue cannot be read, or the disk does not take it.
    """
    with look_into(archive) as store:
        store.require()
        data = Data(store)
        written = data.update(whole=whole)
        if available():
            written = _with_posters(data, written, progress or Silent())
    chunks = written.chunks.values()
    lacking = sum(chunk.without_poster for chunk in chunks)
    return Gallery(store.layout.page, sum(chunk.rows for chunk in chunks), lacking)


def _with_posters(data: Data, written: Written, progress: PosterProgress) -> Written:
    """Make the posters that are missing, for what was recorded last first."""
    lacking = {
        number: chunk.without_poster
        for number, chunk in sorted(written.chunks.items(), reverse=True)
        if chunk.without_poster
    }
    if lacking:
        progress.planned(sum(lacking.values()))
    for number in lacking:
        try:
            data.posters.make(data.without_poster(number), progress)
        finally:
            written = data.update(whole=False, chunks=[number])
    return written
