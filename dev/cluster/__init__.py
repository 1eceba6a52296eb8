"""A real one-node Kubernetes cluster, a Temporal server and a small model, built from packages only.

Needs Linux and root, but no Docker, systemd or registry. All processes of the node run in separate
namespaces under one init process; when that process ends, nothing of the node remains.
"""

from dev.cluster.cluster import PARTS, Cluster

__all__ = ["PARTS", "Cluster"]
