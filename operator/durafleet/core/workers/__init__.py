"""AgentWorkers: the objects they own, and when a fleet is ready."""
