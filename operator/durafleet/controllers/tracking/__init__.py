"""Track the open workflow executions in each Temporal namespace."""
