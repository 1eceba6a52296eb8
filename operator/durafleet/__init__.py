"""Durafleet's operator: AgentWorkers become fleets, AgentRuns become workflow executions."""
