"""The pages of the account's own generations, as awkward as they may be.

No family, date, prompt or proxies; the pages shift while videos are made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from archiver.emulator.scripts import ListingScript, Script, id_spelled
from archiver.generation import Generation

_MOST = 30
_USUALLY = 10
_KINDS = ("image", "video", "voice", "3d")

Scripts: TypeAlias = Mapping[Generation, Script]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request for a page asks for."""

    kind: str
    per_page: int
    page: int

    @classmethod
    def of(cls, body: Mapping[str, object]) -> "Asked | None":
        """Return what a request's body asks for, or None if it has another form."""
        kind, per_page, page = body.get("type"), body.get("per_page", _USUALLY), body.get("page", 1)
        if kind not in _KINDS or not isinstance(per_page, int) or not isinstance(page, int):
            return None
        return cls(str(kind), per_page, page) if 1 <= per_page <= _MOST and page >= 1 else None


def listed(scripts: Scripts, script: ListingScript, kind: str, pages: int) -> list[Generation]:
    """Return what is listed as of this kind after this number of pages, in its order."""
    hidden = script.arriving[pages * script.arrivals :]
    found = [
        one
        for one, its in scripts.items()
        if its.listed and _kind(its) == kind and one not in hidden
    ]
    return found[::-1] if script.newest_first else found


def page(
    items: Sequence[tuple[Generation, list[str]]], asked: Asked, script: ListingScript
) -> dict[str, object]:
    """Return the body of a page of these generations, each with its links."""
    first = (asked.page - 1) * asked.per_page
    here = [
        {"id": id_spelled(one.id, script.ids), "output": links}
        for one, links in items[first : first + asked.per_page]
    ]
    data: object = here if script.shape == "list" else {str(n): each for n, each in enumerate(here)}
    body = {"status": "success", "type": asked.kind, "data": data}
    pagination = {
        "current_page": asked.page,
        "per_page": asked.per_page,
        "total": len(items),
        "last_page": max(1, -(-len(items) // asked.per_page)),
        "from": first + 1 if here else None,
        "to": first + len(here) if here else None,
    }
    return body | {"pagination": pagination} if script.pagination else body


def _kind(script: Script) -> str:
    return "image" if all(output.suffix == "gif" for output in script.outputs) else "video"
