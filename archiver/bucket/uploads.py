"""Uploads: the journal of what is being sent to the bucket, and the sending itself.

Of each generation the payloads go first, and the response last: where that is, all of them are.
The journal names a generation before anything of it is sent, so that after a crash the objects
are found that no line names yet.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, InvalidStateError, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

from archiver.archive.durable import replace
from archiver.archive.staged import StagedFile, StagedGeneration
from archiver.checksums import BagFile
from archiver.errors import storage_errors
from archiver.s3.objects import ChecksumRefused

_THREADS = 32


class UploadJournal:
    """Names what was begun to be sent and is not committed: a line for each generation.

    A run that was killed leaves it whole; a power cut may not, and is noticed otherwise. Its
    methods block, and raise `StorageError` if the disk fails.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._under_way: dict[str, str] = {}

    def add(self, files: Sequence[StagedFile]) -> None:
        """Name the files of a generation, before any of them is sent."""
        line = json.dumps([_as_json(file) for file in files])
        with self._lock, storage_errors(f"writing {self._path}"):
            self._under_way[files[0].directory] = line
            with self._path.open("a", encoding="ascii") as journal:
                journal.write(f"{line}\n")

    def remove(self, directories: Iterable[str]) -> None:
        """Forget generations that are committed; the file is made shorter by `shorten`."""
        with self._lock:
            for directory in directories:
                self._under_way.pop(directory, None)

    def clear(self) -> None:
        """Forget all, in the file too."""
        with self._lock:
            self._under_way.clear()
        self.shorten()

    def shorten(self) -> None:
        """Leave in the file what is not committed."""
        with self._lock, storage_errors(f"writing {self._path}"):
            replace(self._path, [f"{line}\n" for line in self._under_way.values()])

    def read(self) -> Iterator[tuple[StagedFile, ...]]:
        """Yield the files of each generation that the file names; half a line names none."""
        with storage_errors(f"reading {self._path}"):
            text = self._path.read_text(encoding="ascii") if self._path.exists() else ""
        for line in text.split("\n")[:-1]:
            with suppress(ValueError, TypeError):
                yield tuple(_from_json(*fields) for fields in json.loads(line))


class Uploads:
    """Sends staged generations, each in a thread, until it is cancelled."""

    def __init__(self, put: Callable[[StagedFile, "Cancelling"], None]) -> None:
        self._put = put
        self._pool = ThreadPoolExecutor(_THREADS, "upload")

    def begin(
        self, staged: StagedGeneration, failed: Callable[[StagedGeneration], None]
    ) -> "Future[str]":
        """Begin to send a generation: cancelling the future ends that.

        The future has why the store did not take this one, or an empty text. If it is cancelled
        or fails, `failed` is called before the future knows.
        """
        outcome: Future[str] = Future()
        cancelling = Cancelling()

        def send() -> str:
            try:
                for file in staged.files:
                    self._put(file, cancelling)
            except ChecksumRefused as error:
                return str(error)
            except BaseException:
                failed(staged)
                raise
            return ""

        def end(sent: "Future[str]") -> None:
            with suppress(InvalidStateError):  # it was cancelled
                if error := sent.exception():
                    outcome.set_exception(error)
                else:
                    outcome.set_result(sent.result())

        outcome.add_done_callback(lambda done: cancelling.cancel() if done.cancelled() else None)
        self._pool.submit(send).add_done_callback(end)
        return outcome

    def close(self) -> None:
        """Wait for the threads to end."""
        self._pool.shutdown(cancel_futures=True)


class Cancelling:
    """Ends what is being sent for one generation."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._cancelled = False
        self._sending: Future[Any] | None = None

    def result(self, begin: Callable[[], "Future[Any]"]) -> None:
        """Begin to send something, and wait until it is sent.

        Raises:
            CancelledError: if that was cancelled.
        """
        with self._lock:
            if self._cancelled:
                raise CancelledError
            self._sending = begin()
        self._sending.result()

    def cancel(self) -> None:
        """End it."""
        with self._lock:
            self._cancelled = True
        if self._sending:
            self._sending.cancel()


def _as_json(file: StagedFile) -> tuple[str, str, str, int]:
    return file.staged, file.target.path, file.target.sha256, file.target.bytes


def _from_json(staged: str, path: str, sha256: str, size: int) -> StagedFile:
    return StagedFile(staged, BagFile(path, sha256, size))
