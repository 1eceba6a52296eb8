"""The loop of AgentWorkers."""
