"""A real one-node Kubernetes, a Temporal server and a small model, from nothing but packages.

No Docker, no systemd, no registry: everything of a node lives in namespaces of its own under one
init, so that ending that init leaves nothing behind. Needs Linux and root.
"""

from dev.cluster.cluster import PARTS, Cluster

__all__ = ["PARTS", "Cluster"]
