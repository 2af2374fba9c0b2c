"""Unit tests of `archiver.emulator`."""
