"""The objects of an archive in S3, or a store that speaks the same, by aiobotocore."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING

from archiver.s3 import reading, tidying, writing
from archiver.s3.connection import Connection
from archiver.s3.event_loop import LoopThread
from archiver.s3.objects import Body, Condition, Reading, Stored

if TYPE_CHECKING:
    from concurrent.futures import Future

_SMALL = 64 << 20


class BucketObjects:
    """The objects of an archive in a bucket; see `Objects`."""

    def __init__(self, connection: Connection, thread: LoopThread) -> None:
        self._connection = connection
        self._thread = thread

    def head(self, path: str) -> Stored | None:
        """Return what the store says of an object; None if there is none."""
        return self._thread.run(reading.head(self._connection, path))

    def get(self, path: str, limit: int = _SMALL) -> tuple[bytes, Stored] | None:
        """Return a small object; None if there is none. One larger than `limit` is an error."""
        return self._thread.run(reading.get(self._connection, path, limit))

    @contextmanager
    def open(self, path: str) -> Iterator[Reading | None]:
        """Read an object piece by piece; None if there is none."""
        download = reading.Download(self._connection, path)
        try:
            there = self._thread.run(download.begin())
            yield _Blocks(download, self._thread) if there else None
        finally:
            self._thread.run(download.close())

    def list(self, prefix: str = "") -> Iterator[Stored]:
        """Yield the objects whose paths begin with `prefix`, in the store's order."""
        token = ""
        while True:
            page, token = self._thread.run(reading.list_page(self._connection, prefix, token))
            yield from page
            if not token:
                return

    def put(self, path: str, body: Body, condition: Condition) -> Stored:
        """Write an object: it is there whole or not at all, and the store proves its checksum."""
        return self._thread.run(writing.put(self._connection, path, body, condition))

    def begin_put(self, path: str, body: Body, condition: Condition) -> "Future[Stored]":
        """Begin to write an object, as `put` does; cancelling the future ends it."""
        return self._thread.begin(writing.put(self._connection, path, body, condition))

    def copy(self, path: str, target: str) -> None:
        """Copy an object within the store."""
        self._thread.run(tidying.copy(self._connection, path, target))

    def delete(self, paths: Iterable[str]) -> None:
        """Delete objects, where they are there."""
        left = iter(paths)
        while some := tuple(islice(left, tidying.AT_ONCE)):
            self._thread.run(tidying.delete(self._connection, some))

    def delete_unchanged(self, there: Stored) -> None:
        """Delete an object, unless another has been written there since it was looked at."""
        self._thread.run(tidying.delete_unchanged(self._connection, there))

    def abort_uploads(self, older_than: timedelta) -> int:
        """Abort multipart uploads that were begun longer ago; return how many."""
        return self._thread.run(tidying.abort_uploads(self._connection, older_than))


class _Blocks:
    """The bytes of an object that is being read, block by block."""

    def __init__(self, download: reading.Download, thread: LoopThread) -> None:
        self.stored = download.stored
        self._download = download
        self._thread = thread

    def __iter__(self) -> Iterator[bytes]:
        while block := self._thread.run(self._download.block()):
            yield block
