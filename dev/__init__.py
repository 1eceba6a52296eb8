"""What a developer's machine runs: the local cluster, its pinned versions and its prerequisites."""
