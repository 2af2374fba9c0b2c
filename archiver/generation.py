"""A generation: its identity, and the names and paths that follow from it."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_ENDPOINT = re.compile(
    r"(?:(?P<version>v[1-9][0-9]?)/)?(?P<enterprise>enterprise/)?(?P<family>[a-z0-9][a-z0-9_-]{0,39})"
)
_NO_FAMILY = re.compile(r"v[0-9]+|enterprise|fetch")
_NUMBERED = re.compile(r"(?P<id>.+)-(?P<number>[1-9][0-9]*)")
_PATH = re.compile(r"data/(?P<endpoint>.+)/(?P<stem>[^/.]+)\.(?P<extension>[a-z0-9]+)")
_ENTRY = re.compile(r"\.entry(?:-(?P<number>[2-9]|[1-9][0-9]{1,2}))?\.json\Z")
_RENAMED = {"faceswap": "deepfake"}
"""The provider renamed `deepfake` in its documentation in 2026-02; they are one service."""
_ONLY_IN = {"video-fusion": "v7"}
"""Families that were never part of v6: a bare family means that version otherwise."""
LISTED = "v6/assets_generated"
"""The endpoint that lists one's own generations, and the family of those that no other knows."""


@dataclass(frozen=True, slots=True, order=True)
class Generation:
    """One request that ModelsLab has worked on: the unit of work.

    `endpoint` is canonical (`v6/deepfake`) and `id` holds nothing but ``[A-Za-z0-9_-]``,
    so every name that follows from a generation is safe as a path.
    """

    endpoint: str
    id: str

    @classmethod
    def of(cls, endpoint: str, id_: str) -> Self:
        """Return the generation of an endpoint, in any spelling, and an ID.

        Raises:
            ValueError: if either is not understood; the message has what was expected.
        """
        if not _ID.fullmatch(id_):
            raise ValueError("expected an ID of 1 to 128 letters, digits, '_' or '-'")
        return cls(canonical_endpoint(endpoint), id_)

    @classmethod
    def from_name(cls, name: str) -> Self:
        """Return the generation of a full `name`: `v6/deepfake/263`."""
        endpoint, _, id_ = name.rpartition("/")
        return cls(endpoint, id_)

    @property
    def name(self) -> str:
        """The full name: `v6/deepfake/263`."""
        return f"{self.endpoint}/{self.id}"

    def __str__(self) -> str:
        return self.name

    @property
    def fetch_path(self) -> str:
        """The *Fetch Queued Request* path below the API's URL: `v6/deepfake/fetch/263`."""
        return f"{self.endpoint}/fetch/{self.id}"

    @property
    def other_fetch_path(self) -> str | None:
        """The same under the family's other name, where it has one."""
        version, _, family = self.endpoint.rpartition("/")
        for new, old in _RENAMED.items():
            if family == old:
                return f"{version}/{new}/fetch/{self.id}"
        return None

    @property
    def sidecar_path(self) -> str:
        """Where in the archive the API's response is: `data/v6/deepfake/263.json`."""
        return f"data/{self.name}.json"

    def entry_path(self, number: int = 1) -> str:
        """Return where in the archive is what manifests say: `data/v6/deepfake/263.entry.json`.

        What they say later, and that has not, is in `263.entry-2.json`, and so on.
        """
        return f"data/{self.name}.entry{f'-{number}' if number > 1 else ''}.json"

    def payload_path(self, number: int, of: int, extension: str) -> str:
        """Return where in the archive output `number` (from 1) `of` as many is.

        The number is part of the name where there are several outputs, and also where the ID
        itself ends in a hyphen and a number: output 1 of `263` and generation `263-1` would
        otherwise share a file.
        """
        numbered = of > 1 or _NUMBERED.fullmatch(self.id)
        return f"data/{self.name}{f'-{number}' if numbered else ''}.{extension}"


@lru_cache
def canonical_endpoint(spelling: str) -> str:
    """Return the one spelling of an endpoint: `faceswap` gives `v6/deepfake`.

    A bare family means v6 (`enterprise/…` means v1); `deepfake` and `faceswap` are one.

    Raises:
        ValueError: if it is no endpoint.
    """
    match = _ENDPOINT.fullmatch(spelling.strip().strip("/").lower()) if spelling.isascii() else None
    if not match or _NO_FAMILY.fullmatch(match["family"]):
        raise ValueError(
            "expected an endpoint such as deepfake, v7/video-fusion or v1/enterprise/video"
        )
    family = _RENAMED.get(match["family"], match["family"])
    enterprise = match["enterprise"] or ""
    version = match["version"] or ("v1" if enterprise else _ONLY_IN.get(family, "v6"))
    return f"{version}/{enterprise}{family}"


def entry_number(path: str) -> int | None:
    """Return which of the sidecars with what manifests say is at `path`, if it is one of them."""
    match = _ENTRY.search(path)
    return int(match["number"] or 1) if match else None


def generation_at(path: str) -> Generation | None:
    """Return the generation whose file lies at `path` in an archive, or None if none's would.

    The inverse of `sidecar_path`, `entry_path` and `payload_path`.
    """
    match = _PATH.fullmatch(_ENTRY.sub(".json", path))
    if not match:
        return None
    id_ = match["stem"]
    numbered = _NUMBERED.fullmatch(id_)
    if numbered and match["extension"] != "json":
        id_ = numbered["id"]
    try:
        generation = Generation.of(match["endpoint"], id_)
    except ValueError:
        return None
    return generation if generation.endpoint == match["endpoint"] else None
