"""Disk space: a guard that keeps a reserve free."""

import os
from dataclasses import dataclass
from pathlib import Path

import aiofiles.os

from archiver.errors import StorageError, storage_errors
from archiver.units import format_size


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """Guards the file system of `path`: `reserve` bytes of it stay free."""

    path: Path
    reserve: int

    async def require(self, count: int = 0) -> None:
        """Make sure that `count` bytes more fit; a slow file system delays nobody else.

        Raises:
            StorageError: if they do not fit.
        """
        with storage_errors(f"looking for free space in {self.path}"):
            status = await aiofiles.os.statvfs(self.path)
        self._check(status, count)

    def require_now(self, count: int = 0) -> None:
        """Make sure that `count` bytes more fit, in one short look.

        Raises:
            StorageError: if they do not fit.
        """
        with storage_errors(f"looking for free space in {self.path}"):
            status = os.statvfs(self.path)
        self._check(status, count)

    def _check(self, status: os.statvfs_result, count: int) -> None:
        free, needed = status.f_bavail * status.f_frsize, max(count, 0)
        if free - needed < self.reserve:
            raise StorageError(
                f"the disk is full: {format_size(free)} free, {format_size(needed)} needed, "
                f"{format_size(self.reserve)} to be kept free (--min-free)"
            )
