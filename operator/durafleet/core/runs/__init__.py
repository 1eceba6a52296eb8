"""AgentRuns: what to do next for one, and the status that says so."""
