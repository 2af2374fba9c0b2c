"""Tag files: `bagit.txt` and `bag-info.txt` (RFC 8493, 2.1.1 and 2.2.2)."""

from datetime import UTC, datetime
from pathlib import Path

from archiver.archive.durable import replace
from archiver.archive.layout import Layout
from archiver.errors import storage_errors
from archiver.version import __version__

_DECLARATION = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
_OURS = ("Payload-Oxum:", "Bagging-Date:", "Bag-Software-Agent:")


def declare(layout: Layout) -> None:
    """Write `bagit.txt`, if there is none.

    Raises:
        OSError: if the disk does not take it.
    """
    if not layout.declaration.exists():
        replace(layout.declaration, [_DECLARATION])


def describe(layout: Layout, files: int, payload_bytes: int) -> None:
    """Bring `bag-info.txt` up to date, if it is not. Other people's tags in it are kept.

    Raises:
        StorageError: if the disk does not take it.
    """
    oxum = f"Payload-Oxum: {payload_bytes}.{files}"
    with storage_errors(f"writing {layout.info}"):
        old = _lines(layout.info)
        if oxum in old:
            return
        kept = [line for line in old if not line.startswith(_OURS)]
        date = f"Bagging-Date: {datetime.now(UTC).date().isoformat()}"
        agent = f"Bag-Software-Agent: archiver {__version__}"
        replace(layout.info, (f"{line}\n" for line in [*kept, agent, date, oxum]))


def _lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    return path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
