"""Outputs: the videos of a generation, and the links to each."""

import hashlib
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

_PLAIN = re.compile(r"https?://[A-Za-z0-9.:_-]*(/[!-\"$->@-~]*)(?:[?#][!-~]*)?")
"""Most URLs; the others take longer to be split."""

Role: TypeAlias = Literal["primary", "proxy"]


@dataclass(eq=False, slots=True)
class Inline:
    """The bytes of a payload that came with the response itself, until they are released."""

    data: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Link:
    """A URL that may serve the payload of an output; that of an inline payload is its name."""

    url: str
    role: Role
    inline: Inline | None = field(default=None, compare=False, repr=False)

    @property
    def path(self) -> str:
        """The URL's path, which outlives its signature and its host."""
        return link_path(self.url)


@dataclass(frozen=True)
class Output:
    """One video of a generation: its links, in the order in which to try them.

    It is output `number` (from 1) `of` as many.
    """

    links: tuple[Link, ...]
    number: int = 1
    of: int = 1

    @cached_property
    def key(self) -> str:
        """A digest of the first link's path: the same output has the same key on a later run."""
        path = self.links[0].path.encode(errors="replace")
        return hashlib.sha256(path).hexdigest()[:16]


def link_path(url: str) -> str:
    """Return a URL's path, without its query, which changes when it is signed anew, or its host."""
    if plain := _PLAIN.fullmatch(url):
        return plain[1]
    try:
        return urlsplit(url).path
    except ValueError:
        return url
