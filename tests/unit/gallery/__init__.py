"""Unit tests of `archiver.gallery`."""
