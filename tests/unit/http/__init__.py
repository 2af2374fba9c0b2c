"""Unit tests of `archiver.http`."""
