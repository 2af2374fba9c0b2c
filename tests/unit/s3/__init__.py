"""Tests of the objects of a bucket."""
