"""Leader election: standing by, leading, releasing the Lease."""
