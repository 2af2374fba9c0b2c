"""Marks of tests: which of a table are slow."""

from collections.abc import Iterable

import pytest
from _pytest.mark import ParameterSet

slow = pytest.mark.slow


def slow_except(names: Iterable[str], *quick: str) -> list[ParameterSet]:
    """Return a parameter for each name, marked slow unless it is one of the quick ones."""
    names = list(names)
    assert set(quick) <= set(names)
    return [pytest.param(name, marks=() if name in quick else slow, id=name) for name in names]
