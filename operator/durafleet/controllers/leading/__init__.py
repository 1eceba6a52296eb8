"""Leader election: stand by, lead, release the Lease."""
