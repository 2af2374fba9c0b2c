"""Write the gallery of an archive: its data and its page, then the posters that are missing."""

from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from archiver.archive.layout import PAGE
from archiver.gallery.data import Data
from archiver.gallery.posters import PosterProgress, available
from archiver.gallery.written import Written
from archiver.location import Location
from archiver.pipeline.indexing import store_to_read


@dataclass(frozen=True, slots=True)
class Gallery:
    """A gallery that was written."""

    page: Path | None
    """The page to open; None if it is in a bucket."""
    where: str
    """Where the page is: its path, or its URL."""
    rows: int
    """How many generations it shows."""
    without_poster: int
    """How many of their videos have no poster, since none can be made here."""
    unread: bool = False
    """Whether prompts are missing: of a bucket, sidecars that no backup has read here yet."""


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
    lock of the archive, and may run beside a backup. That of a bucket is written here, and sent
    where it differs. Interrupted while it makes posters, it leaves a page that shows those that
    were made; the next time goes on with the rest.

    Raises:
        NotAnArchive: if there is no archive.
        ConfigurationError: if another page stands in the place of ours.
        StorageError: if the catalogue cannot be read, or the disk or the store does not take it.
    """
    with store_to_read(archive) as store:
        data = Data(store)
        written = data.update(whole=whole)
        if store.is_shared:
            written = _learned(data, written)
        data.publish(written)
        if available():
            written = _with_posters(data, written, progress or Silent())
        unread = store.is_shared and data.has_unread()
    chunks = written.chunks.values()
    lacking = sum(chunk.without_poster for chunk in chunks)
    page = None if store.is_shared else store.layout.page.absolute()
    where = f"{page or f'{store.name}/{PAGE}'}"
    return Gallery(page, where, sum(chunk.rows for chunk in chunks), lacking, unread)


def _learned(data: Data, written: Written) -> Written:
    """Learn which of the posters that are missing here another machine has made."""
    if lacking := _lacking(written):
        videos = chain.from_iterable(map(data.without_poster, lacking))
        data.posters.learn(videos, sum(lacking.values()))
        return data.update(whole=False, chunks=lacking)
    return written


def _with_posters(data: Data, written: Written, progress: PosterProgress) -> Written:
    """Make the posters that are missing, for what was recorded last first."""
    if lacking := _lacking(written):
        progress.planned(sum(lacking.values()))
    for number in lacking:
        try:
            data.posters.make(data.without_poster(number), progress)
        finally:
            written = data.update(whole=False, chunks=[number])
            data.publish(written)
    return written


def _lacking(written: Written) -> dict[int, int]:
    """Return the chunks with videos without a poster, and how many those are."""
    return {
        number: chunk.without_poster
        for number, chunk in sorted(written.chunks.items(), reverse=True)
        if chunk.without_poster
    }
