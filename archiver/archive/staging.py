"""Staging: payloads on their way, outside the bag, in `.archiver/incoming`.

Each generation has a directory of its own there. It holds the API's response and, for each
output, either a partial file or a payload proven whole, whose name shows it::

    v6~deepfake~263/answer.json
    v6~deepfake~263/1of2-<key>-.part
    v6~deepfake~263/1of2-<key>-.part.json
    v6~deepfake~263/2of2-<key>-<sha256>.mp4

`<key>` is the output's: it shows whether a payload staged on an earlier run is the one that the
response of this run lists. The `.part.json` is the partial file's origin; without it the partial
file cannot be resumed. Where there is a whole payload, there is the response, too, unless the run
was ended just then: the payload is found again when the API lists its output.

The two files of a small generation stay in memory until they are committed: one thread then
writes those of a whole group, instead of a thread for each. With them, or by itself, comes what
manifests say of a generation, under the name that it will have: `263.entry.json`. What a crash
leaves of that here is not used: the manifests say it again.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from archiver.archive.durable import fsync, write_files
from archiver.archive.fitting import largest_file
from archiver.archive.layout import INCOMING, Layout
from archiver.archive.partial_file import PartialFile, Payload
from archiver.archive.staged import (
    WHOLE,
    StagedFile,
    StagedGeneration,
    discard,
    names_in_staging,
)
from archiver.checksums import BagFile
from archiver.errors import storage_errors
from archiver.generation import Generation, generation_at
from archiver.media.files import inspect
from archiver.media.reader import NotWhole
from archiver.outputs import Output

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",\n", ": "))
"""Each value is on a line of its own: to indent them, too, takes five times as long."""
_RESPONSE = "answer.json"
_SPOOL = 128 << 10


class Staging:
    """The directory of one generation on its way.

    What reads or writes files blocks: call it in a thread.
    """

    def __init__(self, layout: Layout, generation: Generation, document: object = None) -> None:
        """Name the directory; `document` is the API's response, where there is one."""
        self.generation = generation
        self._layout = layout
        self._place = f"{INCOMING}/{generation.name.replace('/', '~')}"
        self._document = document
        self._response = b"" if document is None else _encoded(document)
        self._response_written = False

    @property
    def _directory(self) -> Path:
        return self._layout.root / self._place

    @property
    def name(self) -> str:
        """The name of its directory in staging."""
        return self._place.rpartition("/")[2]

    def leftovers(self, outputs: Sequence[Output]) -> list[StagedFile | PartialFile]:
        """Return for each output what an earlier try has left: a whole payload, or a partial file.

        Partial files of outputs that the response no longer lists are deleted, but no payload is:
        its links may have been its last. Where there is nothing at all, the partial files are new.

        Raises:
            StorageError: if they cannot be read.
        """
        stems = tuple(map(_stem, outputs))
        with storage_errors(f"reading {self._directory}"):
            try:
                paths = list(self._directory.iterdir())
            except FileNotFoundError:
                return [*map(self.begin, outputs)]
            for path in paths:
                if ".part" in path.name and not path.name.startswith(stems):
                    path.unlink()
        return [self.find(output) or self.resume(output) for output in outputs]

    def find(self, output: Output) -> StagedFile | None:
        """Return the payload that an earlier try has staged for `output`, proven again.

        Raises:
            StorageError: if it cannot be read.
        """
        with storage_errors(f"reading {self._directory}"):
            candidates = sorted(self._directory.glob(f"{_stem(output)}[0-9a-f]*"))
        return next(filter(None, (self._proven(output, path) for path in candidates)), None)

    def begin(self, output: Output) -> PartialFile:
        """Return a new partial file for `output`; that of a single output may stay in memory."""
        return PartialFile(self._partial_path(output), spool() if output.of == 1 else 0)

    def resume(self, output: Output) -> PartialFile:
        """Return the partial file for `output` with what an earlier try has left of it.

        Raises:
            StorageError: if it cannot be read.
        """
        return PartialFile.resume(self._partial_path(output))

    def keep(self, output: Output, payload: Payload) -> StagedFile:
        """Stage a payload: it gets the name that shows that it is whole.

        Raises:
            StorageError: if the disk does not take it.
        """
        name = _name(output, payload)
        if payload.content is None:
            with storage_errors(f"staging {self._directory / name}"):
                self._write_response()
                partial = self._partial_path(output)
                os.rename(partial, self._layout.at(f"{self._place}/{name}"))  # noqa: PTH104
                Path(f"{partial}.json").unlink(missing_ok=True)
        return self._staged(name, output, payload)

    def staged(self, payloads: Sequence[StagedFile]) -> StagedGeneration:
        """Return the generation, of which these are the payloads."""
        sha256, size = hashlib.sha256(self._response).hexdigest(), len(self._response)
        response = StagedFile(
            f"{self._place}/{_RESPONSE}",
            BagFile(self.generation.sidecar_path, sha256, size),
            None if self._response_written else self._response,
        )
        return StagedGeneration(self.generation, (*payloads, response), self._document)

    def sidecar(self, path: str, document: object) -> StagedFile:
        """Return a further sidecar, still to be written, that becomes the file at `path`."""
        content = _encoded(document)
        sha256, name = hashlib.sha256(content).hexdigest(), path.rpartition("/")[2]
        return StagedFile(f"{self._place}/{name}", BagFile(path, sha256, len(content)), content)

    def read_response(self) -> bytes | None:
        """Return the response that an earlier run has staged, if any."""
        try:
            self._response = (self._directory / _RESPONSE).read_bytes()
        except OSError:
            return None
        with suppress(ValueError, RecursionError):
            self._document = json.loads(self._response)
        self._response_written = True
        return self._response

    def complete(self, outputs: Sequence[Output]) -> StagedGeneration | None:
        """Return the generation if all outputs are staged whole, as after a crash.

        Raises:
            StorageError: if they cannot be read.
        """
        payloads = [staged for output in outputs if (staged := self.find(output))]
        if len(payloads) < len(outputs):
            return None
        with storage_errors(f"flushing {self._directory}"):
            fsync(self._directory / _RESPONSE)
        return self.staged(payloads)

    def tidy(self, stale_after: float) -> None:
        """Delete the directory unless the next run can use what is in it.

        A partial file that was not touched for `stale_after` seconds is of no use.
        """
        with storage_errors(f"tidying {self._directory}"):
            if not any(self._directory.glob(WHOLE)) and not self._resumable(stale_after):
                self.clear()

    def clear(self) -> None:
        """Delete whatever is here."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def discard(self) -> None:
        """Delete what is here, but for whole payloads: they go into the quarantine.

        Raises:
            StorageError: if they cannot be moved.
        """
        with storage_errors(f"clearing {self._directory}"):
            discard(self._layout, self._place)

    def _write_response(self) -> None:
        if not self._response_written:
            write_files([(self._layout.at(f"{self._place}/{_RESPONSE}"), self._response)])
            self._response_written = True

    def _resumable(self, stale_after: float) -> bool:
        origins = self._directory.glob("*.part.json")
        return any(time.time() - path.stat().st_mtime < stale_after for path in origins)

    def _partial_path(self, output: Output) -> str:
        return self._layout.at(f"{self._place}/{_stem(output)}.part")

    def _proven(self, output: Output, path: Path) -> StagedFile | None:
        try:
            with storage_errors(f"reading {path}"):
                found = inspect(path)
        except NotWhole:
            return None
        payload = Payload(found.sha256, found.bytes, found.media)
        if path.name != _name(output, payload):
            return None
        with storage_errors(f"flushing {path}"):
            fsync(path)
        return self._staged(path.name, output, payload)

    def _staged(self, name: str, output: Output, payload: Payload) -> StagedFile:
        path = self.generation.payload_path(output.number, output.of, payload.media.extension)
        return StagedFile(
            f"{self._place}/{name}",
            BagFile(path, payload.sha256, payload.size),
            payload.content,
            payload.media.properties,
        )


@cache
def spool() -> int:
    """Return how many bytes a payload may have that stays in memory until it is committed.

    What a limit allows no file of must not wait there for the commit of others.
    """
    return int(min(_SPOOL, largest_file()))


def staged_generations(layout: Layout) -> Iterator[Staging]:
    """Yield what the last run has left in staging.

    Raises:
        StorageError: if it cannot be read.
    """
    for name in names_in_staging(layout):
        if generation := generation_at(f"data/{name.replace('~', '/')}.json"):
            yield Staging(layout, generation)


def _stem(output: Output) -> str:
    return f"{output.number}of{output.of}-{output.key}-"


def _name(output: Output, payload: Payload) -> str:
    return f"{_stem(output)}{payload.name}"


def _encoded(document: object) -> bytes:
    return f"{_ENCODER.encode(document)}\n".encode(errors="backslashreplace")
