"""Sync: copies an archive to another place, each file proven on the way; it deletes nothing."""
