"""A backup run: from manifests to an archive in which their videos are held."""
