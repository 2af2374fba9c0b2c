"""The archive in a bucket: a lease for the lock, segments of the checksum manifest."""
