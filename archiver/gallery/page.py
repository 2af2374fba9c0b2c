"""The page itself: `index.html` in the archive, and its styles and scripts beside the data."""

from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from archiver.archive import other_manifests
from archiver.archive.layout import GALLERY, PAGE
from archiver.archive.lock import locked
from archiver.archive.store import Store
from archiver.archive.tags import is_our_page
from archiver.errors import ConfigurationError, storage_errors
from archiver.gallery import scripts
from archiver.version import __version__

_TEMPLATE = "index.html.jinja"
_LOCK_WAIT = 60.0
"""How long to wait for a backup, in seconds, where a tag manifest lists the page."""


class Page:
    """The page of an archive."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._path = store.layout.page

    def check(self) -> None:
        """Make sure that no other page stands in the place of ours.

        Raises:
            ConfigurationError: if one does.
            StorageError: if it cannot be read.
        """
        where = f"{self._store.name}/{PAGE}"
        with storage_errors(f"reading {where}"), self._store.local(PAGE) as path:
            if path.exists() and not is_our_page(path):
                raise ConfigurationError(
                    f"{where} is not a page of this program: move it elsewhere first"
                )

    def write(self) -> None:
        """Write what differs from what is there: first what the page needs, then the page.

        Raises:
            OSError: if the disk does not take it.
            ArchiveLocked: if a tag manifest lists the page, and a run holds the archive for long.
        """
        assets = _assets()
        directory = self._store.layout.gallery
        changed = {name: data for name, data in assets.items() if _differs(directory / name, data)}
        if changed:
            scripts.write(directory, changed)
        text = _rendered(_title(self._store), assets)
        if _differs(self._path, text):
            scripts.write(self._path.parent, {self._path.name: text})
            self._relist()

    def _relist(self) -> None:
        """Bring the tag manifests up to date that list the page, as a backup would."""
        layout = self._store.layout
        if other_manifests.tag_manifests(layout):
            with locked(layout.lock, _LOCK_WAIT):
                for manifest in other_manifests.tag_manifests(layout):
                    if other_manifests.is_known(manifest):
                        other_manifests.bring_up_to_date(layout, manifest)


def asset_names() -> list[str]:
    """Return the names of what the page needs beside the data."""
    return [*_assets()]


def _title(store: Store) -> str:
    where = store.name if store.is_shared else str(store.layout.root.absolute())
    return where.rpartition("/")[2]


def _assets() -> dict[str, bytes]:
    """Return the styles, the scripts and the icon, by their names."""
    found = sorted((files("archiver.gallery") / "page").iterdir(), key=lambda file: file.name)
    return {file.name: file.read_bytes() for file in found if file.name != _TEMPLATE}


def _rendered(name: str, assets: dict[str, bytes]) -> bytes:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    source = (files("archiver.gallery") / "page" / _TEMPLATE).read_text(encoding="utf-8")
    urls = {name: f"{GALLERY}/{name}?{scripts.digest(data)}" for name, data in assets.items()}
    text = environment.from_string(source).render(name=name, version=__version__, urls=urls)
    return text.encode("utf-8", errors="replace")


def _differs(path: Path, data: bytes) -> bool:
    return not path.is_file() or path.read_bytes() != data
