"""Checking: is a file what its line says? Files are read; of objects the store can be asked, too.

What a store reports is what it has noted of an object when that was written: its size, and the
checksum that it proved then. Whether its bytes are still so, only reading them back shows.
"""

import hashlib
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Protocol, cast

from archiver.archive.checksum_manifest import open_file
from archiver.archive.layout import MANIFEST
from archiver.archive.other_manifests import algorithm_of, checksum_of
from archiver.archive.store import Reported, Store
from archiver.catalogue.store import Catalogue
from archiver.errors import StorageError
from archiver.fixity.reconcile import Listed
from archiver.fixity.report import Finding
from archiver.media.files import examine
from archiver.media.info import EXTENSIONS, Properties

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

LEADS_OUT = "it is a link that leads out of the archive"
_VIDEOS = tuple(f".{extension}" for extension in EXTENSIONS)
_MISSING = "it is listed, but not there"
_NO_CHECKSUM = "the store keeps no checksum of it: --read reads it back"


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found in checking a file."""

    finding: Finding | None
    """What is wrong with it, or with another file because of it."""
    size: int = 0
    said: Properties | None = None
    """What it says of itself, if it was looked at."""
    was_read: bool = True
    """Whether its bytes were read; else this is what the store reports."""


class Check(Protocol):
    """A way to check files. It is called in several threads."""

    def check(self, listed: Listed) -> Checked:
        """Compare a file with its line."""
        ...


class LocalFiles:
    """Reads files on the disk here, and hashes them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._describes = Catalogue.is_writable(store.layout.catalogue)  # else nobody remembers it

    def check(self, listed: Listed) -> Checked:
        """Read a file; return what is wrong with it, if anything, and what it is."""
        path = self._store.layout.at(listed.path)
        if os.path.islink(path) and self._store.leads_out(listed.path):  # noqa: PTH114
            return Checked(Finding("unreadable", listed.path, f"{LEADS_OUT}: it is not read"))
        try:
            with open_file(path) as file:
                actual, said = self._hash(listed, file)
                size = os.fstat(file.fileno()).st_size
            if actual == listed.sha256:
                return Checked(self._compare_others(listed), size, said)
        except FileNotFoundError:
            return Checked(Finding("missing", listed.path, _MISSING))
        except OSError as error:
            return Checked(Finding("unreadable", listed.path, error.strerror or str(error)))
        return Checked(_changed(listed, size, actual), size)

    def _hash(self, listed: Listed, file: io.FileIO) -> tuple[str, Properties | None]:
        """Return the checksum of a file, and what it says of itself if nobody knows that yet."""
        if self._describes and _is_to_describe(listed):
            return examine(file)
        return hashlib.file_digest(file, "sha256").hexdigest(), None

    def _compare_others(self, listed: Listed) -> Finding | None:
        """Return which manifest of another algorithm has another checksum of a file, if any."""
        for manifest, checksum in listed.others:
            if checksum_of(self._store.layout.at(listed.path), manifest) != checksum:
                return _differs(manifest, listed)
        return None


class ReadBack:
    """Reads objects back, and hashes them, by all algorithms at once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._describes = Catalogue.is_writable(store.layout.catalogue)

    def check(self, listed: Listed) -> Checked:
        """Read an object; return what is wrong with it, if anything, and what it is.

        Raises:
            StorageError: if it is not this object alone that the store does not give.
        """
        try:
            with self._store.blocks(listed.path) as blocks:
                return self._compare(listed, _Stream(blocks, listed.others))
        except FileNotFoundError:
            return Checked(Finding("missing", listed.path, _MISSING))
        except StorageError as error:
            self._store.reported(MANIFEST)  # a store that is gone says so again, and all ends
            return Checked(Finding("unreadable", listed.path, str(error)))

    def _compare(self, listed: Listed, stream: "_Stream") -> Checked:
        said: Properties | None = None
        if self._describes and _is_to_describe(listed):
            actual, said = examine(cast("BinaryIO", stream))
        else:
            actual = stream.sha256()
        if actual != listed.sha256:
            return Checked(_changed(listed, stream.size, actual), stream.size)
        wrong = next(stream.differing(), None)
        return Checked(_differs(wrong, listed) if wrong else None, stream.size, said)


class Reports:
    """Asks the store what it has noted of objects, and reads none but where that is ambiguous."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._read_back = ReadBack(store)

    def check(self, listed: Listed) -> Checked:
        """Ask for the size and the checksum of an object; return what is wrong with it.

        Raises:
            StorageError: if it is not this object alone of which the store says nothing.
        """
        try:
            reported = self._store.reported(listed.path)
        except StorageError as error:
            self._store.reported(MANIFEST)
            return _asked(Finding("unreadable", listed.path, str(error)))
        if reported and _is_ambiguous(reported, listed):
            return self._read_back.check(listed)
        return _asked(_wrong(reported, listed), reported.size if reported else 0)


class _Stream:
    """The bytes of an object that is read once, hashed by the algorithms of other manifests."""

    def __init__(self, blocks: Iterable[bytes], others: Sequence[tuple[str, str]]) -> None:
        self.size = 0
        self._blocks = iter(blocks)
        self._others: list[tuple[str, str, Hash]] = [
            (manifest, checksum, hashlib.new(algorithm_of(manifest)))
            for manifest, checksum in others
        ]

    def read(self, size: int = -1) -> bytes:  # noqa: ARG002 (it is read as blocks come)
        """Return the next bytes; none at the end."""
        block = next(self._blocks, b"")
        self.size += len(block)
        for *_, digest in self._others:
            digest.update(block)
        return block

    def sha256(self) -> str:
        """Read it to the end; return its checksum."""
        digest = hashlib.sha256()
        while block := self.read():
            digest.update(block)
        return digest.hexdigest()

    def differing(self) -> Iterator[str]:
        """Yield the manifests that have another checksum of what was read."""
        yield from (name for name, known, digest in self._others if digest.hexdigest() != known)


def _is_to_describe(listed: Listed) -> bool:
    return not listed.is_described and listed.path.endswith(_VIDEOS)


def _is_ambiguous(reported: Reported, listed: Listed) -> bool:
    """Return whether the checksum is right and the size is not: then only the bytes can say."""
    same = reported.sha256 == listed.sha256
    return same and listed.size is not None and reported.size != listed.size


def _wrong(reported: Reported | None, listed: Listed) -> Finding | None:
    """Return what is wrong with an object, by what the store reports of it."""
    if reported is None:
        return Finding("missing", listed.path, _MISSING)
    if reported.sha256 == listed.sha256:
        return None
    if reported.sha256:
        said = f"the store reports {reported.size:,} bytes with the checksum {reported.sha256[:16]}"
        return Finding("changed", listed.path, f"{said}…, not {listed.sha256[:16]}…")
    if listed.size is not None and reported.size != listed.size:
        said = f"the store reports {reported.size:,} bytes, and {listed.size:,} are recorded"
        return Finding("changed", listed.path, said)
    return Finding("unverified", listed.path, _NO_CHECKSUM)


def _asked(finding: Finding | None, size: int = 0) -> Checked:
    return Checked(finding, size, was_read=False)


def _changed(listed: Listed, size: int, actual: str) -> Finding:
    detail = f"its {size:,} bytes have the checksum {actual[:16]}…, not {listed.sha256[:16]}…"
    return Finding("changed", listed.path, detail)


def _differs(manifest: str, listed: Listed) -> Finding:
    return Finding("contradictory", manifest, f"it has another checksum of {listed.path}")
