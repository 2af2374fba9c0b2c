"""Downloads: one output, from its links to a payload proven whole."""
