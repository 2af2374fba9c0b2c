"""Durations, sizes and rates: parsing and formatting."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.units import (
    format_duration,
    format_size,
    parse_duration,
    parse_rate,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0), ("90", 90), ("90s", 90), ("1.5s", 1.5), ("15m", 900), ("2h", 7200),
        ("30d", 2_592_000), ("0.5h", 1800), (" 15 M ", 900), ("007", 7),
    ],
)  # fmt: skip
def test_a_duration_is_parsed(text: str, seconds: float) -> None:
    """Seconds, or a number with one unit from s to d."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0), ("500", 500), ("500B", 500), ("500K", 500_000), ("500kB", 500_000),
        ("20M", 20_000_000), ("1G", 10**9), ("1.5g", 1_500_000_000), ("2 TB", 2 * 10**12),
        ("0.5", 0), ("1.001K", 1001),
    ],
)  # fmt: skip
def test_a_size_is_parsed(text: str, count: int) -> None:
    """Bytes, or a number with one unit from K to T, in powers of 1,000."""
    assert parse_size(text) == count


@pytest.mark.parametrize(
    ("text", "rate"),
    [("5", 5), ("5/s", 5), ("0.5/s", 0.5), ("30/m", 0.5), ("36/H", 0.01), (" 6 / m ", 0.1)],
)
def test_a_rate_is_parsed(text: str, rate: float) -> None:
    """Events per second, or per minute or hour with that unit."""
    assert parse_rate(text) == rate


NEVER_VALID = [
    "", " ", "-1", "+1", "1e3", "nan", "inf", ".5", "5.", "1,000", "5x", "5 5", "\u0665", "\u00b2",
    "0x5", "1_000", "5s s", "9" * 400,
]  # fmt: skip


@pytest.mark.parametrize("text", [*NEVER_VALID, "15min", "1h30m", "m", "5K", "5/s"])
def test_an_invalid_duration_is_rejected(text: str) -> None:
    """The error quotes the text, and shows valid examples."""
    with pytest.raises(ValueError, match="is not a duration such as 90, 90s, 15m, 2h or 30d"):
        parse_duration(text)


@pytest.mark.parametrize("text", [*NEVER_VALID, "5P", "5KK", "K", "5m/s", "5KiB"])
def test_an_invalid_size_is_rejected(text: str) -> None:
    """The error quotes the text, and shows valid examples."""
    with pytest.raises(ValueError, match="is not a size such as 500K, 20M or 1G"):
        parse_size(text)


@pytest.mark.parametrize("text", [*NEVER_VALID, "0", "0.0/s", "5/d", "5/", "/s", "5s", "5/min"])
def test_an_invalid_rate_is_rejected(text: str) -> None:
    """A rate of zero is no rate either."""
    with pytest.raises(ValueError, match="is not a rate such as 5/s or 30/m"):
        parse_rate(text)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"), (1, "1 byte"), (2, "2 bytes"), (999, "999 bytes"),
        (1000, "1.0 kB"), (1500, "1.5 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB"),
        (10**6, "1.0 MB"), (999_949_999, "999.9 MB"), (999_950_000, "1.0 GB"),
        (999_949_999_999, "999.9 GB"), (999_950_000_000, "1.0 TB"), (10**15, "1000.0 TB"),
    ],
)  # fmt: skip
def test_a_size_is_formatted(count: int, text: str) -> None:
    """In the largest unit that leaves a number below 1,000, also after rounding."""
    assert format_size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 s"), (0, "0 s"), (0.4, "0 s"), (1, "1 s"), (59.4, "59 s"), (59.9, "1 min"),
        (60, "1 min"), (61, "1 min 1 s"), (1800, "30 min"), (3599.9, "1 h"), (3600, "1 h"),
        (3605, "1 h"), (7500, "2 h 5 min"), (86_399.9, "1 d"), (90_000, "1 d 1 h"),
        (86_460, "1 d"), (10**7, "115 d 17 h"),
    ],
)  # fmt: skip
def test_a_duration_is_formatted(seconds: float, text: str) -> None:
    """In its two largest units, without one that is zero."""
    assert format_duration(seconds) == text


@given(st.integers(0, 10**9), st.sampled_from(["K", "M", "G", "T"]))
def test_a_size_is_parsed_exactly(thousandths: int, unit: str) -> None:
    """Three decimals are as exact as the next smaller unit."""
    below = {"K": "", "M": "K", "G": "M", "T": "G"}[unit]
    whole, rest = divmod(thousandths, 1000)
    assert parse_size(f"{whole}.{rest:03}{unit}") == parse_size(f"{thousandths}{below}")


@given(st.integers(0, 10**16))
def test_a_formatted_size_is_near(count: int) -> None:
    """It is the size to one decimal, and can be parsed again."""
    text = format_size(count)
    read = parse_size(text.removesuffix(" bytes").removesuffix(" byte"))
    unit = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}.get(text[-2], 0)
    assert abs(read - count) <= 0.0501 * unit


@given(st.integers(0, 10**8))
def test_a_formatted_duration_is_near(seconds: int) -> None:
    """It falls short of the duration by less than its smaller unit."""
    words = format_duration(seconds).replace("min", "m").split()
    formatted = sum(
        parse_duration(number + unit) for number, unit in zip(words[::2], words[1::2], strict=True)
    )
    largest = next((u for u in (86400, 3600, 60) if seconds >= u), 1)
    finer = {86400: 3600, 3600: 60, 60: 1, 1: 1}[largest]
    assert 0 <= seconds - formatted < finer
