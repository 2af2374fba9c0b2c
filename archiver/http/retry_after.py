"""Retry-After and its like: for how long a server asks not to be asked again."""

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_LONGEST = 366 * 86400.0
_MONTH = 31 * 86400.0
_MILLISECONDS = 1e11
"""No time in Unix seconds is as large as this, and any in milliseconds is larger."""


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds of a `Retry-After` header (RFC 9110, 10.2.3), or None if it has none.

    Its value is seconds, or a date, which is counted from `now`; one in the past means 0.
    """
    if value is None:
        return None
    if (seconds := parse_seconds(value)) is not None:
        return seconds
    try:
        date = parsedate_to_datetime(value)
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        return max(0.0, min((date - now).total_seconds(), _LONGEST))
    except (ValueError, TypeError, OverflowError):
        return None


def parse_reset(value: str | None, now: datetime) -> float | None:
    """Return the seconds until the time in an `X-RateLimit-Reset` header, or None.

    It is in Unix seconds; some servers send milliseconds, or seconds from now. A time that is
    past, or more than a month away, is no time to wait for: a clock is wrong.
    """
    try:
        reset = float(value or "nan")
    except ValueError:
        return None
    reset = reset / 1000 if reset > _MILLISECONDS else reset
    seconds = reset if reset <= _MONTH else reset - now.timestamp()
    return seconds if 0 <= seconds <= _MONTH else None


def parse_seconds(value: object) -> float | None:
    """Return a number of seconds, from JSON or from text: at most a year, and None if negative."""
    if not isinstance(value, int | float | str) or isinstance(value, bool):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return min(seconds, _LONGEST) if math.isfinite(seconds) and seconds >= 0 else None
