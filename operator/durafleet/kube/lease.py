"""The Lease on the API server. A write replaces only the version that was read. It bypasses the fence."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from durafleet.core.leading.lease import Record
from durafleet.errors import NotFound
from durafleet.kube.client import FIELD_MANAGER, MERGE, KubeClient
from durafleet.kube.resources import Resource

LEASES = Resource("coordination.k8s.io/v1", "Lease", "leases")


@dataclass(frozen=True)
class Lease:
    """One Lease."""

    client: KubeClient
    namespace: str
    name: str

    async def read(self) -> Record | None:
        """Return its content, or None if the Lease does not exist. Raises like `KubeClient.request`."""
        try:
            path = LEASES.path(self.namespace, self.name)
            return _record(await self.client.request("GET", path, fenced=False))
        except NotFound:
            return None

    async def write(self, record: Record) -> Record:
        """Write a record over the version that it names; return it as stored.

        Raises:
            Conflict: another process wrote in between, or created the Lease.
            NotFound: the Lease was deleted, or the namespace does not exist.
        """
        metadata = {"name": self.name, "namespace": self.namespace}
        body: dict[str, Any] = {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "spec": _spec(record)}
        if not record.version:
            body["metadata"] = metadata
            answer = await self.client.request("POST", LEASES.path(self.namespace), body=body, fenced=False)
        else:
            body["metadata"] = {**metadata, "resourceVersion": record.version}
            path, query = LEASES.path(self.namespace, self.name), {"fieldManager": FIELD_MANAGER}
            answer = await self.client.request(
                "PATCH", path, body=body, content_type=MERGE, query=query, fenced=False
            )  # fmt: skip
        return _record(answer)


def _spec(record: Record) -> dict[str, Any]:
    return {
        "holderIdentity": record.holder or None,  # the API does not accept an empty one
        "leaseDurationSeconds": record.duration,
        "acquireTime": _micro_time(record.acquired),
        "renewTime": _micro_time(record.renewed),
        "leaseTransitions": record.transitions,
    }


def _record(body: Mapping[str, Any]) -> Record:
    spec = body.get("spec") or {}
    return Record(
        holder=spec.get("holderIdentity") or "",
        duration=spec.get("leaseDurationSeconds") or 0,
        acquired=_moment(spec.get("acquireTime")),
        renewed=_moment(spec.get("renewTime")),
        transitions=spec.get("leaseTransitions") or 0,
        version=body["metadata"]["resourceVersion"],
    )


def _micro_time(moment: datetime | None) -> str | None:
    """Write a time as metav1.MicroTime."""
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
