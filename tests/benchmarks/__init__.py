"""How fast, how small and how durable the archiver is, beside programs that people know."""
