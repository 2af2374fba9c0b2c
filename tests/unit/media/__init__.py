"""Unit tests of `archiver.media`."""
