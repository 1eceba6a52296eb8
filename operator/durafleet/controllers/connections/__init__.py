"""The controller of TemporalConnections."""
