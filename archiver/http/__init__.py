"""HTTP: sessions, and what goes wrong on the wire."""
