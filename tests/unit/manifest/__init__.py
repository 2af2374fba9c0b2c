"""Unit tests of `archiver.manifest`."""
