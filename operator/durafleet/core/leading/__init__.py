"""Leader election and shards: which operator acts, and for which namespaces."""
