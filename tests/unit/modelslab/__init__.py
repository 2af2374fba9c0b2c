"""Unit tests of `archiver.modelslab`."""
