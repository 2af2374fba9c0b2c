"""Marks of tests: which of a table are slow."""

import os
from collections.abc import Iterable

import pytest
from _pytest.mark import ParameterSet

slow = pytest.mark.slow
ALL_STEPS = os.environ.get("ARCHIVER_TEST_STRIDE") == "1"
"""Whether all is tried, however long that takes."""


def some_steps(lane: int, lanes: int, one_in: int) -> range:
    """Return the steps that a lane tries: of all one in `one_in`, unless all are to be tried."""
    stride = 1 if ALL_STEPS else one_in
    return range(lane * stride + 1, 1000, lanes * stride)


def slow_except(names: Iterable[str], *quick: str) -> list[ParameterSet]:
    """Return a parameter for each name, marked slow unless it is one of the quick ones."""
    names = list(names)
    assert set(quick) <= set(names)
    return [pytest.param(name, marks=() if name in quick else slow, id=name) for name in names]
