"""The gallery's data: what the catalogue knows, in scripts that the page loads.

The held and the lost are in chunks, by the numbers under which the catalogue recorded them. These
change little, so a run rewrites only the last chunk, or the few to which something was added. The
pending and the failed, which every run tries again, are in a chunk of their own.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

from archiver.archive.layout import GALLERY, PAGE
from archiver.archive.store import Store
from archiver.catalogue.queries import HeldFile, Known, Queries
from archiver.catalogue.store import Catalogue
from archiver.errors import storage_errors
from archiver.gallery import scripts
from archiver.gallery.page import Page, asset_names
from archiver.gallery.posters import Posters
from archiver.gallery.rows import Poster, details_of, facts_of, newest_first, row_of, videos_of
from archiver.gallery.summary import last_fixity_run, summary
from archiver.gallery.written import Chunk, Counts, Written, counts_of
from archiver.pipeline.indexing import open_to_read

CHUNK = 2000
"""How many numbers a chunk has."""
_AT_ONCE = 16
"""How many files are sent to a bucket at once."""
UNFINISHED = -1
"""The chunk of the pending and the failed."""


class Data:
    """The gallery's data of one archive."""

    def __init__(self, store: Store) -> None:
        self.posters = Posters(store)
        self._store = store
        self._directory = store.layout.gallery
        self._record = self._directory / "written.json"
        self._published: Mapping[int, Chunk] = {}

    def update(self, *, whole: bool, chunks: Collection[int] = ()) -> Written:
        """Write what has changed since the last time, and the page; return what is written now.

        All of the catalogue is read if it is to be the `whole`, or if that is the only way to
        find out what has changed; otherwise these `chunks`, and those with something new in them.

        Raises:
            StorageError: if the catalogue cannot be read, or the disk does not take it.
            ConfigurationError: if another page stands in the place of ours.
        """
        page = Page(self._store)
        page.check()
        with (
            storage_errors(f"writing the gallery of {self._store.layout.root}"),
            closing(open_to_read(self._store)) as catalogue,
            scripts.alone(self._directory),
        ):
            old = Written.read(self._record) or Written()
            now = self._updated(catalogue, old, {*chunks}, whole=whole or not old.chunks)
            index = summary(self._store, catalogue, now)
            scripts.write(self._directory, {"index.js": scripts.script("index", index)})
            page.write()
            now.write(self._record)
            self._remove({*old.chunks} - {*now.chunks})
        return now

    def publish(self, written: Written) -> None:
        """Send what was written to a bucket, as far as it is another there; the page comes last.

        Where two machines do that at once, one page may lack what the other shows, until the next
        time.

        Raises:
            StorageError: if the store or the disk fails.
        """
        if not self._store.is_shared:
            return
        before = self._published
        changed = [n for n, chunk in written.chunks.items() if before.get(n) != chunk]
        names = [name for number in changed for name in _names(number)]
        names += [] if before else asset_names()
        with scripts.alone(self._directory), ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(self._send, (f"{GALLERY}/{name}" for name in names)))
            self._send(f"{GALLERY}/index.js")
            self._send(PAGE)
        self._published = written.chunks

    def _send(self, path: str) -> None:
        with storage_errors(f"reading {path} in {self._store.layout.root}"):
            content = (self._store.layout.root / path).read_bytes()
        self._store.publish(path, content)

    def has_unread(self) -> bool:
        """Return whether there are sidecars that were not read here yet.

        Raises:
            StorageError: if the catalogue cannot be read.
        """
        with closing(open_to_read(self._store)) as catalogue:
            return bool(catalogue.undescribed(1))

    def without_poster(self, number: int) -> list[HeldFile]:
        """Return the videos in a chunk that need a poster, the last recorded first.

        Raises:
            StorageError: if the catalogue cannot be read.
        """
        with closing(open_to_read(self._store)) as catalogue:
            known = list(catalogue.queries.numbered(_numbers(number)))
        return [video for video in _shown(reversed(known)) if self.posters.of(video) is None]

    def _updated(
        self, catalogue: Catalogue, old: Written, chunks: set[int], *, whole: bool
    ) -> Written:
        queries = catalogue.queries
        now, total = _begun(catalogue), counts_of(queries)
        if not whole and now.follows(old):
            touched = {number // CHUNK for number in queries.numbers_since(old.until, old.tied)}
            read = self._read(queries, touched | chunks | {UNFINISHED}, old)
            kept = {number: old.chunks[number] for number in {*old.chunks} - {*read}}
            now = replace(now, chunks=_filled(kept | read), others=old.others)
            if total.minus(now.counts()) == old.others:
                return now
        numbers = [UNFINISHED, *range(queries.last_number() // CHUNK + 1)]
        now = replace(now, chunks=_filled(self._read(queries, numbers, old)))
        return replace(now, others=total.minus(now.counts()))

    def _read(self, queries: Queries, numbers: Iterable[int], old: Written) -> dict[int, Chunk]:
        """Read chunks, and write the scripts of those that are not what they were."""
        read = {}
        for number in numbers:
            unfinished = number == UNFINISHED
            known = list(queries.unfinished() if unfinished else queries.numbered(_numbers(number)))
            posters = [next(map(self.posters.of, _shown([each])), "") for each in known]
            files = _scripts(number, known, posters)
            read[number] = chunk = _chunk(known, posters, files)
            if chunk.rows and not self._is_written(files, old.chunks.get(number), chunk):
                scripts.write(self._directory, files)
        return read

    def _is_written(self, files: Iterable[str], old: Chunk | None, new: Chunk) -> bool:
        same = old and (old.data, old.details) == (new.data, new.details)
        return bool(same) and all((self._directory / name).exists() for name in files)

    def _remove(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            for name in _names(number):
                (self._directory / name).unlink(missing_ok=True)


def _begun(catalogue: Catalogue) -> Written:
    """Return how far the catalogue has come, before anything of it is read."""
    queries, fixity = catalogue.queries, last_fixity_run(catalogue.history)
    until = max(queries.tally("held").last or "", queries.tally("lost").last or "")
    verified = fixity.began.isoformat() if fixity else ""
    return Written({}, until, queries.count_at(until), queries.last_number(), verified)


def _numbers(chunk: int) -> range:
    return range(chunk * CHUNK, (chunk + 1) * CHUNK)


def _names(chunk: int) -> tuple[str, str]:
    which = "unfinished" if chunk == UNFINISHED else chunk
    return f"data-{which}.js", f"details-{which}.js"


def _scripts(number: int, known: Iterable[Known], posters: Iterable[Poster]) -> dict[str, bytes]:
    rows = newest_first(map(row_of, known, posters))
    details = {each.generation.name: details_of(each) for each in known}
    return {
        name: scripts.script(name.removesuffix(".js"), value)
        for name, value in zip(_names(number), (rows, details), strict=True)
    }


def _chunk(known: list[Known], posters: list[Poster], files: dict[str, bytes]) -> Chunk:
    total = Counts(*map(sum, zip(Counts(), *map(_counts, known), strict=True)))
    data, details = map(scripts.digest, files.values())
    return Chunk(data, details, len(known), total, posters.count(None))


def _filled(chunks: dict[int, Chunk]) -> dict[int, Chunk]:
    return {number: chunk for number, chunk in sorted(chunks.items()) if chunk.rows}


def _shown(known: Iterable[Known]) -> Iterator[HeldFile]:
    """Yield the video of each generation that stands for it in the grid."""
    return (video for each in known for video in videos_of(each)[:1])


def _counts(known: Known) -> Counts:
    return Counts(
        known.state == "held",
        known.state == "lost",
        len(known.files),
        sum(file.bytes for file in known.files),
        facts_of(known),
    )
