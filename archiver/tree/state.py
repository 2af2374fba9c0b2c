"""The state of a tree: what we have put there, so that nothing else is ever touched.

It lies in the target, in one file of JSON lines: a heading, then a line for each link.
"""

import json
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from archiver.archive import durable
from archiver.errors import ConfigurationError, StorageError, storage_errors

DIRECTORY = ".archiver-links"
"""The directory in the target of everything that is not a link."""
_VERSION = 1

How: TypeAlias = Literal["link", "symbolic", "copy"]
"""What was asked for: a hard link or, where none can be made, a symbolic one; or always one of
these."""
Form: TypeAlias = Literal["hard", "symbolic", "copy"]


@dataclass(frozen=True, slots=True)
class Link:
    """What we have made, or are about to make."""

    path: str
    """In the target."""
    source: str
    """The path of the video in the archive."""
    how: How
    form: Form
    mark: str
    """What shows that it is unchanged: the number of a hard link's inode, the text of a symbolic
    link, a copy's size in bytes and when it was modified."""
    sha256: str
    date: str
    """The date in its name, in ISO 8601: it stays, though the archive may forget it."""


@dataclass(frozen=True, slots=True)
class State:
    """What there may be of ours: links, and directories; and to which archive they lead.

    Two links have one path where the one was about to take the place of the other.
    """

    archive: str = ""
    directories: frozenset[str] = frozenset()
    links: tuple[Link, ...] = ()


def load(target: Path) -> State:
    """Return the state of a target; an empty one if there is none.

    Raises:
        ConfigurationError: if a newer archiver wrote it.
        StorageError: if it cannot be read, or is damaged.
    """
    path = _file(target)
    with storage_errors(f"reading {path}"):
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return State()
    try:
        heading, *rest = map(json.loads, lines)
        links = (Link(*each) for each in rest if heading["version"] == _VERSION)
        state = State(heading["archive"], frozenset(heading["directories"]), tuple(links))
    except (ValueError, TypeError, KeyError):
        raise StorageError(
            f"{path} is damaged: delete it, and by hand any link that has no use any more"
        ) from None
    if heading["version"] != _VERSION:
        raise ConfigurationError(f"{path} was written by a newer archiver: upgrade this one")
    return state


def save(target: Path, state: State) -> None:
    """Replace the state of a target: at every instant the old or the new one is there.

    Raises:
        OSError: if the disk does not take it.
    """
    heading = {
        "version": _VERSION, "archive": state.archive, "directories": sorted(state.directories),
    }  # fmt: skip
    rows = (heading, *map(astuple, state.links))
    durable.replace(_file(target), (f"{json.dumps(row)}\n" for row in rows))


def _file(target: Path) -> Path:
    return target / DIRECTORY / "links.jsonl"
