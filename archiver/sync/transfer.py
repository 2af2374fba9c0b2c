"""The transfer: units are copied in several threads, and committed in groups by the caller's."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice

from archiver.archive.staged import StagedFile, properties
from archiver.archive.store import WritableStore
from archiver.catalogue.queries import Known
from archiver.catalogue.store import Described, Record
from archiver.checksums import BagFile
from archiver.errors import ArchiverError, Interrupted
from archiver.generation import Generation, generation_at
from archiver.metadata import metadata_of
from archiver.pipeline.sidecars import parsed
from archiver.progress import ByteProgress
from archiver.sync.compare import Catalogues
from archiver.sync.copying import Copied, Copying
from archiver.sync.difference import Difference
from archiver.sync.report import Tally
from archiver.units import format_size

_LOG = logging.getLogger(__name__)
_FEW = 200
"""Whether this many files are there is asked of each; of more, the target is listed."""
_AHEAD = 4
"""For each thread this many units are under way, or wait for their commit."""
_TICK = 0.2
"""How often to look whether the run is to end, in seconds."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """Brings a difference to the target. What becomes part of it is counted in the `tally`."""

    target: WritableStore
    catalogues: Catalogues
    tally: Tally
    progress: ByteProgress
    check: Callable[[], object]
    """Raises `Interrupted` if a signal has come."""

    def adopt(self, difference: Difference) -> None:
        """List what is there already and matches: a killed run has left it, or it is a copy.

        Raises:
            StorageError: if the store or the disk fails.
            Interrupted: if a signal has come.
        """
        difference.set_there(self._there(difference))
        for page in difference.there():
            self.check()
            matching, _ = self.target.relist(page, new=True)
            if matching:
                self._record_found(matching)
                difference.drop(file.path for file in matching)

    def copy(self, difference: Difference, copying: Copying, threads: int) -> None:
        """Copy what is missing. Where an error or a signal ends that, what is whole is committed.

        Raises:
            StorageError: if a store or the disk fails.
            Interrupted: if a signal has come.
        """
        units, stopped = difference.units(), None
        running: set[Future[Copied]] = set()
        with ThreadPoolExecutor(threads, "copy") as pool, copying:
            while not stopped:
                for unit in islice(units, threads * _AHEAD - len(running)):
                    running.add(pool.submit(copying.copy, unit, self._known(unit.generation)))
                if not running:
                    return
                done, running = wait(running, _TICK, FIRST_COMPLETED)
                self._commit(_whole(done))
                stopped = _error_of(done) or self._interruption()
            copying.stop()
            pool.shutdown(cancel_futures=True)
            self._commit(_whole(running))
        raise stopped

    def _there(self, difference: Difference) -> Iterable[str]:
        """Return which files are there in the target, and perhaps others."""
        files, _ = difference.total()
        if files > _FEW:
            return self.target.files()
        paths = [file.path for page in difference.files() for file in page]
        with ThreadPoolExecutor() as pool:
            found = zip(paths, pool.map(self.target.exists, paths), strict=True)
            return [path for path, exists in found if exists]

    def _known(self, generation: Generation | None) -> Known | None:
        """Return what the source knows of a generation."""
        return self.catalogues.source.queries.of(generation) if generation else None

    def _interruption(self) -> Interrupted | None:
        try:
            self.check()
        except Interrupted as interrupted:
            return interrupted
        return None

    def _record_found(self, files: Sequence[BagFile]) -> None:
        catalogue, mark = self.catalogues.target, self.target.manifest.mark()
        known = [each for each in map(self._known, _held(files)) if each]
        catalogue.record(map(_record, known), files, mark)
        catalogue.read_again(file.path for file in files)
        self.tally.found += len(files)
        self.progress.received(sum(file.bytes for file in files))

    def _commit(self, copied: Iterable[Copied]) -> None:
        """Make what was copied part of the target, and count it; name what could not be."""
        group = list(copied)
        for problem in (problem for each in group for problem in each.problems):
            self.tally.add(problem)
        group = [each for each in group if each.staged.files]
        if group:
            files = [file for each in group for file in each.staged.files]
            self.target.commit([e.staged for e in group], lambda: self._record(group, files))
            self.tally.copied += len(files)
            self.tally.bytes += sum(file.target.bytes for file in files)
        for each in group:
            size = format_size(sum(file.target.bytes for file in each.staged.files))
            _LOG.info("copied %s: %s", each.unit.name, size)

    def _record(self, group: Sequence[Copied], files: Sequence[StagedFile]) -> None:
        """Record a group in the catalogue of the target, and what its sidecars say."""
        catalogue, targets = self.catalogues.target, [file.target for file in files]
        held = {*_held(targets)}
        records = [_record(e.known) for e in group if e.known and e.known.generation in held]
        described = [said for each in group if (said := _described(each))]
        mark = self.target.manifest.mark()
        catalogue.record(records, targets, mark, described, properties(files))
        done = {said.generation for said in described}
        paths = (target.path for target in targets)
        catalogue.read_again(path for path in paths if generation_at(path) not in done)


def _whole(done: Iterable[Future[Copied]]) -> Iterator[Copied]:
    """Yield what was copied whole."""
    return (each.result() for each in done if not each.cancelled() and not each.exception())


def _error_of(done: Iterable[Future[Copied]]) -> ArchiverError | None:
    """Return what ends the run, if anything; a bug is raised."""
    for each in done:
        match each.exception():
            case None:
                pass
            case ArchiverError() as error:
                return error
            case bug:
                raise bug
    return None


def _held(files: Iterable[BagFile]) -> list[Generation]:
    """Return the generations of which there are payloads."""
    payloads = (file.path for file in files if not file.path.endswith(".json"))
    return [one for one in dict.fromkeys(map(generation_at, payloads)) if one]


def _record(known: Known) -> Record:
    """Return what is recorded of a generation: it is held for as long as in the source."""
    if known.state != "held":
        return Record(known.generation, "held")
    return Record(known.generation, "held", served_by=known.served_by, since=known.since)


def _described(copied: Copied) -> Described | None:
    """Return what the sidecars of a generation say, if all of them are at hand."""
    sidecars = [file for file in copied.staged.files if file.is_sidecar]
    texts = [file.content for file in sidecars if file.content]
    generation = copied.unit.generation
    if not generation or not texts or len(texts) < len(sidecars):
        return None
    if sidecars[0].target.path != generation.sidecar_path:
        return None
    return Described(generation, metadata_of(*map(parsed, texts)))
