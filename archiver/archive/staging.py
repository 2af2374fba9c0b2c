"""Payloads on their way: what is being downloaded, outside the bag, in `.archiver/incoming`.

Each generation has a directory of its own there. It holds the API's response and, for each
output, either a part that is being written or a payload proven whole, whose name says so::

    v6~deepfake~263/answer.json
    v6~deepfake~263/1of2-<link>-.part
    v6~deepfake~263/1of2-<link>-.part.json
    v6~deepfake~263/2of2-<link>-<sha256>.mp4

`<link>` is a digest of the path in the link: it tells whether a payload staged on an earlier
night is the one that tonight's response speaks of. The `.part.json` says of which file on
a server this is a part; without it the part is not worth keeping.

A small video that comes in one piece stays in memory until its group is settled: a thread then
writes many of them, one after the other, instead of a thread for each.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from archiver.archive.durable import sync, write_all
from archiver.archive.partial_file import Part, Slot
from archiver.errors import StorageError, storage_errors
from archiver.generation import Generation, generation_at
from archiver.media.validator import NotWhole, Proof, Prover
from archiver.modelslab.responses import Output, Ready, Reply, link_path, parse, read_response
from archiver.units import format_size

INCOMING = Path(".archiver") / "incoming"
QUARANTINE = Path(".archiver") / "quarantine"
_ANSWER = "answer.json"
_WHOLE = "*of*-*-[0-9a-f]*"
_READ_SIZE = 1 << 20
_SMALL = 128 << 10
"""A video of so many bytes may stay in memory until it is settled."""
_STALE = 14 * 86400.0
"""A part that nobody has gone on with for so many seconds is not worth its place."""


def slots(outputs: Sequence[Output]) -> list[Slot]:
    """Return the slots that the outputs of a response fill, in their order."""
    return [Slot(number, len(outputs), _link(o)) for number, o in enumerate(outputs, 1)]


def _link(output: Output) -> str:
    path = link_path(output.links[0].url).encode(errors="replace")
    return hashlib.sha256(path).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A file ready to be placed: where it is, where in the archive it goes, what it must be.

    Its data has been flushed to the disk, unless its generation has it `unwritten`.
    """

    staged: str
    """Relative to the archive, as is `path`."""
    path: str
    sha256: str
    bytes: int

    def as_json(self) -> dict[str, str | int]:
        """Return its fields; `asdict` does the same, and takes ten times as long."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Unwritten:
    """The two files of a small generation that are still in memory."""

    payload: bytes
    response: bytes
    part: str
    """Where the payload is written, relative to the archive, until it is on the disk whole."""


@dataclass(frozen=True, slots=True)
class StagedGeneration:
    """All files of a generation, payloads first, the response last."""

    generation: Generation
    files: tuple[StagedFile, ...]
    unwritten: Unwritten | None = None

    @property
    def payload_bytes(self) -> int:
        """How many bytes its payloads have, the response not counted."""
        return sum(file.bytes for file in self.files[:-1])


def write_out(archive: Path, group: Iterable[StagedGeneration]) -> None:
    """Write what is still in memory; a payload has its name when it is on the disk, not before.

    Raises:
        OSError: if the disk does not take all of it; as many generations as it takes stay.
    """
    unwritten = [staged for staged in group if staged.unwritten]
    try:
        _write(archive, unwritten)
    except OSError:
        directories = [(archive / staged.files[0].staged).parent for staged in unwritten]
        for directory in directories:
            shutil.rmtree(directory, ignore_errors=True)
        for staged, directory in zip(unwritten, directories, strict=True):
            try:
                _write(archive, [staged])
            except OSError:
                shutil.rmtree(directory, ignore_errors=True)
        raise


def _write(archive: Path, group: Iterable[StagedGeneration]) -> None:
    """Write them together, so that the disk has all of them to flush at once."""
    files: list[tuple[str, bytes]] = []
    whole: list[tuple[str, str]] = []
    for staged in group:
        if unwritten := staged.unwritten:
            payload, response = (f"{archive}/{file.staged}" for file in staged.files)
            part = f"{archive}/{unwritten.part}"
            with suppress(FileExistsError):
                os.mkdir(part.rpartition("/")[0])  # noqa: PTH102
            files += [(response, unwritten.response), (part, unwritten.payload)]
            whole.append((part, payload))
    write_all(files)
    for part, payload in whole:
        os.rename(part, payload)  # noqa: PTH104


class Staging:
    """The directory of one generation on its way.

    What reads or writes files blocks: call it in a thread. `has_leftovers` and
    `make_sure_of_room` are one short look each.
    """

    def __init__(self, archive: Path, generation: Generation) -> None:
        self.generation = generation
        self._archive = archive
        self._place = f"{INCOMING}/{generation.name.replace('/', '~')}"
        self._document: bytes | None = None
        self._unwritten: Unwritten | None = None

    @property
    def _directory(self) -> Path:
        return self._archive / self._place

    def begin(self, document: object) -> StagedFile:
        """Take the API's response: it is written with the first payload, or beside what is left."""
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        self._document = text.encode(errors="backslashreplace")
        return self._response(self._document)

    def has_leftovers(self) -> bool:
        """Tell whether an earlier try has left something: one look, too short for a thread."""
        return os.path.lexists(f"{self._archive}/{self._place}")

    def leftovers(self, expected: Sequence[Slot]) -> list[StagedFile | Part]:
        """Return what an earlier try has left for each slot: a whole payload, or a part.

        Parts of what the response no longer speaks of are thrown away, but no payload is: its links
        may have been its last.
        """
        stems = tuple(slot.stem for slot in expected)
        with storage_errors(f"reading {self._directory}"):
            for part in self._directory.glob("*.part*"):
                if not part.name.startswith(stems):
                    part.unlink()
        self._prepare()
        return [self.find(slot) or self.part(slot) for slot in expected]

    def _prepare(self) -> None:
        """Make the directory, and keep the response in it."""
        if self._document is None:
            return
        path, data, self._document = self._directory / _ANSWER, self._document, None
        with storage_errors(f"writing {path}"):
            self._directory.mkdir(parents=True, exist_ok=True)
            write_all([(str(path), data)])

    def find(self, slot: Slot) -> StagedFile | None:
        """Return the payload that an earlier try has staged for `slot`, proven again."""
        with storage_errors(f"reading {self._directory}"):
            candidates = sorted(self._directory.glob(f"{slot.stem}[0-9a-f]*"))
        return next(filter(None, (self._proven(slot, path) for path in candidates)), None)

    def new_part(self, slot: Slot) -> Part:
        """Return a part for `slot` of which there is nothing yet."""
        return Part(f"{self._archive}/{self._place}", slot, self._prepare)

    def part(self, slot: Slot) -> Part:
        """Return the part for `slot`, with what an earlier try has left of it."""
        part = self.new_part(slot)
        part.take_up()
        return part

    def make_sure_of_room(self, count: int, reserve: int) -> None:
        """Make sure that `count` bytes more fit on the disk and leave `reserve` free.

        Raises:
            StorageError: if they do not.
        """
        with storage_errors(f"looking for room in {self._archive}"):
            status = os.statvfs(self._archive)
        free = status.f_bavail * status.f_frsize
        if free - max(count, 0) < reserve:
            raise StorageError(
                f"the disk is full: {format_size(free)} are free where {format_size(count)} are "
                f"to come and {format_size(reserve)} to stay free (--min-free)"
            )

    def may_hold(self, part: Part, blocks: Sequence[bytes]) -> bool:
        """Tell whether these blocks, all of a small video, may be held in memory.

        That is so for the only output of a generation of which nothing is on the disk.
        """
        untouched = self._document is not None and not part.bytes and not part.origin
        return untouched and part.slot.of == 1 and sum(map(len, blocks)) <= _SMALL

    def keep(self, part: Part, proof: Proof) -> StagedFile:
        """Close a part that is proven whole and give it the name that says so."""
        name = f"{part.slot.stem}{part.sha256}.{proof.extension}"
        if part.held is not None and self._document is not None:
            self._unwritten = Unwritten(part.held, self._document, f"{self._place}/{part.name}")
            part.kept = True
        else:
            part.keep_as(self._directory / name)
        return self._payload(part.slot, name, part.sha256, part.bytes)

    def gathered(self, files: Sequence[StagedFile]) -> StagedGeneration:
        """Return the generation, of which these files have been kept."""
        return StagedGeneration(self.generation, tuple(files), self._unwritten)

    def complete(self) -> StagedGeneration | None:
        """Return the generation if all of it is here and proven whole, as after a crash."""
        try:
            data = (self._directory / _ANSWER).read_bytes()
        except OSError:
            return None
        reply, now = Reply(200, data), datetime.now(UTC)
        response = read_response(reply, parse(data), self.generation.id, now)
        if not isinstance(response, Ready):
            return None
        payloads = [staged for slot in slots(response.outputs) if (staged := self.find(slot))]
        if len(payloads) < len(response.outputs):
            return None
        with storage_errors(f"keeping {self._directory}"):
            sync(self._directory / _ANSWER)
        return StagedGeneration(self.generation, (*payloads, self._response(data)))

    def tidy(self) -> None:
        """Delete the directory unless it holds a payload or a part that the next try can use."""
        with storage_errors(f"tidying {self._directory}"):
            if not any(self._directory.glob(_WHOLE)) and not self._resumable():
                shutil.rmtree(self._directory, ignore_errors=True)

    def clear(self) -> None:
        """Delete whatever is here of this generation, which is settled."""
        with storage_errors(f"deleting {self._directory}"):
            shutil.rmtree(self._directory, ignore_errors=True)

    def give_up(self) -> None:
        """Delete what is here of a generation that is lost; whole payloads are kept aside."""
        with storage_errors(f"clearing {self._directory}"):
            discard(self._archive, self._directory)

    def _resumable(self) -> bool:
        parts = self._directory.glob("*.part.json")
        return any(time.time() - part.stat().st_mtime < _STALE for part in parts)

    def _proven(self, slot: Slot, path: Path) -> StagedFile | None:
        digest, prover, size = hashlib.sha256(), Prover(), 0
        try:
            with storage_errors(f"reading {path}"), path.open("rb", buffering=0) as file:
                while block := file.read(_READ_SIZE):
                    digest.update(block)
                    prover.feed(block)
                    size += len(block)
            proof = prover.finish()
        except NotWhole:
            return None
        if path.name != f"{slot.stem}{digest.hexdigest()}.{proof.extension}":
            return None
        with storage_errors(f"keeping {path}"):
            sync(path)
        return self._payload(slot, path.name, digest.hexdigest(), size)

    def _payload(self, slot: Slot, name: str, sha256: str, size: int) -> StagedFile:
        target = self.generation.payload_path(slot.number, slot.of, name.rpartition(".")[2])
        return StagedFile(f"{self._place}/{name}", target, sha256, size)

    def _response(self, data: bytes) -> StagedFile:
        sha256, target = hashlib.sha256(data).hexdigest(), self.generation.sidecar_path
        return StagedFile(f"{self._place}/{_ANSWER}", target, sha256, len(data))


def discard(archive: Path, directory: Path) -> None:
    """Delete the directory of a generation on its way; whole payloads in it are kept aside."""
    aside = archive / QUARANTINE / directory.name
    for payload in directory.glob(_WHOLE):
        aside.mkdir(parents=True, exist_ok=True)
        payload.rename(aside / payload.name)
    shutil.rmtree(directory, ignore_errors=True)


def staged_generations(archive: Path) -> Iterator[Staging]:
    """Yield what is on its way in an archive: what the last run did not finish."""
    with storage_errors(f"reading {archive / INCOMING}"):
        names = sorted(path.name for path in (archive / INCOMING).iterdir())
    for name in names:
        if generation := generation_at(f"data/{name.replace('~', '/')}.json"):
            yield Staging(archive, generation)
