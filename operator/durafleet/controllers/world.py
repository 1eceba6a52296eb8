"""The dependencies that all controllers share: clients, referenced objects, the default connection, the clock."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from durafleet.api.status import Reason
from durafleet.controllers.recorder import Recorder
from durafleet.controllers.store import Store
from durafleet.core.conditions import Verdict
from durafleet.core.connections.targets import DefaultConnection, resolve_target
from durafleet.core.objects import Connection, Worker
from durafleet.core.places import Target
from durafleet.errors import Denied, DurafleetError, NamespaceNotFound
from durafleet.kube.client import KubeClient
from durafleet.temporal.connections import Pool


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class World:
    """The clients of both servers, and the AgentWorkers and TemporalConnections to which other objects refer."""

    kube: KubeClient
    pool: Pool
    workers: Store[Worker]
    connections: Store[Connection]
    default_connection: DefaultConnection
    now: Callable[[], datetime] = utc_now
    events: Recorder = field(init=False)

    def __post_init__(self) -> None:
        self.events = Recorder(self.kube, now=self.now)

    def target(self, tenant: str, connection: str | None) -> Target | Verdict:
        """Return the Temporal namespace of a connection in a Kubernetes namespace, or why there is none."""
        known = self.connections.get((tenant, connection)) if connection is not None else None
        return resolve_target(tenant, connection, connection=known, default=self.default_connection)


def verdict_of(error: DurafleetError, target: Target) -> Verdict:
    """Return the verdict on an error from Temporal: its reason, and a message that names the fix."""
    place = f"Temporal at {target.address}"
    if isinstance(error, NamespaceNotFound):
        return Verdict(
            Reason.NAMESPACE_NOT_FOUND,
            f"{place} has no namespace {target.namespace!r}; create it (temporal operator namespace create "
            f"--namespace {target.namespace}) or correct the connection's namespace.",
        )
    if isinstance(error, Denied):
        return Verdict(
            Reason.ACCESS_DENIED,
            f"{place} denied the request: {str(error).rstrip('.')}. Durafleet cannot send credentials to Temporal yet; "
            "use a Temporal server that allows access without them.",
        )
    return Verdict(
        Reason.TEMPORAL_UNAVAILABLE,
        f"{place} cannot be used: {str(error).rstrip('.')}. The operator retries; if this lasts, check the address "
        "and the network.",
    )
