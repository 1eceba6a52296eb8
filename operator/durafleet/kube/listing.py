"""Lists in pages. No response of the API server is longer than a page, however many objects there are."""

from collections.abc import AsyncIterator
from typing import Any

from durafleet.kube.client import KubeClient
from durafleet.kube.resources import Resource

PAGE = 500


async def list_all(
    client: KubeClient, resource: Resource, namespace: str | None, **selectors: str
) -> AsyncIterator[dict[str, Any]]:
    """Yield the objects of a kind, in one namespace or in all.

    Args:
        client: the client of the API server.
        resource: the kind to list.
        namespace: None for all namespaces.
        selectors: labelSelector, fieldSelector.

    Raises:
        Unavailable: no response.
        Refused: not allowed, or the API server's continue token expired during the list (410).
    """
    query = {"limit": str(PAGE), **selectors}
    while True:
        answer = await client.request("GET", resource.path(namespace), query=query)
        for body in answer.get("items") or ():
            yield {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        token = (answer.get("metadata") or {}).get("continue")
        if not token:
            return
        query["continue"] = token
