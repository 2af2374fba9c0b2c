"""The layout of an archive: where each of its files lies."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

MANIFEST = "manifest-sha256.txt"
"""The checksum manifest's name (RFC 8493, 2.1.3)."""
STATE = ".archiver"
"""The directory of everything that is not part of the bag."""
INCOMING = f"{STATE}/incoming"
QUARANTINE = f"{STATE}/quarantine"
PAGE = "index.html"
"""The page that shows the archive in a browser, where somebody has asked for it."""
GALLERY = f"{STATE}/browse"


@dataclass(frozen=True)
class Layout:
    """The places in the archive at `root`."""

    root: Path

    @cached_property
    def _prefix(self) -> str:
        return f"{self.root}/"

    def at(self, path: str) -> str:
        """Return where a path of the archive is. A run asks for many: pathlib is too slow."""
        return self._prefix + path

    @property
    def declaration(self) -> Path:
        """The file that makes it a bag."""
        return self.root / "bagit.txt"

    @property
    def info(self) -> Path:
        """The bag's metadata."""
        return self.root / "bag-info.txt"

    @property
    def manifest(self) -> Path:
        """The checksum manifest."""
        return self.root / MANIFEST

    @property
    def data(self) -> Path:
        """The payload directory."""
        return self.root / "data"

    @property
    def state(self) -> Path:
        """The directory of the catalogue, the lock, the journal, what is staged, the quarantine."""
        return self.root / STATE

    @property
    def catalogue(self) -> Path:
        """The catalogue's file."""
        return self.state / "catalogue.sqlite"

    @property
    def lock(self) -> Path:
        """The file that names the holder of the lock."""
        return self.state / "lock"

    @property
    def journal(self) -> Path:
        """The journal, by the name it has had from the first version on."""
        return self.state / "settling.json"

    @property
    def incoming(self) -> Path:
        """The directory of what is staged: a directory for each generation."""
        return self.root / INCOMING

    @property
    def quarantine(self) -> Path:
        """The directory of files that were moved aside."""
        return self.root / QUARANTINE

    @property
    def page(self) -> Path:
        """The page that shows the archive in a browser."""
        return self.root / PAGE

    @property
    def gallery(self) -> Path:
        """The directory of what that page needs."""
        return self.root / GALLERY
