"""TemporalConnections: which Temporal namespace an object uses, and whether it can be used."""
