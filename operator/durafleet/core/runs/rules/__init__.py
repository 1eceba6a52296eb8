"""The rules of an AgentRun's plan, by situation. Each decides one case and returns None where it does not apply."""
