"""The tree: an archive's videos once more, under names that a person can read."""
