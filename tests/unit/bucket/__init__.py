"""Tests of the archive in a bucket."""
