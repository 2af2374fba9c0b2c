"""Fixtures of the catalogue's tests."""

from tests.support.catalogues import bag, catalogue, clock

__all__ = ["bag", "catalogue", "clock"]
