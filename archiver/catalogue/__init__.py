"""The catalogue: what is held, pending, failed and lost, in SQLite."""
