"""Which key is worked on next, and when a failed one is tried again."""
