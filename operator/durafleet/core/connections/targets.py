"""Resolve the name of a TemporalConnection, or the operator's default connection, to a Temporal namespace."""

from dataclasses import dataclass

from durafleet.api.status import Reason
from durafleet.core.conditions import Verdict
from durafleet.core.objects import Connection
from durafleet.core.places import Target


@dataclass(frozen=True)
class DefaultConnection:
    """The operator's default connection, from its settings; there is none if `address` is None."""

    address: str | None
    namespace: str = "default"


def connection_target(connection: Connection) -> Target:
    """Return the Temporal namespace of a TemporalConnection."""
    return Target(connection.namespace, connection.name, connection.spec.address, connection.spec.namespace)


def resolve_target(
    tenant: str, name: str | None, *, connection: Connection | None, default: DefaultConnection
) -> Target | Verdict:
    """Return the Temporal namespace for the name of a connection (None: the default), or why there is none."""
    if name is not None:
        if connection is None:
            return connection_not_found(name, tenant)
        return connection_target(connection)
    if default.address is None:
        return Verdict(
            Reason.CONNECTION_NOT_FOUND,
            "The operator has no default Temporal connection; set temporal.address in the chart's values, "
            "or create a TemporalConnection and name it in the AgentWorker's spec.connectionRef.name.",
        )
    return Target(tenant, None, default.address, default.namespace)


def connection_not_found(name: str, namespace: str) -> Verdict:
    return Verdict(
        Reason.CONNECTION_NOT_FOUND,
        f"TemporalConnection {name!r} is not in namespace {namespace!r}; create it or correct the AgentWorker's "
        "spec.connectionRef.name.",
    )
