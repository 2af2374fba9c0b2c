"""The archive in a bucket: objects, a lease for the lock, segments of the checksum manifest."""
