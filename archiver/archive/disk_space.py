"""Disk space: a reserve of it stays free, and what does not fit is refused by itself."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from errno import EFBIG, EINVAL, EOVERFLOW
from pathlib import Path
from typing import TYPE_CHECKING

from archiver.archive.fitting import TOO_LARGE, DoesNotFit, largest_file
from archiver.archive.layout import Layout
from archiver.errors import StorageError, storage_errors
from archiver.threads import in_thread
from archiver.units import format_size

if TYPE_CHECKING:
    from archiver.archive.partial_file import PartialFile

_FOR_SMALL = 1 << 20
"""Small videos and the records of a commit go on beside a body of unknown length: these bytes are
left to them, in addition to the reserve."""
_LOOK_AGAIN = 0.2
"""In seconds: how often to look whether a download under way has given space back."""
_LET_OTHERS_END = 15.0
"""In seconds: when to try again what may fit once downloads under way have ended."""
_PROBE = b"\0" * 4096
_LEAST_LIMIT = (1 << 31) - 1
"""In bytes: every file system takes files of this size; FAT32 takes twice as much."""


class DiskSpace:
    """Guards the file system of the archive `path`: `reserve` bytes of it stay free.

    It knows what the downloads under way still need: two that fit alone, but not together, do not
    both begin. Before anything is refused, partial files that earlier tries have left give way.
    """

    def __init__(self, path: Path, reserve: int) -> None:
        self.path = path
        self.reserve = reserve
        self._incoming = Layout(path).incoming
        self._probe_path = Layout(path).state / "probe"
        self._under_way: dict[PartialFile, int | None] = {}
        self._in_use: set[str] = set()
        self._lock = threading.Lock()

    async def require(self) -> None:
        """Make sure that a small file may be written.

        While downloads are under way that may give space back, wait for them.

        Raises:
            StorageError: if there is no space for anything.
        """
        while (free := self._free()) < self.reserve + _FOR_SMALL:
            free = await in_thread(self._make_space_for_small)
            if free >= self.reserve:
                return
            if not self._under_way:
                raise StorageError(f"the disk is full: {self._shortage(free)}")
            await asyncio.sleep(_LOOK_AGAIN)

    async def require_after(self, refused: DoesNotFit) -> None:
        """Make sure that others may go on after one was refused, and has given its space back.

        Raises:
            StorageError: if there is no space for anything.
        """
        if refused.disk_full and not self._under_way:
            await in_thread(self._probe)
        await self.require()

    @asynccontextmanager
    async def claim(self, partial: "PartialFile", length: int | None) -> AsyncIterator[None]:
        """Keep space for the rest of a payload, of this length where it is announced.

        Raises:
            DoesNotFit: if it does not fit.
            StorageError: if the file system cannot be asked.
        """
        try:
            await in_thread(self._claim, partial, length)
            yield
        finally:
            self._under_way.pop(partial, None)

    def require_next(self, partial: "PartialFile", count: int) -> None:
        """Make sure that the next `count` bytes of a payload under way fit. It blocks.

        What is announced may take what was kept for it; what is not leaves that to the others.

        Raises:
            DoesNotFit: if they do not fit.
            StorageError: if the file system cannot be asked.
        """
        with self._lock:
            announced = self._under_way.get(partial) is not None
            others = 0 if announced else _FOR_SMALL + self._claimed()
            needed = 0 if announced else count + others
            free = self._make_space(needed)
        if free - needed < self.reserve:
            raise DoesNotFit(
                f"{format_size(partial.bytes)} came and more follow, "
                f"{self._shortage(free, others)}; what came is deleted"
            )

    @contextmanager
    def in_use(self, directory: str) -> Iterator[None]:
        """Leave alone the partial files of this directory in staging: they are being resumed."""
        with self._lock:
            self._in_use.add(directory)
        try:
            yield
        finally:
            self._in_use.discard(directory)

    def _claim(self, partial: "PartialFile", length: int | None) -> None:
        needed = max((length or 0) - partial.bytes, 0)
        with self._lock:
            self._require_file_of(length or 0)
            claimed = self._claimed()
            free = self._make_space(needed + claimed)
            if free - needed - claimed >= self.reserve:
                self._under_way[partial] = length
                return
        written = sum(other.bytes for other in list(self._under_way))
        may_fit = free + written - needed >= self.reserve  # if none of the others comes to anything
        raise DoesNotFit(
            f"needs {format_size(needed)}, {self._shortage(free, claimed)}",
            pause=_LET_OTHERS_END if may_fit else None,
        )

    def _require_file_of(self, length: int) -> None:
        if length > (limit := largest_file()):
            raise DoesNotFit(
                f"needs {format_size(length)}, no file may be larger than "
                f"{format_size(int(limit))} (ulimit -f)"
            )
        if length > _LEAST_LIMIT and not self._can_seek(length):
            raise DoesNotFit(f"needs {format_size(length)}: {TOO_LARGE}")

    def _can_seek(self, length: int) -> bool:
        """Return whether a file may have this length: beyond that, seeking fails (lseek(2))."""
        with storage_errors(f"looking at the file system of {self.path}"):
            try:
                with self._probe_path.open("wb") as file:
                    return file.seek(length) == length
            except OSError as error:
                if error.errno in (EINVAL, EOVERFLOW, EFBIG):
                    return False
                raise
            finally:
                self._probe_path.unlink(missing_ok=True)

    def _claimed(self) -> int:
        """Return how many bytes the downloads under way still need, as announced."""
        under_way = list(self._under_way.items())  # at once: a download may end meanwhile
        return sum(max((length or 0) - partial.bytes, 0) for partial, length in under_way)

    def _make_space_for_small(self) -> int:
        with self._lock:
            self._make_space(_FOR_SMALL)
            return self._make_space(0)

    def _make_space(self, needed: int) -> int:
        """Return how much is free; if that is too little, delete the oldest partial files first.

        None is deleted if all of them would not be enough.
        """
        free = self._free()
        if free - needed >= self.reserve:
            return free
        with storage_errors(f"looking for partial files in {self._incoming}"):
            leftovers = sorted(self._leftovers())
        if free + sum(size for _, size, _ in leftovers) - needed < self.reserve:
            return free
        for _, _, path in leftovers:
            with storage_errors(f"deleting {path}"):
                path.unlink(missing_ok=True)
                path.with_name(f"{path.name}.json").unlink(missing_ok=True)
            with suppress(OSError):
                path.parent.rmdir()
            if (free := self._free()) - needed >= self.reserve:
                break
        return free

    def _leftovers(self) -> Iterator[tuple[float, int, Path]]:
        """Yield the partial files that no download uses: when each was written, and its size.

        Only those that can be resumed: without an origin it may be a payload that is just being
        staged for its commit.
        """
        for directory in list(self._incoming.glob("*")):
            with suppress(FileNotFoundError, NotADirectoryError):  # tidied up meanwhile
                for name in os.listdir(directory):  # noqa: PTH208 (pathlib's is lazy)
                    if name.endswith(".part.json") and directory.name not in self._in_use:
                        path = directory / name.removesuffix(".json")
                        status = path.stat()
                        yield status.st_mtime, status.st_blocks * 512, path

    def _free(self) -> int:
        try:
            status = os.statvfs(self.path)
        except OSError:
            with storage_errors(f"looking for free space in {self.path}"):
                raise
        return status.f_bavail * status.f_frsize

    def _probe(self) -> None:
        """Write a small file: quotas and missing inodes do not show in the free space."""
        with self._lock, storage_errors(f"writing to {self.path}"):
            try:
                self._probe_path.write_bytes(_PROBE)
            finally:
                self._probe_path.unlink(missing_ok=True)

    def _shortage(self, free: int, others: int = 0) -> str:
        kept = f"{format_size(free)} free, {format_size(self.reserve)} kept free (--min-free)"
        return f"{kept}, {format_size(others)} for other downloads" if others else kept
