"""Unit tests of `archiver.pipeline`."""
