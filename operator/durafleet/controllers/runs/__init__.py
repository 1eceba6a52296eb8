"""The controller of AgentRuns and its stores."""
