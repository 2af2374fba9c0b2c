"""Unit tests of `archiver.catalogue`."""
