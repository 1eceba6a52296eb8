"""The rules of the plan of an AgentRun, by situation. A rule returns a plan, or None if it does not apply."""
