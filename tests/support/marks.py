"""Marks of tests: which of a table are slow."""

import os
from collections.abc import Iterable

import pytest
from _pytest.mark import ParameterSet

slow = pytest.mark.slow
_STRIDE = int(os.environ.get("ARCHIVER_TEST_STRIDE", "13"))
"""Where each step takes seconds, of this many steps one is tried; with 1, all are."""

ALL_STEPS = _STRIDE == 1


def some_steps(lane: int, lanes: int) -> range:
    """Return the steps that a lane tries: each is another's, unless it is passed over."""
    return range(lane * _STRIDE + 1, 1000, lanes * _STRIDE)


def slow_except(names: Iterable[str], *quick: str) -> list[ParameterSet]:
    """Return a parameter for each name, marked slow unless it is one of the quick ones."""
    names = list(names)
    assert set(quick) <= set(names)
    return [pytest.param(name, marks=() if name in quick else slow, id=name) for name in names]
