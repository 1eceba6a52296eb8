"""TemporalConnections: the Temporal namespace that an object uses, and the status of a connection to it."""
