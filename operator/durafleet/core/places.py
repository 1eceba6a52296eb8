"""Temporal namespaces, and the connections through which Kubernetes namespaces use them."""

from dataclasses import dataclass, replace

Place = tuple[str, str]
"""A Temporal namespace, independent of the connection to it: address and name."""


@dataclass(frozen=True)
class Target:
    """A Temporal namespace, and the connection through which one Kubernetes namespace uses it.

    Attributes:
        tenant: the Kubernetes namespace. Clients of its TemporalConnections are never shared with another tenant.
        connection: name of the TemporalConnection; None for the operator's default connection.
    """

    tenant: str
    connection: str | None
    address: str
    namespace: str

    @property
    def place(self) -> Place:
        return self.address, self.namespace

    @property
    def way(self) -> "Target":
        """The key of the client for this target. All tenants share the client of the operator's default connection."""
        return self if self.connection is not None else replace(self, tenant="")
