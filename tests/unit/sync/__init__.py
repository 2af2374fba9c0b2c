"""Tests of the package sync."""
