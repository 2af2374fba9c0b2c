"""Copying: the files of a unit, from the source into the staging of the target.

Each is hashed as it is read, and staged only if it is what the source's checksum manifest lists.
"""

import hashlib
import os
import threading
from concurrent.futures import wait
from dataclasses import dataclass
from typing import Self

from archiver.archive.layout import INCOMING
from archiver.archive.letter_case import LetterCase
from archiver.archive.staged import StagedFile, StagedGeneration
from archiver.archive.staging import Staging
from archiver.archive.store import Store, WritableStore
from archiver.catalogue.queries import Known
from archiver.checksums import BagFile
from archiver.generation import Generation
from archiver.media.info import EXTENSIONS, Properties
from archiver.progress import ByteProgress
from archiver.sync.difference import Unit
from archiver.sync.rate import Rate
from archiver.sync.report import Problem
from archiver.sync.spool import Spool

OF_NO_GENERATION = "other"
"""Where files of no generation are staged: no endpoint is called so."""
_TICK = 0.2
_VIDEOS = tuple(f".{extension}" for extension in EXTENSIONS)
_LEADS_OUT = "it is a link that leads out of the archive: it is not read"


class Cancelled(Exception):
    """The run ends: what is not copied yet is left to the next."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied of a unit, and why the rest was not."""

    unit: Unit
    known: Known | None
    """What the source knows of the generation."""
    staged: StagedGeneration
    problems: tuple[Problem, ...]


class Copying:
    """Copies units; `copy` may be called in many threads, until it is stopped."""

    def __init__(
        self,
        source: Store,
        target: WritableStore,
        progress: ByteProgress,
        limit_rate: float | None = None,
    ) -> None:
        self._source = source
        self._target = target
        self._names = LetterCase(target.layout)
        self._progress = progress
        self._stopping = threading.Event()
        self._rate = Rate(limit_rate, self._stopping)
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End what is under way: it is cancelled."""
        self._stopping.set()

    def copy(self, unit: Unit, known: Known | None) -> Copied:
        """Stage the files of a unit, and send them where that takes long.

        What the source knows of it need not be found out.

        Raises:
            Cancelled: if the run ends before.
            StorageError: if either store or the disk fails.
        """
        generation = _standing_for(unit)
        if problems := self._name_problems(unit):
            return Copied(unit, known, StagedGeneration(generation, ()), problems)
        place = f"{INCOMING}/{Staging(self._target.layout, generation).name}"
        said = {file.path: file.properties for file in known.files} if known else {}
        results = [
            self._file(file, f"{place}/copy{number}", said.get(file.path))
            for number, file in enumerate(unit.files)
        ]
        files = tuple(each for each in results if isinstance(each, StagedFile))
        staged = StagedGeneration(generation, files)
        problems = tuple(each for each in results if isinstance(each, Problem))
        if files and (refused := self._send(staged)):
            problems += tuple(Problem("refused", file.target.path, refused) for file in files)
            staged = StagedGeneration(generation, ())
        return Copied(unit, known, staged, problems)

    def _name_problems(self, unit: Unit) -> tuple[Problem, ...]:
        """Return what is in the way where a file system takes `A` for `a`."""
        rival = self._names.rival(unit.generation) if unit.generation else None
        detail = f"the target cannot distinguish it from {rival}, which it holds"
        return tuple(Problem("name", file.path, detail) for file in unit.files) if rival else ()

    def _file(self, file: BagFile, place: str, said: Properties | None) -> StagedFile | Problem:
        """Stage a file, in a place whose name begins so."""
        if obstacle := self._target.obstacle(file.path):
            return Problem("name", file.path, obstacle)
        layout, is_video = self._target.layout, file.path.endswith(_VIDEOS)
        look = is_video and said in (None, Properties())
        with Spool(layout.at(f"{place}-.part"), look=look) as spool:
            if problem := self._read(file, spool):
                return problem
            staged = f"{place}-{file.sha256}"
            content = spool.complete(layout.at(staged))
            target = BagFile(file.path, file.sha256, spool.size)
            found = spool.properties() if look else said if is_video else None
            return StagedFile(staged, target, content, found)

    def _read(self, file: BagFile, spool: Spool) -> Problem | None:
        """Read a file of the source; return what is wrong with it, if anything."""
        source = self._source
        if _is_link(source, file.path) and source.leads_out(file.path):
            return Problem("unreadable", file.path, _LEADS_OUT)
        try:
            with source.blocks(file.path) as blocks:
                for block in blocks:
                    self._take(block, spool)
        except (FileNotFoundError, NotADirectoryError):
            return Problem("missing", file.path, "it is listed, but not there")
        except OSError as error:
            return Problem("unreadable", file.path, error.strerror or str(error))
        if spool.sha256 == file.sha256:
            return None
        had = f"its {spool.size:,} bytes have the checksum {spool.sha256[:16]}…"
        return Problem("changed", file.path, f"{had}, not {file.sha256[:16]}…")

    def _take(self, block: bytes, spool: Spool) -> None:
        if self._stopping.is_set():
            raise Cancelled
        spool.write(block)
        self._rate.wait(len(block))
        with self._lock:
            self._progress.received(len(block))

    def _send(self, staged: StagedGeneration) -> str:
        """Send what is staged, where that takes long; return why the store did not take it."""
        if not (sending := self._target.begin_upload(staged)):
            return ""
        while not sending.done():
            wait([sending], _TICK)
            if self._stopping.is_set() and sending.cancel():
                raise Cancelled
        return sending.result()


def _standing_for(unit: Unit) -> Generation:
    """Return the generation that a unit is, or one that stands for it in staging."""
    digest = hashlib.sha256(unit.name.encode()).hexdigest()
    return unit.generation or Generation(OF_NO_GENERATION, digest)


def _is_link(source: Store, path: str) -> bool:
    return not source.is_shared and os.path.islink(source.layout.at(path))  # noqa: PTH114
