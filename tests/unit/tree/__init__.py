"""Tests of the tree: names, formats, and links."""
