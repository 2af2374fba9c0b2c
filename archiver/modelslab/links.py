"""Links: the outputs that a success lists, in any shape, each with its proxies."""

import re
from collections.abc import Sequence

from archiver.outputs import Link, Output, link_path


def primary_links(value: object) -> list[str] | None:
    """Return the URL of each output in the field `output`, or None if one has none yet.

    A list, one URL, and objects that contain URLs all occur. No URL is returned twice.
    """
    entries = _entries(value)
    if not all(entries):
        return None
    return list(dict.fromkeys(entry[0] for entry in entries))


def proxy_links(value: object) -> list[str]:
    """Return the URLs in the field `proxy_links`, none of them twice."""
    return list(dict.fromkeys(_urls(value)))


def paired_outputs(primaries: Sequence[str], proxies: Sequence[str]) -> tuple[Output, ...]:
    """Return one output for each primary link, with its proxies after it.

    Where there are only proxies, those with one path are one output.
    """
    links = (
        [_with_proxies(place, primaries, proxies) for place in range(len(primaries))]
        if primaries
        else _grouped_by_path(proxies)
    )
    return tuple(Output(tuple(each), number, len(links)) for number, each in enumerate(links, 1))


def _with_proxies(place: int, primaries: Sequence[str], proxies: Sequence[str]) -> list[Link]:
    primary = primaries[place]
    others = (url for url in _proxies_of(place, primaries, proxies) if url != primary)
    return [Link(primary, "primary"), *(Link(url, "proxy") for url in others)]


def _grouped_by_path(proxies: Sequence[str]) -> list[list[Link]]:
    groups: dict[str, list[Link]] = {}
    for url in proxies:
        groups.setdefault(link_path(url), []).append(Link(url, "proxy"))
    return list(groups.values())


def _proxies_of(place: int, primaries: Sequence[str], proxies: Sequence[str]) -> Sequence[str]:
    """Return the proxies of the primary at `place`: by file name where names differ, else by place.

    For a single output every proxy is a candidate. Where some names show which proxy belongs to
    which output, places are not trusted: a wrong pair would archive one video as another.
    """
    if len(primaries) == 1:
        return proxies
    names = [_file_name(url) for url in primaries]
    others = [_file_name(url) for url in proxies]
    name = names[place]
    if names.count(name) == 1 and name in others:
        return [url for url in proxies if _file_name(url) == name]
    by_place = set(names).isdisjoint(others) or len({*names, *others}) == 1
    return [proxies[place]] if by_place and len(names) == len(others) else []


def _file_name(url: str) -> str:
    return link_path(url).rpartition("/")[2]


def _entries(value: object) -> list[list[str]]:
    """Return the URLs of each entry; a nested list stands for its entries."""
    if not isinstance(value, list):
        return [_urls(value)] if value else []
    return [
        entry
        for item in value
        for entry in (_entries(item) if isinstance(item, list) else [_urls(item)])
    ]


def _urls(value: object, depth: int = 3) -> list[str]:
    """Return the URLs in a value: of an object only those of its fields that look like one."""
    match value:
        case str() if value.strip():
            return [value.strip()]
        case list() if depth:
            return [url for item in value for url in _urls(item, depth - 1)]
        case dict() if depth:
            found = [url for item in value.values() for url in _urls(item, depth - 1)]
            return [url for url in found if re.match(r"https?://", url, re.IGNORECASE)]
        case _:
            return []
