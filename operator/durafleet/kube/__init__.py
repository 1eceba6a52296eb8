"""Effects on the API server. They are thin, and translate errors once."""
