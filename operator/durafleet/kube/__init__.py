"""Effects on the API server: thin, with errors translated once, at the edge."""
