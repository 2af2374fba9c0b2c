"""Unit tests of `archiver.archive`."""
