"""Unit tests of `archiver.monitoring`."""
