"""The controller of AgentWorkers."""
