"""The loop of TemporalConnections."""
