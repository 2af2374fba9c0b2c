"""A bucket in memory: conditional writes, ETags of the content, and a clock that a test sets."""

import hashlib
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from archiver.errors import StorageError
from archiver.s3.objects import Absent, Body, Condition, ConditionFailed, Reading, Stored

_LIMIT = 1 << 24


@dataclass(frozen=True, slots=True)
class _Object:
    content: bytes
    stored: Stored


class _Reading:
    def __init__(self, found: _Object) -> None:
        self.stored = found.stored
        self._content = found.content

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, len(self._content), 1 << 16):
            yield self._content[start : start + (1 << 16)]


class ObjectsInMemory:
    """The objects of one archive. `step` is called with what is asked, before it is done."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.asked: list[str] = []
        self._objects: dict[str, _Object] = {}
        self._lock = threading.Lock()

    def step(self, what: str, path: str) -> None:
        """Note a request; a test overrides this to make others wait or fail."""
        self.asked.append(f"{what} {path}")

    def loses(self, what: str, path: str) -> bool:
        """Return whether the response is lost of what is done; a test overrides this."""
        return False

    def pass_seconds(self, seconds: float) -> None:
        """Let time pass, by the store's clock."""
        self.now += timedelta(seconds=seconds)

    def content(self, path: str) -> bytes | None:
        """Return an object's content, unnoticed."""
        found = self._objects.get(path)
        return found.content if found else None

    def paths(self, prefix: str = "") -> list[str]:
        """Return the paths of the objects, unnoticed."""
        return sorted(path for path in self._objects if path.startswith(prefix))

    def place(self, path: str, content: bytes) -> None:
        """Write an object as another program does, unnoticed."""
        self._write(path, content)

    def head(self, path: str) -> Stored | None:
        """Return what the store says of an object; None if there is none."""
        self.step("head", path)
        found = self._objects.get(path)
        return replace(found.stored, now=self.now) if found else None

    def get(self, path: str, limit: int = _LIMIT) -> tuple[bytes, Stored] | None:
        """Return a small object; None if there is none."""
        self.step("get", path)
        if not (found := self._objects.get(path)):
            return None
        if len(found.content) > limit:
            raise StorageError(f"{path} is larger than {limit} bytes")
        return found.content, replace(found.stored, now=self.now)

    @contextmanager
    def open(self, path: str) -> Iterator[Reading | None]:
        """Read an object piece by piece; None if there is none."""
        self.step("open", path)
        found = self._objects.get(path)
        yield _Reading(found) if found else None

    def list(self, prefix: str = "") -> Iterator[Stored]:
        """Yield the objects whose paths begin with `prefix`, in the order of their paths."""
        self.step("list", prefix)
        with self._lock:
            found = [self._objects[path].stored for path in self.paths(prefix)]
        for stored in found:
            yield replace(stored, now=self.now, sha256="")

    def put(self, path: str, body: Body, condition: Condition) -> Stored:
        """Write an object; a response that is lost has it sent again, as the client does."""
        content = Path(body.file).read_bytes() if body.content is None else body.content
        if (hashlib.sha256(content).hexdigest(), len(content)) != (body.sha256, body.size):
            raise StorageError(f"{path} has not the checksum that was announced")
        tries = 0
        while True:
            self.step("put", path)
            tries += 1
            try:
                stored = self._put(path, content, condition)
            except ConditionFailed:
                if tries > 1 and self.content(path) == content:
                    return replace(self._objects[path].stored, now=self.now)
                raise
            if not self.loses("put", path):
                return stored

    def begin_put(self, path: str, body: Body, condition: Condition) -> "Future[Stored]":
        """Write an object at once, as `put` does."""
        future: Future[Stored] = Future()
        try:
            future.set_result(self.put(path, body, condition))
        except Exception as error:  # noqa: BLE001 (whatever it is, it is the future's)
            future.set_exception(error)
        return future

    def copy(self, path: str, target: str) -> None:
        """Copy an object within the store."""
        self.step("copy", path)
        self._write(target, self._objects[path].content)

    def delete(self, paths: Iterable[str]) -> None:
        """Delete objects, where they are there."""
        for path in paths:
            self.step("delete", path)
            self._objects.pop(path, None)

    def delete_unchanged(self, there: Stored) -> None:
        """Delete an object, unless another has been written there."""
        self.step("delete", there.path)
        found = self._objects.get(there.path)
        if found and found.stored.etag != there.etag:
            raise StorageError(f"{there.path} has changed meanwhile")
        self._objects.pop(there.path, None)

    def abort_uploads(self, older_than: timedelta) -> int:
        """Return 0: there are none."""
        return 0

    def _put(self, path: str, content: bytes, condition: Condition) -> Stored:
        with self._lock:
            found = self._objects.get(path)
            if isinstance(condition, Absent):
                holds = found is None
            else:
                holds = found is not None and found.stored.etag == condition.etag
            if not holds:
                raise ConditionFailed(path)
            return self._write(path, content)

    def _write(self, path: str, content: bytes) -> Stored:
        etag = hashlib.md5(content).hexdigest()
        sha256 = hashlib.sha256(content).hexdigest()
        stored = Stored(path, len(content), etag, self.now, self.now, sha256)
        self._objects[path] = _Object(content, stored)
        return stored
