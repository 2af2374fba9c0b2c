"""When trouble that lasts for many nights is a loss, or worth telling."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from archiver.outcomes import Failed, Lost, Outcome, Pending

_GONE_NIGHTS = 3
_GONE_FOR = timedelta(hours=40)
"""Links that were dead on three nights, the first and last this far apart, stay dead."""
_FORBIDDEN_FOR = timedelta(days=13)
"""Where a host said no more than that it is not for us, it may have blocked us for a while."""
_STUCK_AFTER = timedelta(days=3)
_LOST_AFTER = timedelta(days=14)
"""What is still being made after so long is told, and then given up: nothing takes that long."""


@dataclass(frozen=True, slots=True)
class Before:
    """What earlier nights have found of a generation; times are in UTC, ISO 8601."""

    gone_nights: int
    gone_since: str | None
    """The first of the nights on which all its links were dead."""
    pending_since: str | None
    """When it was first found in the making."""


def decide(outcome: Outcome, before: Before, now: datetime) -> Outcome:
    """Return what an outcome amounts to, after what was found before."""
    match outcome:
        case Failed() if outcome.gone and before.gone_since:
            return _gone(outcome, before.gone_nights + 1, _age(before.gone_since, now))
        case Pending() if before.pending_since:
            return _pending(outcome, _age(before.pending_since, now))
        case _:
            return outcome


def _gone(outcome: Failed, nights: int, age: timedelta) -> Outcome:
    long_enough = _FORBIDDEN_FOR if outcome.forbidden else _GONE_FOR
    if nights < _GONE_NIGHTS or age < long_enough:
        return outcome
    return Lost(outcome.generation, f"{outcome.reason}, for {nights} nights by now", outcome.faults)


def _pending(outcome: Pending, age: timedelta) -> Outcome:
    reason = f"ModelsLab is still making it after {age.days} days"
    if age >= _LOST_AFTER:
        return Lost(outcome.generation, reason)
    return Failed(outcome.generation, reason, stuck=True) if age >= _STUCK_AFTER else outcome


def _age(since: str, now: datetime) -> timedelta:
    return now - datetime.fromisoformat(since)
