"""Tag files: `bagit.txt` and `bag-info.txt` (RFC 8493, 2.1.1 and 2.2.2)."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from archiver.archive.durable import replace
from archiver.archive.layout import Layout
from archiver.errors import storage_errors
from archiver.version import __version__

_DECLARATION = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
_DECLARED = re.compile(
    r"BagIt-Version: [01]\.[0-9]+[ \t]*\nTag-File-Character-Encoding: (\S+)[ \t]*\n?"
)
_OXUM = re.compile(r"Payload-Oxum[ \t]*:[ \t]*(.*)", re.IGNORECASE)
SHARD = "Archiver-Shard"
"""The tag that names the shard whose archive this is."""
_SHARD = re.compile(rf"{SHARD}[ \t]*:[ \t]*(.*)", re.IGNORECASE | re.DOTALL)
_OURS = re.compile(r"(Payload-Oxum|Bagging-Date|Bag-Software-Agent)[ \t]*:", re.IGNORECASE)


def declare(layout: Layout) -> None:
    """Write `bagit.txt`, if there is none.

    Raises:
        OSError: if the disk does not take it.
    """
    if not layout.declaration.exists():
        declare_anew(layout)


def declare_anew(layout: Layout) -> None:
    """Write `bagit.txt`, whatever is there.

    Raises:
        OSError: if the disk does not take it.
    """
    replace(layout.declaration, [_DECLARATION])


def is_ours(layout: Layout) -> bool:
    """Return whether `bagit.txt` is just what we write.

    Raises:
        OSError: if it cannot be read.
    """
    return _text(layout.declaration) == _DECLARATION


def is_our_page(path: Path) -> bool:
    """Return whether a page is one that we write, of this version or another.

    Raises:
        OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        return b'<meta name="generator" content="archiver ' in file.read(4096)


def declared_encoding(layout: Layout) -> str | None:
    """Return the encoding of tag files that `bagit.txt` declares; None if it makes no sense.

    Raises:
        OSError: if it cannot be read.
    """
    declared = _DECLARED.fullmatch(_text(layout.declaration))
    return declared[1].upper() if declared else None


def describe(layout: Layout, files: int, payload_bytes: int) -> None:
    """Bring `bag-info.txt` up to date, if it is not. Other people's tags in it are kept.

    Raises:
        StorageError: if the disk does not take it.
    """
    oxum = f"{payload_bytes}.{files}"
    with storage_errors(f"writing {layout.info}"):
        if payload_oxums(layout) == [oxum]:
            return
        kept = other_tags(_text(layout.info))
        date = f"Bagging-Date: {datetime.now(UTC).date().isoformat()}"
        agent = f"Bag-Software-Agent: archiver {__version__}"
        write(layout, [*kept, agent, date, f"Payload-Oxum: {oxum}"])


def other_tags(info: str) -> list[str]:
    """Return the elements of a text of `bag-info.txt` that are not ours, but other people's."""
    return [element for element in _elements(info) if not _OURS.match(element)]


def values(info: str, label: str) -> list[str]:
    """Return what a text of `bag-info.txt` has under a label."""
    found = (element.partition(":") for element in _elements(info))
    return [value.strip() for name, _, value in found if name.strip().lower() == label.lower()]


def write(layout: Layout, elements: Sequence[str]) -> None:
    """Write `bag-info.txt`, durably.

    Raises:
        OSError: if the disk does not take it.
    """
    replace(layout.info, (f"{element}\n" for element in elements))


def payload_oxums(layout: Layout) -> list[str]:
    """Return what `bag-info.txt` says that the payload is, as `<bytes>.<files>`; hardly ever twice.

    Raises:
        OSError: if it cannot be read.
    """
    found = map(_OXUM.fullmatch, _elements(_text(layout.info)))
    return [match[1].strip() for match in found if match]


def shard_marks(layout: Layout) -> list[str]:
    """Return what `bag-info.txt` says whose shard's archive this is; hardly ever twice.

    Raises:
        OSError: if it cannot be read.
    """
    found = map(_SHARD.fullmatch, _elements(_text(layout.info)))
    return [match[1].strip() for match in found if match]


def mark_shard(layout: Layout, shard: str) -> None:
    """Say in `bag-info.txt`, durably, whose shard's archive this is.

    Raises:
        OSError: if the disk does not take it.
    """
    elements = [*_elements(_text(layout.info)), f"{SHARD}: {shard}"]
    replace(layout.info, (f"{element}\n" for element in elements))


def _elements(info: str) -> list[str]:
    """Return the elements of `bag-info.txt`, each with the lines that it is folded into."""
    elements: list[str] = []
    for line in info.split("\n"):
        if line[:1] in (" ", "\t") and elements:
            elements[-1] += f"\n{line}"
        elif line:
            elements.append(line)
    return elements


def _text(path: Path) -> str:
    if not path.is_file():
        return ""
    return path.read_text(encoding="utf-8", errors="surrogateescape")
