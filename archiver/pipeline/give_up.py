"""Giving up: when a failure that lasts for many runs is a loss, or worth reporting."""

from datetime import datetime, timedelta

from archiver.catalogue.store import Past
from archiver.outcomes import Failed, Lost, Outcome, Pending

_GONE_RUNS = 3
_GONE_FOR = timedelta(hours=40)
"""Links that were dead on three runs, the first and last this far apart, stay dead."""
_FORBIDDEN_FOR = timedelta(days=13)
"""A host that only forbids them may have blocked us for a while."""
_STUCK_AFTER = timedelta(days=3)
_LOST_AFTER = timedelta(days=14)
"""What is still processing after this long is reported, and then given up."""


def decide(outcome: Outcome, past: Past, now: datetime) -> Outcome:
    """Return what an outcome amounts to, after what earlier runs found."""
    match outcome:
        case Failed() if outcome.gone and past.gone_since:
            return _gone(outcome, past.gone_runs + 1, _age(past.gone_since, now))
        case Pending() if past.pending_since:
            return _pending(outcome, _age(past.pending_since, now))
        case _:
            return outcome


def _gone(outcome: Failed, runs: int, age: timedelta) -> Outcome:
    long_enough = _FORBIDDEN_FOR if outcome.forbidden else _GONE_FOR
    if runs < _GONE_RUNS or age < long_enough:
        return outcome
    return Lost(outcome.generation, f"{outcome.reason}, on {runs} runs", outcome.faults)


def _pending(outcome: Pending, age: timedelta) -> Outcome:
    reason = f"ModelsLab is still processing it after {age.days} days"
    if age >= _LOST_AFTER:
        return Lost(outcome.generation, reason)
    return Failed(outcome.generation, reason, stuck=True) if age >= _STUCK_AFTER else outcome


def _age(since: str, now: datetime) -> timedelta:
    return now - datetime.fromisoformat(since)
