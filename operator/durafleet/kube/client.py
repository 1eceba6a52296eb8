"""Requests to the API server as raw JSON, over the official client's connection, credentials and TLS.

Raw, because the operator reads objects into its own models. The client's generated models would be built for every
pod and thrown away.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from kubernetes.aio import config as kube_config
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from prometheus_client import Counter

from durafleet.errors import ConfigurationError, Conflict, Denied, NotFound, Refused, Unavailable
from durafleet.fence import FENCE
from durafleet.kube.throttle import Throttle

FIELD_MANAGER = "durafleet"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON = "application/json"
_TIMEOUT = 15.0
CONNECTIONS = 32
"""Maximum concurrent connections, besides those of the watches. Further requests wait for a free one."""

REQUESTS = Counter("durafleet_kubernetes_requests_total", "Requests to the API server.", ["method", "code"])


@dataclass
class KubeClient:
    """One connection pool to the API server.

    Attributes:
        agent: the User-Agent of the operator, which appears in the API server's audit log.
    """

    api: ApiClient
    agent: str
    throttle: Throttle = field(default_factory=Throttle)

    @classmethod
    async def connect(cls, *, name: str) -> Self:
        """Connect with the pod's service account, or else with the current kubeconfig.

        Args:
            name: the name of the pod, or another name that is unique to this operator.

        Raises:
            ConfigurationError: neither exists.
        """
        configuration = Configuration()
        try:
            try:
                kube_config.load_incluster_config(client_configuration=configuration)
            except kube_config.ConfigException:
                await kube_config.load_kube_config(client_configuration=configuration)
        except kube_config.ConfigException as error:
            raise ConfigurationError(
                f"No Kubernetes credentials ({error}). Run in a pod with a service account, or set KUBECONFIG."
            ) from error
        configuration.connection_pool_maxsize = CONNECTIONS
        configuration.proxy = configuration.proxy or _proxy_of(configuration.host)
        configuration.client_session_kwargs = {"trust_env": False}
        return cls(ApiClient(configuration=configuration), f"durafleet-operator ({name})")

    async def close(self) -> None:
        await self.api.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        content_type: str = JSON,
        query: Mapping[str, str] | None = None,
        fenced: bool = True,
    ) -> dict[str, Any]:
        """Send one request and return the JSON of the response. Waits while the API server has asked for a pause.

        A request that changes something goes through the fence. The requests of leader election are not `fenced`
        and never wait.

        Raises:
            Unavailable: no response, 429 or 5xx; Conflict: 409.
            NotFound, Denied, Refused: the API server rejected the request.
        """
        if fenced:
            await self.throttle.passed()
        headers: dict[str, Any] = {"Content-Type": content_type, "Accept": JSON, "User-Agent": self.agent}
        await self.api.update_params_for_auth(headers, [], ["BearerToken"], path, method, None)
        url = f"{self.api.configuration.host}{path}" + (f"?{urlencode(query)}" if query else "")
        try:
            call = self.api.rest_client.request(method, url, headers=headers, body=body, _request_timeout=_TIMEOUT)
            answer = await (FENCE.through(call) if fenced and method != "GET" else call)
            data = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            REQUESTS.labels(method, "none").inc()
            raise Unavailable(f"the API server does not answer: {error!r}") from error
        REQUESTS.labels(method, str(answer.status)).inc()
        content = _read(data)
        if answer.status >= 400:
            seconds = _seconds(answer.headers.get("Retry-After"))
            if answer.status == 429:
                self.throttle.note(seconds)
            raise _error(answer.status, content, seconds)
        if not isinstance(content, dict):
            raise Unavailable(f"the response of the API server is not a JSON object: {content}")
        return content


def _proxy_of(url: str) -> str | None:
    """Return the proxy that the environment sets for a URL.

    It is read once. With `trust_env`, the client reads it and ~/.netrc for each request, the latter in a thread,
    which took a fifth of the operator's time under load.
    """
    parts = urlsplit(url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)


def _read(data: bytes) -> Any:
    """Parse a response: JSON, or text from an overloaded API server or a proxy in front of it."""
    try:
        return json.loads(data) if data else {}
    except ValueError:
        return data.decode(errors="replace").strip()[:200]


def _seconds(retry_after: str | None) -> float | None:
    return float(retry_after) if retry_after and retry_after.isdigit() else None


def _error(status: int, content: Any, retry_after: float | None) -> Exception:
    words = content.get("message", "") if isinstance(content, dict) else str(content)
    message = f"HTTP {status}: {words}"
    if status == 409:
        return Conflict(message)
    if status == 429 or status >= 500:
        return Unavailable(message, retry_after=retry_after)
    if status == 404:
        return NotFound(message)
    if status in {401, 403}:
        return Denied(message)
    return Refused(message)
