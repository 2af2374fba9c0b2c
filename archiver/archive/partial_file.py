"""One file on its way: which output it is of, where it came from, and what has come of it."""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from archiver.archive.durable import sync
from archiver.errors import storage_errors
from archiver.media.validator import NotWhole, Proof, Prover

if TYPE_CHECKING:
    import io

_READ_SIZE = 1 << 20


@dataclass(frozen=True, slots=True)
class Slot:
    """Which output of a generation: `number` (from 1) `of` so many, and a digest of its link."""

    number: int
    of: int
    link: str

    @property
    def stem(self) -> str:
        """What the name of a payload staged for this slot begins with."""
        return f"{self.number}of{self.of}-{self.link}-"


@dataclass(frozen=True, slots=True)
class Origin:
    """Of which file on a server a part is, told by a validator (RFC 9110, 8.8).

    `place` is where the validator was given, and where alone it holds: a digest of the URL for a
    date, and everywhere ("") for a strong entity tag. `boot` is when the part was begun: what a
    machine had not flushed before it lost its power may read as zeros, so a part is continued
    only on the machine that is still up.
    """

    validator: str
    place: str
    length: int | None
    boot: str


def this_boot() -> str:
    """Return what tells this boot of the machine from others; "" where nothing does."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


class Part:
    """A file being staged: what is written to it is hashed and proven in the same pass.

    Nothing is on disk before the first bytes are, so that a small video costs one visit to it.
    Its methods block: call them in a thread.
    """

    def __init__(self, directory: Path | str, slot: Slot, prepare: Callable[[], None]) -> None:
        """Name the part for `slot`; `prepare` is called before anything is put there."""
        self._directory = directory
        self.name = f"{slot.stem}.part"
        self.slot = slot
        self._prepare = prepare
        self.origin: Origin | None = None
        self.kept = False
        self.held: bytes | None = None
        """All of it, where it is not on the disk."""
        self._file: io.FileIO | None = None
        self._begin()

    @property
    def path(self) -> Path:
        """Where it is."""
        return Path(self._directory, self.name)

    def take_up(self) -> None:
        """Take up what an earlier try has left, if it is known of which file that is a part."""
        self.origin = self._read_origin()
        if not self.origin or not self.path.exists():
            return
        try:
            with storage_errors(f"reading {self.path}"), self.path.open("rb", buffering=0) as file:
                while block := file.read(_READ_SIZE):
                    self._take(memoryview(block))
        except NotWhole:
            self.restart()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write all of `data`.

        Raises:
            NotWhole: if these bytes can no longer become a video.
            StorageError: if the disk does not take them.
        """
        rest = view = memoryview(data).cast("B")
        with storage_errors(f"writing {self.path}"):
            if not self._file:
                self._prepare()
                self._file = self.path.open("ab" if self.bytes else "wb", buffering=0)
            self._take(view)
            while rest:
                rest = rest[self._file.write(rest) :]

    def writelines(self, blocks: Sequence[bytes]) -> None:
        """Write blocks, one after the other.

        Raises:
            NotWhole: if these bytes can no longer become a video.
            StorageError: if the disk does not take them.
        """
        self.write(b"".join(blocks))

    def hold(self, blocks: Sequence[bytes]) -> None:
        """Take blocks, which are all there is of it, and keep them in memory.

        Raises:
            NotWhole: if these bytes can no longer become a video.
        """
        data = b"".join(blocks)
        self._take(memoryview(data))
        self.held = data

    def restart(self, origin: Origin | None = None) -> None:
        """Throw away what there is, and begin anew with a file of this origin."""
        self.close()
        with storage_errors(f"writing {self.path}"):
            self.path.unlink(missing_ok=True)
            self._origin_path.unlink(missing_ok=True)
            self.origin = origin
            if origin:
                self._prepare()
                self._origin_path.write_text(json.dumps(asdict(origin)))
        self._begin()

    def finish(self) -> Proof:
        """Return the proof that what was written is one whole video.

        Raises:
            NotWhole: if it is not.
        """
        return self._prover.finish()

    @property
    def sha256(self) -> str:
        """The checksum of what was written so far, in hexadecimal."""
        return self._digest.hexdigest()

    def keep_as(self, path: Path) -> None:
        """Flush it to the disk, close it and give it another name."""
        with storage_errors(f"keeping {self.path}"):
            if self._file:
                os.fsync(self._file.fileno())
            else:
                sync(self.path)
            self.close()
            self.path.rename(path)
            self.kept = True
            if self.origin:
                self._origin_path.unlink(missing_ok=True)

    def leave(self) -> None:
        """Close it; what has come of it stays if a later try can go on from there."""
        self.close()
        with storage_errors(f"leaving {self.path}"):
            if not self.origin or not self.bytes:
                self.path.unlink(missing_ok=True)
                self._origin_path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file, if it is open."""
        file, self._file = self._file, None
        if file:
            with storage_errors(f"closing {self.path}"):
                file.close()

    @property
    def _origin_path(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    def _read_origin(self) -> Origin | None:
        try:
            origin = Origin(**json.loads(self._origin_path.read_bytes()))
        except (OSError, ValueError, TypeError):
            return None
        return origin if origin.boot and origin.boot == this_boot() else None

    def _begin(self) -> None:
        self.bytes = 0
        self.held = None
        self._digest = hashlib.sha256()
        self._prover = Prover()

    def _take(self, view: memoryview) -> None:
        self._prover.feed(view)
        self._digest.update(view)
        self.bytes += len(view)
