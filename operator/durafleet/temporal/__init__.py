"""Effects on Temporal: thin, with errors translated once, at the edge."""
