"""An API server client for tests that wait for many conditions at once: one connection pool, no kubectl processes."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from aiohttp import ClientSession, ClientTimeout, TCPConnector
from kubernetes.aio import config as kube_config
from kubernetes.aio.client.configuration import Configuration

from durafleet.kube.resources import Resource

_MERGE = "application/merge-patch+json"
Body = dict[str, Any]


class KubeError(Exception):
    """The API server rejected a request."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"HTTP {status}: {message}")
        self.status = status


@dataclass(frozen=True)
class KubeApi:
    """An API server.

    Attributes:
        session: has the base URL and credentials; the proxies use it too.
    """

    session: ClientSession

    async def create(self, resource: Resource, body: Mapping[str, Any]) -> Body:
        namespace = body["metadata"].get("namespace")
        path = resource.path(namespace) if namespace else f"/api/v1/{resource.plural}"
        manifest = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        return await self._request("POST", path, manifest)

    async def patch(
        self, resource: Resource, namespace: str, name: str, patch: Mapping[str, Any], *, sub: str | None = None
    ) -> Body:
        """Merge a patch into an object or its subresource."""
        return await self._request("PATCH", resource.path(namespace, name, sub), patch, content_type=_MERGE)

    async def delete(self, resource: Resource, namespace: str, name: str) -> None:
        await self._request("DELETE", resource.path(namespace, name))

    async def list(self, resource: Resource, namespace: str, **query: str) -> list[Body]:
        path = resource.path(namespace) + (f"?{urlencode(query)}" if query else "")
        return list((await self._request("GET", path))["items"])

    async def until(
        self,
        resource: Resource,
        namespace: str,
        holds: Callable[[dict[str, Body]], bool],
        *,
        what: str,
        within: float = 30,
    ) -> dict[str, Body]:
        """Return all objects of a kind in a namespace, by name, as soon as a condition holds.

        Raises:
            TimeoutError: the condition did not hold in time; the message has the condition and the objects.
        """
        seen: dict[str, Body] = {}
        try:
            async with asyncio.timeout(within):
                while True:
                    async for seen in self._states(resource, namespace):
                        if holds(seen):
                            return dict(seen)
        except TimeoutError:
            current = json.dumps(list(seen.values()), indent=1)[-3000:]
            raise TimeoutError(
                f"timed out after {within:g} s waiting until {what}; the objects are {current}"
            ) from None

    async def _states(self, resource: Resource, namespace: str) -> AsyncIterator[dict[str, Body]]:
        """Yield all objects, and again after each change, until the API server ends the watch."""
        path = resource.path(namespace)
        listing = await self._request("GET", path)
        seen = {item["metadata"]["name"]: item for item in listing["items"]}
        yield seen
        query = {"watch": "true", "resourceVersion": listing["metadata"]["resourceVersion"]}
        async with self.session.get(path, params=query) as stream:
            async for line in stream.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                name = event["object"]["metadata"]["name"]
                if event["type"] == "DELETED":
                    seen.pop(name, None)
                else:
                    seen[name] = event["object"]
                yield seen

    async def _request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, content_type: str = "application/json"
    ) -> Body:
        headers = {"Content-Type": content_type, "Accept": "application/json", "Accept-Encoding": "identity"}
        content = None if body is None else json.dumps(body).encode()
        async with self.session.request(method, path, data=content, headers=headers) as response:
            found = json.loads(await response.read())
            if response.status >= 400:
                raise KubeError(response.status, found.get("message", ""))
            return dict(found)


@asynccontextmanager
async def kube_api(kubeconfig: Path) -> AsyncIterator[KubeApi]:
    """Connect to the API server of a kubeconfig."""
    configuration = Configuration()
    await kube_config.load_kube_config(str(kubeconfig), client_configuration=configuration)
    credentials = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    credentials.load_cert_chain(str(configuration.cert_file), configuration.key_file)
    session = ClientSession(
        configuration.host,
        connector=TCPConnector(ssl=credentials, limit=0),
        timeout=ClientTimeout(total=None),
        auto_decompress=False,  # the proxies forward bodies unchanged
        read_bufsize=2**20,  # each line of a watch is a whole object
    )
    async with session:
        yield KubeApi(session)
