"""AgentRuns: the next actions for one run, and its status."""
