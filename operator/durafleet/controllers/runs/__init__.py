"""The loop of AgentRuns, and what it remembers of them."""
