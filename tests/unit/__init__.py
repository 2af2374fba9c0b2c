"""Unit tests, a package for each of the archiver's."""
