"""Effects on Temporal. They are thin, and translate errors once."""
