"""Fixtures of the pipeline's tests."""

from tests.support.catalogues import bag, catalogue, clock

__all__ = ["bag", "catalogue", "clock"]
