"""Development tools: the local cluster, its pinned versions and its prerequisites."""
