"""Units: durations, sizes and rates as people write and read them, and printable text."""

import re
from collections.abc import Iterable, Iterator
from itertools import islice

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_BYTES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
SHOWN_LIMIT = 20
"""At most this many lines of one kind are shown to a person; the rest is counted."""
_NUMBER = r"(?P<number>[0-9]{1,15}(?:\.[0-9]{1,15})?)"


def parse_duration(text: str) -> float:
    """Return seconds: `90`, `90s`, `15m`, `2h`, `30d`.

    Raises:
        ValueError: if it is not a duration.
    """
    match = re.fullmatch(_NUMBER + r"\s*(?P<unit>[smhd]?)", text.strip().lower(), re.ASCII)
    if not match:
        raise ValueError(f"{text!r} is not a duration such as 90, 90s, 15m, 2h or 30d")
    return float(match["number"]) * _SECONDS[match["unit"]]


def parse_size(text: str) -> int:
    """Return bytes: `500`, `500K`, `20M`, `1G` (powers of 1,000; a closing B is allowed).

    Raises:
        ValueError: if it is not a size.
    """
    match = re.fullmatch(_NUMBER + r"\s*(?P<unit>[KMGT]?)B?", text.strip().upper(), re.ASCII)
    if not match:
        raise ValueError(f"{text!r} is not a size such as 500K, 20M or 1G")
    whole, _, fraction = match["number"].partition(".")
    return int(int(whole + fraction) * _BYTES[match["unit"]] // 10 ** len(fraction))


def parse_rate(text: str) -> float:
    """Return events per second: `5`, `5/s`, `30/m`.

    Raises:
        ValueError: if it is not a rate above zero.
    """
    match = re.fullmatch(_NUMBER + r"\s*(?:/\s*(?P<unit>[smh]))?", text.strip().lower(), re.ASCII)
    if not match or float(match["number"]) == 0:
        raise ValueError(f"{text!r} is not a rate such as 5/s or 30/m")
    return float(match["number"]) / _SECONDS[match["unit"] or ""]


def parse_byte_rate(text: str) -> int:
    """Return bytes per second: `500K`, `20M`, `20M/s`.

    Raises:
        ValueError: if it is not a rate above zero.
    """
    try:
        rate = parse_size(text.strip().removesuffix("/s"))
    except ValueError:
        rate = 0
    if not rate:
        raise ValueError(f"{text!r} is not a rate such as 500K, 20M or 20M/s")
    return rate


def format_size(count: int) -> str:
    """Return bytes for people: `999 bytes`, `1.5 MB`."""
    if count < 1000:
        return f"{count} byte{'' if count == 1 else 's'}"
    for unit, size in (("kB", 10**3), ("MB", 10**6), ("GB", 10**9)):
        if count < 999.95 * size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 10**12:.1f} TB"


def format_duration(seconds: float) -> str:
    """Return a duration for people, in its two largest units: `45 s`, `30 min`, `2 h 5 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    parts = [
        (whole // 86400, "d"),
        (whole // 3600 % 24, "h"),
        (whole // 60 % 60, "min"),
        (whole % 60, "s"),
    ]
    first = next(i for i, (count, _) in enumerate(parts) if count)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count)


def counted(count: int, noun: str) -> str:
    """Return a count for people: `1 line`, `2,000 lines`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def capped(items: Iterable[object], total: int) -> Iterator[str]:
    """Yield the first lines of one kind, of which there are `total`, and a count of the rest."""
    yield from map(str, islice(items, SHOWN_LIMIT))
    if total > SHOWN_LIMIT:
        yield f"… and {total - SHOWN_LIMIT:,} more like these"


def printable(text: str) -> str:
    """Return text from elsewhere without control characters, fit to be shown and stored."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
