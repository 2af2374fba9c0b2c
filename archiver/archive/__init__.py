"""The archive: a BagIt bag on disk, and payloads on their way into it."""
