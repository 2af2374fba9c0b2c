"""Manifests: lists of generation IDs, in any of the usual formats."""

from archiver.manifest.entries import BadLine, Ids
from archiver.manifest.problems import Problems, Unreadable
from archiver.manifest.sources import SUFFIXES, Manifests

__all__ = ["SUFFIXES", "BadLine", "Ids", "Manifests", "Problems", "Unreadable"]
