"""Merge: the archives of all shards, reported and listed as one."""
