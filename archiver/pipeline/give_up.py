"""Giving up: when a failure that lasts for many runs is a loss, or worth reporting."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from archiver.catalogue.store import Past
from archiver.outcomes import Failed, Lost, Outcome, Pending, Streak, Unfinished

_RUNS = 3
"""This many runs in a row must have found the same before it counts for anything."""
_HOPELESS_FOR = timedelta(hours=40)
"""What was hopeless on three runs, the first and last this far apart, stays so."""
_FORBIDDEN_FOR = timedelta(days=13)
"""A host that only forbids its links may have blocked us for a while."""
_STUCK_AFTER = timedelta(days=3)
_LOST_AFTER = timedelta(days=14)
"""What is still processing after this long is reported, and then given up."""

_LONGEST_GAP = timedelta(days=1)
"""The time between two runs counts for at most this: no single clock can make up forty hours."""
_EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)
"""A clock that shows less is wrong: no run was made before there was a program to make it."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What an outcome amounts to, and what is remembered for the next run."""

    outcome: Outcome
    streak: Streak | None = None


def decide(outcome: Outcome, past: Past | None, now: datetime) -> Decision:
    """Decide what an outcome amounts to, after what earlier runs found."""
    match outcome:
        case Failed(trouble="hopeless"):
            streak = _continued(Streak("hopeless"), past, now)
            return Decision(_hopeless(outcome, streak), streak)
        case Pending():
            streak = _continued(Streak("processing"), past, now)
            return Decision(_processing(outcome, streak), streak)
        case Unfinished():
            streak = _continued(Streak("unfinished"), past, now)
            return Decision(_unfinished(outcome, streak), streak)
        case _:
            return Decision(outcome)


def _continued(streak: Streak, past: Past | None, now: datetime) -> Streak:
    """Go on with the streak of earlier runs, if the trouble is the same."""
    before = past and past.streak
    if not past or not before or before.trouble != streak.trouble:
        return streak
    checked = datetime.fromisoformat(past.checked)
    gap = now - checked
    if min(now, checked) < _EARLIEST or gap < timedelta(0):  # one of the two clocks was wrong
        return replace(before, runs=before.runs + 1, seconds=0)
    seconds = before.seconds + int(min(gap, _LONGEST_GAP).total_seconds())
    return replace(before, runs=before.runs + 1, seconds=seconds)


def _hopeless(outcome: Failed, streak: Streak) -> Outcome:
    needed = _FORBIDDEN_FOR if outcome.forbidden else _HOPELESS_FOR
    if streak.runs >= _RUNS and _lasted(streak) >= needed:
        reason = f"{outcome.reason}, on {streak.runs} runs"
        return Lost(outcome.generation, reason, outcome.faults)
    return replace(outcome, reason=f"{outcome.reason} ({_so_far(streak, needed)})")


def _so_far(streak: Streak, needed: timedelta) -> str:
    """Describe how far it is from being given up, for people."""
    if streak.runs < _RUNS:
        return f"run {streak.runs} of {_RUNS} before it counts as lost"
    hours, of = int(_lasted(streak) / timedelta(hours=1)), int(needed / timedelta(hours=1))
    return f"run {streak.runs}, {hours} of {of} hours before it counts as lost"


def _processing(outcome: Pending, streak: Streak) -> Outcome:
    lasted = _lasted(streak)
    reason = f"ModelsLab is still processing it after {lasted.days} days"
    if streak.runs < _RUNS or lasted < _STUCK_AFTER:
        return outcome
    if lasted < _LOST_AFTER:
        return Failed(outcome.generation, reason, trouble="processing")
    return Lost(outcome.generation, reason)


def _unfinished(outcome: Unfinished, streak: Streak) -> Outcome:
    if streak.runs < _RUNS:
        return outcome
    reason = f"its download was begun and not finished on {streak.runs} runs"
    return Failed(outcome.generation, reason, trouble="unfinished")


def _lasted(streak: Streak) -> timedelta:
    return timedelta(seconds=streak.seconds)
