"""Manifests: lists of generation IDs in any of the usual formats."""
