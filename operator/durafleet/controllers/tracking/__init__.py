"""What becomes of open workflow executions in each Temporal namespace."""
