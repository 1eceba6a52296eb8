"""A Temporal namespace as a place to run workflows, and how a Kubernetes namespace reaches it."""

from dataclasses import dataclass, replace

Place = tuple[str, str]
"""A Temporal namespace, whoever reaches it: address and name."""


@dataclass(frozen=True)
class Target:
    """A Temporal namespace as one Kubernetes namespace reaches it.

    Attributes:
        tenant: the Kubernetes namespace; clients of its TemporalConnections are never shared with another.
        connection: name of the TemporalConnection; None for the operator's default.
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
        """Who leads to the same client: the operator's own connection is the same for all tenants."""
        return self if self.connection is not None else replace(self, tenant="")
