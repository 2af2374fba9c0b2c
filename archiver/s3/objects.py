"""Objects: what is asked of a bucket, in calls that block.

Each path is that of a file of the archive, such as `data/v6/deepfake/263.mp4`. Whatever fails
for good is a `StorageError`: trouble on the network was retried with backoff before.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol, TypeAlias

from archiver.errors import StorageError

if TYPE_CHECKING:
    from concurrent.futures import Future


@dataclass(frozen=True, slots=True)
class Stored:
    """An object, as the store reports it."""

    path: str
    size: int
    etag: str
    modified: datetime
    """When it was written, by the store's clock."""
    now: datetime
    """When the store said this, by the same clock."""
    sha256: str = ""
    """The checksum of its bytes that the store keeps, in hexadecimal; empty where it keeps none,
    and in listings."""


@dataclass(frozen=True, slots=True)
class Body:
    """What an object is to be: in memory or in a file, with its recorded checksum and size."""

    sha256: str
    size: int
    content: bytes | None = field(default=None, repr=False)
    file: str = ""
    """Where it is, if it is not in memory."""


@dataclass(frozen=True, slots=True)
class Absent:
    """Only where there is no such object yet (`If-None-Match: *`)."""


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Only over the object that has this ETag (`If-Match`)."""

    etag: str


Condition: TypeAlias = Absent | Unchanged
"""On what a write depends: the store judges, in one step with the write."""


class ConditionFailed(Exception):
    """The condition of a write does not hold: somebody else was first (412 or 409)."""


class ChecksumRefused(StorageError):
    """The store did not take an object: its bytes do not match its checksum."""


class NotSupported(StorageError):
    """The store cannot do what it was asked to, or does not keep checksums."""


class Reading(Protocol):
    """An object that is being read."""

    stored: Stored

    def __iter__(self) -> Iterator[bytes]:
        """Yield its bytes, in blocks; `StorageError` if they do not come, or end too early."""
        ...


class Objects(Protocol):
    """The objects of one archive. Every method blocks and may be called in any thread."""

    def head(self, path: str) -> Stored | None:
        """Return what the store says of an object; None if there is none."""
        ...

    def get(self, path: str, limit: int = ...) -> tuple[bytes, Stored] | None:
        """Return a small object; None if there is none. One larger than `limit` is an error."""
        ...

    def open(self, path: str) -> AbstractContextManager[Reading | None]:
        """Read an object piece by piece; None if there is none."""
        ...

    def list(self, prefix: str = "") -> Iterator[Stored]:
        """Yield the objects whose paths begin with `prefix`, each once.

        Their order is the store's. SeaweedFS lists folder by folder: `a/1` comes before `a-b`.
        """
        ...

    def put(self, path: str, body: Body, condition: Condition) -> Stored:
        """Write an object: it is there whole or not at all, and the store proves its checksum.

        A write whose response was lost is not taken for somebody else's.

        Raises:
            ConditionFailed: if the condition does not hold.
            StorageError: if the store does not take it.
        """
        ...

    def begin_put(self, path: str, body: Body, condition: Condition) -> "Future[Stored]":
        """Begin to write an object, as `put` does; cancelling the future ends it."""
        ...

    def copy(self, path: str, target: str) -> None:
        """Copy an object within the store."""
        ...

    def delete(self, paths: Iterable[str]) -> None:
        """Delete objects, where they are there."""
        ...

    def delete_unchanged(self, there: Stored) -> None:
        """Delete an object, unless another has been written there since it was looked at.

        Older stores cannot tell (AWS can since September 2025), and delete whatever is there.

        Raises:
            StorageError: if there is another now, or the store fails.
        """
        ...

    def abort_uploads(self, older_than: timedelta) -> int:
        """Abort multipart uploads that were begun longer ago; return how many."""
        ...
