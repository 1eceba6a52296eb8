"""The queue of keys: their order, and the retries of failures."""
