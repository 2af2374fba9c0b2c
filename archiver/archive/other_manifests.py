"""Other manifests: those that other programs add to a bag, beside our checksum manifest.

A library such as bagit-python writes tag manifests, `tagmanifest-md5.txt`, and the checksums of
the payload in other algorithms, `manifest-sha512.txt` (RFC 8493, 2.1.3 and 2.2.1). They must not
be left wrong: a bag in which one of them is does not validate.
"""

import hashlib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from archiver.archive import tags
from archiver.archive.checksum_manifest import open_file, payload_path
from archiver.archive.durable import replace
from archiver.archive.layout import MANIFEST, PAGE, STATE, Layout

_LINE = re.compile(r"(?P<checksum>[0-9a-fA-F]+)[ \t]+\*?(?:\./)*(?P<name>[^\r\n]+?)\s*")


def payload_manifests(layout: Layout) -> list[Path]:
    """Return the checksum manifests of other algorithms.

    Raises:
        OSError: if the archive cannot be listed.
    """
    found = sorted(layout.root.glob("manifest-*.txt"))
    return [path for path in found if path.name != MANIFEST]


def tag_manifests(layout: Layout) -> list[Path]:
    """Return the manifests of tag files.

    Raises:
        OSError: if the archive cannot be listed.
    """
    return sorted(layout.root.glob("tagmanifest-*.txt"))


def is_known(manifest: Path) -> bool:
    """Return whether we can compute the checksums of a manifest's algorithm."""
    try:
        return hashlib.new(algorithm_of(manifest.name)).digest_size > 0
    except ValueError:
        return False


def bring_up_to_date(layout: Layout, manifest: Path) -> bool:
    """Write into a tag manifest the checksums of our tag files; return whether any was another.

    So that of our page, if it is listed. Lines of other tag files stay, but for those of checksum
    manifests that are gone, and of what is in `.archiver`: that is no part of the bag, and changes
    with each run.

    Raises:
        OSError: if the disk fails.
    """
    old = list(_lines(manifest))
    ours = {
        name: f"{checksum_of(layout.root / name, manifest.name)}  {name}\n"
        for name in _our_tag_files(layout, [line.name for line in old])
    }
    kept = [
        line.text
        for line in old
        if line.name not in ours
        and not _is_state(line.name)
        and not _is_of_a_manifest_that_is_gone(layout, line.name)
    ]
    if len(kept) + len(ours) == len(old) and all(line.is_one_of(ours) for line in old):
        return False
    replace(manifest, [*kept, *ours.values()])
    return True


def payload_lines(manifest: Path) -> Iterator[tuple[str, str]]:
    """Yield what the checksum manifest of another algorithm lists: paths, and their checksums.

    The checksum is "" if it cannot be computed here; a line that makes no sense is its own path.

    Raises:
        OSError: if it cannot be read.
    """
    known = is_known(manifest)
    for line in _lines(manifest):
        yield payload_path(line.name) or line.name, line.checksum if known else ""


def listed_files(manifest: Path) -> list[str]:
    """Return the names of the files that a tag manifest lists and that may be read.

    Raises:
        OSError: if it cannot be read.
    """
    names = (line.name for line in _lines(manifest) if line.checksum)
    return [name for name in names if not _is_state(name) and not _leads_out(name)]


def algorithm_of(manifest: str) -> str:
    """Return the algorithm of the manifest of this name, as hashlib calls it."""
    name = manifest.rpartition("manifest-")[2].removesuffix(".txt")
    return name.replace("-", "_").lower()


def checksum_of(path: Path | str, manifest: str) -> str:
    """Return a file's checksum, as the manifest of this name has it.

    Raises:
        OSError: if it cannot be read.
    """
    with open_file(path) as file:
        return hashlib.file_digest(file, algorithm_of(manifest)).hexdigest()


def wrong_lines(layout: Layout, manifest: Path) -> Iterator[tuple[str, str]]:
    """Yield what a tag manifest lists and is not so: the name of the file, and what is wrong.

    Raises:
        OSError: if the manifest cannot be read.
    """
    known = is_known(manifest)
    for line in _lines(manifest):
        path = layout.root / line.name
        if _leads_out(line.name):
            yield line.name, "leads out of the archive: it is not read"
        elif _is_state(line.name):
            yield line.name, "changes with each run: the next backup removes the line"
        elif not line.checksum:
            yield line.name, "is not a checksum line"
        elif not path.is_file():
            yield line.name, "is listed, but not there"
        elif known and checksum_of(path, manifest.name) != line.checksum:
            yield line.name, "does not match its checksum"


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a tag manifest: as it is written, and what it says; no checksum if nothing."""

    text: str
    checksum: str
    name: str

    def is_one_of(self, ours: dict[str, str]) -> bool:
        """Return whether it says what our line of that name says, if there is one."""
        return self.name not in ours or ours[self.name].startswith(f"{self.checksum} ")


def _lines(manifest: Path) -> Iterator[_Line]:
    for text in manifest.read_text(encoding="utf-8", errors="surrogateescape").split("\n"):
        if found := _LINE.fullmatch(text):
            yield _Line(f"{text}\n", found["checksum"].lower(), found["name"])
        elif text.strip():
            yield _Line(f"{text}\n", "", text.strip())


def _our_tag_files(layout: Layout, listed: Collection[str]) -> Iterator[str]:
    """Yield the names of the tag files that we write, and so of those that a manifest lists."""
    yield from (name for name in (MANIFEST, layout.info.name) if (layout.root / name).is_file())
    if layout.declaration.is_file() and tags.is_ours(layout):
        yield layout.declaration.name
    if PAGE in listed and layout.page.is_file() and tags.is_our_page(layout.page):
        yield PAGE


def _is_state(name: str) -> bool:
    return name.startswith(f"{STATE}/")


def _leads_out(name: str) -> bool:
    return name.startswith("/") or ".." in name.split("/")


def _is_of_a_manifest_that_is_gone(layout: Layout, name: str) -> bool:
    return bool(re.fullmatch(r"manifest-\w+\.txt", name)) and not (layout.root / name).exists()
