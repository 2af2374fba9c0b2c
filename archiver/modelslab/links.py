"""Links: the outputs that a success lists, in any shape, each with its proxies."""

import json
import re
from collections.abc import Sequence

from archiver.outputs import Link, Output, link_path

_DEPTH = 8
"""Values nested more deeply list no links."""
_BETWEEN = re.compile(r",\s*+(?=https?://)", re.IGNORECASE)
"""A comma may be part of a URL, unless another URL follows it."""
_LINK = re.compile(r"https?://|data:", re.IGNORECASE)
_OF_THE_VIDEO = ("url", "urls", "video_url", "video", "videos", "output_url", "output", "link")
"""Where an object has one of these fields, the URLs in its other fields are of something else."""
_OF_A_PICTURE = {"thumbnail", "thumbnail_url", "thumb", "poster", "preview", "cover"}


def primary_links(value: object) -> list[str] | None:
    """Return the URL of each output in a field like `output`, or None if one has none yet.

    Lists, maps with digits for keys, one URL, JSON in a string and objects that contain URLs all
    occur. No URL is returned twice.
    """
    entries = _entries(value, _DEPTH)
    if not all(entries):
        return None
    return list(dict.fromkeys(entry[0] for entry in entries))


def proxy_links(value: object) -> list[str]:
    """Return the URLs in the field `proxy_links`, none of them twice."""
    return list(dict.fromkeys(url for entry in _entries(value, _DEPTH) for url in entry))


def paired_outputs(primaries: Sequence[str], proxies: Sequence[str]) -> tuple[Output, ...]:
    """Return one output for each primary link, with its proxies after it.

    Where there are only proxies, those with one path are one output.
    """
    links = _with_proxies(primaries, proxies) if primaries else _grouped_by_path(proxies)
    return tuple(Output(tuple(each), number, len(links)) for number, each in enumerate(links, 1))


def _with_proxies(primaries: Sequence[str], proxies: Sequence[str]) -> list[list[Link]]:
    links = [[Link(url, "primary")] for url in primaries]
    for url, place in zip(proxies, _owners(primaries, proxies), strict=True):
        if place is not None and url != primaries[place]:
            links[place].append(Link(url, "proxy"))
    return links


def _grouped_by_path(proxies: Sequence[str]) -> list[list[Link]]:
    groups: dict[str, list[Link]] = {}
    for url in proxies:
        groups.setdefault(link_path(url), []).append(Link(url, "proxy"))
    return list(groups.values())


def _owners(primaries: Sequence[str], proxies: Sequence[str]) -> list[int | None]:
    """Return for each proxy the place of its primary, or None where that is not sure.

    For a single output every proxy is a candidate. Of several, paths and file names show which
    proxy belongs to which. The places count for the rest if there are as many proxies as outputs
    and no name contradicts a place: a wrong pair would archive one video as another.
    """
    if len(primaries) == 1:
        return [0 for _ in proxies]
    by_name = _owners_by_name(primaries, proxies)
    names, others = [*map(_file_name, primaries)], [*map(_file_name, proxies)]
    pairs = zip(names, others, by_name, strict=False)
    by_place = len(names) == len(others) and all(
        owner == place
        if owner is not None
        else name == other or (name not in others and other not in names)
        for place, (name, other, owner) in enumerate(pairs)
    )
    return [*range(len(proxies))] if by_place else by_name


def _owners_by_name(primaries: Sequence[str], proxies: Sequence[str]) -> list[int | None]:
    """Return for each proxy the place of the one primary with its path, else with its name."""
    paths, names = [*map(link_path, primaries)], [*map(_file_name, primaries)]
    owners: list[int | None] = []
    for url in proxies:
        path, name = link_path(url), _file_name(url)
        labels, label = (paths, path) if path in paths else (names, name)
        owners.append(labels.index(label) if labels.count(label) == 1 else None)
    return owners


def _file_name(url: str) -> str:
    return link_path(url).rpartition("/")[2]


def _entries(value: object, depth: int) -> list[list[str]]:
    """Return the URLs of each entry; one without any is an output that has none yet."""
    match _unpacked(value):
        case empty if not empty:
            return []
        case str() as text:
            return [[url.strip()] for url in _BETWEEN.split(text)] if "," in text else [[text]]
        case list() as items if depth:
            return [entry for item in items for entry in _item_entries(item, depth - 1)]
        case dict() as item if depth:
            return _object_entries(item, depth - 1)
        case _:
            return [[]]


def _item_entries(item: object, depth: int) -> list[list[str]]:
    """Return the entries of an item: a list stands for its own, null for none."""
    found = _entries(item, depth)
    return found if item is None or isinstance(item, list) else found or [[]]


def _object_entries(item: dict[str, object], depth: int) -> list[list[str]]:
    """Return the entries in the field that is for the video; else every URL, as one entry."""
    for name in _OF_THE_VIDEO:
        entries = _entries(item.get(name), depth)
        if any(entries) and all(_LINK.match(url) for entry in entries for url in entry):
            return entries
    return [_urls({k: v for k, v in item.items() if k not in _OF_A_PICTURE}, depth)]


def _urls(value: object, depth: int) -> list[str]:
    match value:
        case str() if _LINK.match(value.strip()):
            return [value.strip()]
        case list() if depth:
            return [url for item in value for url in _urls(item, depth - 1)]
        case dict() if depth:
            return [url for item in value.values() for url in _urls(item, depth - 1)]
        case _:
            return []


def _unpacked(value: object) -> object:
    """Return what is meant by JSON in a string, or by a map with digits for keys."""
    match value:
        case str():
            text = value.strip()
            return _json_in(text) if text.startswith(("[", "{")) else text
        case dict() if value and all(key.isdecimal() for key in value):
            return [value[key] for key in sorted(value, key=lambda key: (len(key), key))]
        case _:
            return value


def _json_in(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
