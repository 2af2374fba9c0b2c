"""Fixity: does every held file still match its checksum, and how to repair it."""
