"""The API paths of the kinds, and the requests that the operator makes for them."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from durafleet.api.model import GROUP, VERSION
from durafleet.core.objects import FINALIZER, Object
from durafleet.errors import NotFound
from durafleet.kube.client import APPLY, FIELD_MANAGER, MERGE, KubeClient


@dataclass(frozen=True)
class Resource:
    """One kind: its API version, kind and plural."""

    api_version: str
    kind: str
    plural: str

    def path(self, namespace: str | None, name: str | None = None, sub: str | None = None) -> str:
        """Return the URL path of a collection, an object or its subresource. Without a namespace: of all namespaces."""
        root = "/api/v1" if self.api_version == "v1" else f"/apis/{self.api_version}"
        place = f"namespaces/{namespace}" if namespace is not None else None
        return "/".join(part for part in (root, place, self.plural, name, sub) if part)


RUNS = Resource(f"{GROUP}/{VERSION}", "AgentRun", "agentruns")
WORKERS = Resource(f"{GROUP}/{VERSION}", "AgentWorker", "agentworkers")
CONNECTIONS = Resource(f"{GROUP}/{VERSION}", "TemporalConnection", "temporalconnections")
DEPLOYMENTS = Resource("apps/v1", "Deployment", "deployments")
CONFIG_MAPS = Resource("v1", "ConfigMap", "configmaps")
SECRETS = Resource("v1", "Secret", "secrets")
PODS = Resource("v1", "Pod", "pods")
EVENTS = Resource("v1", "Event", "events")
OWNED = {resource.kind: resource for resource in (DEPLOYMENTS, CONFIG_MAPS)}


async def write_status(
    client: KubeClient,
    resource: Resource,
    subject: Object[Any, Any],
    status: Mapping[str, Any],
    before: Mapping[str, Any],
) -> dict[str, Any]:
    """Write a status over the one that it was planned from; return the resulting object.

    Raises:
        Conflict: the object has changed since; plan again.
        NotFound: the object no longer exists.
    """
    body = {
        "metadata": {"resourceVersion": subject.resource_version, "uid": subject.uid},
        "status": merge_patch(before, status),
    }
    return await client.request(
        "PATCH",
        resource.path(subject.namespace, subject.name, "status"),
        body=body,
        content_type=MERGE,
        query={"fieldManager": FIELD_MANAGER},
    )


def merge_patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON merge patch (RFC 7386) from one object to another: a removed key is null, at every depth."""
    patch: dict[str, Any] = {key: None for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            if (inner := merge_patch(old, value)) or old != value:
                patch[key] = inner
        elif key not in before or old != value:
            patch[key] = value
    return patch


async def set_finalizer(
    client: KubeClient, resource: Resource, subject: Object[Any, Any], *, present: bool
) -> dict[str, Any]:
    """Add or remove our finalizer and keep the others; return the resulting object. Raises like `write_status`."""
    others = [name for name in subject.finalizers if name != FINALIZER]
    body = {
        "metadata": {
            "resourceVersion": subject.resource_version,
            "uid": subject.uid,
            "finalizers": [*others, FINALIZER] if present else others,
        }
    }
    return await client.request(
        "PATCH",
        resource.path(subject.namespace, subject.name),
        body=body,
        content_type=MERGE,
        query={"fieldManager": FIELD_MANAGER},
    )


async def apply(client: KubeClient, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Apply an owned object with server-side apply; return it as stored."""
    meta = manifest["metadata"]
    path = OWNED[manifest["kind"]].path(meta["namespace"], meta["name"])
    query = {"fieldManager": FIELD_MANAGER, "force": "true"}
    return await client.request("PATCH", path, body=manifest, content_type=APPLY, query=query)


async def delete(client: KubeClient, resource: Resource, namespace: str, name: str) -> None:
    """Delete an object. It is no error if it no longer exists."""
    with contextlib.suppress(NotFound):
        await client.request("DELETE", resource.path(namespace, name))


async def delete_as_seen(client: KubeClient, resource: Resource, subject: Object[Any, Any]) -> None:
    """Delete an object if it has not changed since it was read. It is no error if it no longer exists.

    Raises:
        Conflict: the object has changed since; plan again.
    """
    preconditions = {"uid": subject.uid, "resourceVersion": subject.resource_version}
    body = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": preconditions}
    with contextlib.suppress(NotFound):
        await client.request("DELETE", resource.path(subject.namespace, subject.name), body=body)


async def read(client: KubeClient, resource: Resource, namespace: str, name: str) -> dict[str, Any] | None:
    """Return an object, or None if it does not exist."""
    try:
        return await client.request("GET", resource.path(namespace, name))
    except NotFound:
        return None
