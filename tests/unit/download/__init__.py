"""Tests of `archiver.download`."""
