"""Retry-After: seconds or a date, whatever stands there."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.http.retry_after import parse_reset, parse_retry_after, parse_seconds

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
YEAR = 366 * 86400


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0),
        ("120", 120),
        (" 120 ", 120),
        ("1.5", 1.5),
        ("Mon, 23 Nov 2026 02:10:00 GMT", 600),
        ("Mon, 23 Nov 2026 02:10:00 -0000", 600),
        ("Mon, 23 Nov 2026 03:10:00 +0100", 600),
        ("Mon, 23 Nov 2026 01:00:00 GMT", 0),
        ("Mon, 01 Jan 9999 00:00:00 GMT", YEAR),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("9" * 400, None),
        ("99999999999", YEAR),
        ("-5", None),
        ("nan", None),
        ("inf", None),
        ("whenever", None),
        ("", None),
    ],
)
def test_a_header_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    """A date is counted from now, one in the past is no wait; nonsense is no header."""
    assert parse_retry_after(value, NOW) == seconds


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (30, 30),
        (12.5, 12.5),
        ("30", 30),
        (10**400, None),
        (10**12, YEAR),
        (-1, None),
        (True, None),
        (None, None),
        ("soon", None),
        ([30], None),
    ],
)
def test_a_field_is_a_number_in_any_spelling(value: object, seconds: float | None) -> None:
    """A number, or a string with one; anything else is no number."""
    assert parse_seconds(value) == seconds


@given(st.text(max_size=40))
def test_no_header_is_a_surprise(value: str) -> None:
    """Whatever stands there, it is a wait between nothing and a year, or none."""
    seconds = parse_retry_after(value, NOW)
    assert seconds is None or 0 <= seconds <= YEAR


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None), ("", None), ("soon", None), ("nan", None), ("inf", None), ("-5", None),
        ("30", 30), ("0", 0), (str(NOW.timestamp() + 90), 90), (str(NOW.timestamp()), 0),
        (f"{NOW.timestamp() * 1000 + 90_000:.0f}", 90), (str(NOW.timestamp() - 1), None),
        ("1700000000", None), ("9999999999", None), ("9" * 400, None), ("1e308", None),
    ],
)  # fmt: skip
def test_a_reset_is_a_time_or_nothing(value: str | None, seconds: float | None) -> None:
    """A clock that is wrong, in the past or far ahead, is not waited for."""
    assert parse_reset(value, NOW) == seconds


@given(st.text(max_size=20) | st.floats().map(str) | st.integers().map(str))
def test_no_reset_is_a_surprise(value: str) -> None:
    """Whatever it says, it means a month at most."""
    seconds = parse_reset(value, NOW)
    assert seconds is None or 0 <= seconds <= 31 * 86400
