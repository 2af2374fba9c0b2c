"""Unit tests of `archiver.cli`."""
