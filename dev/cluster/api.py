"""Requests to the API server while a cluster starts, with the standard library only."""

import json
import ssl
import urllib.request
from typing import Any

from dev.cluster.layout import NODE_NAME, State

_RBAC = "rbac.authorization.k8s.io"


def request(state: State, path: str, *, method: str = "GET", body: Any = None) -> Any:
    """Send one request as the administrator; return JSON, or text if the response is not JSON."""
    context = ssl.create_default_context(cafile=str(state.dir / "pki/ca.crt"))
    context.load_cert_chain(state.dir / "pki/admin.crt", state.dir / "pki/admin.key")
    content = "application/apply-patch+yaml" if method == "PATCH" else "application/json"
    call = urllib.request.Request(
        f"{state.network.server}{path}",
        method=method,
        data=json.dumps(body).encode() if body is not None else None,
        headers={"Content-Type": content},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    with opener.open(call, timeout=5) as answer:
        data = answer.read()
    return json.loads(data) if data[:1] in (b"{", b"[") else data.decode()


def apply(state: State, path: str, manifest: dict[str, Any]) -> None:
    """Apply one object (server-side) to the collection at this path."""
    query = "fieldManager=local-cluster&force=true"
    request(state, f"{path}/{manifest['metadata']['name']}?{query}", method="PATCH", body=manifest)


def api_serves(state: State) -> bool:
    return bool(request(state, "/readyz") == "ok")


def node_is_ready(state: State) -> bool:
    conditions = request(state, f"/api/v1/nodes/{NODE_NAME}")["status"]["conditions"]
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def accounts_work(state: State) -> bool:
    """Whether the controllers have created the first service account."""
    return bool(request(state, "/api/v1/namespaces/default/serviceaccounts/default"))


def grant_dns(state: State) -> None:
    """Grant CoreDNS its read access; before it starts, because it would back off for seconds."""
    rules = [
        {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]
    role = {"apiVersion": f"{_RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": "coredns"}, "rules": rules}
    apply(state, f"/apis/{_RBAC}/v1/clusterroles", role)
    binding = {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "coredns"},
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": "coredns"},
        "subjects": [{"apiGroup": _RBAC, "kind": "User", "name": "coredns"}],
    }
    apply(state, f"/apis/{_RBAC}/v1/clusterrolebindings", binding)


def publish(
    state: State, namespace: str, name: str, *, address: str, ports: list[dict[str, Any]], cluster_ip: str | None = None
) -> None:
    """Create a Service for a process outside the cluster: without a selector, with an EndpointSlice."""
    apply(
        state,
        "/api/v1/namespaces",
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
    )
    spec: dict[str, Any] = {"ports": ports, **({"clusterIP": cluster_ip} if cluster_ip else {})}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}
    apply(state, f"/api/v1/namespaces/{namespace}/services", service)
    apply(
        state,
        f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices",
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": f"{name}-host", "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
            "ports": [_endpoint_port(port) for port in ports],
        },
    )


def _endpoint_port(port: dict[str, Any]) -> dict[str, Any]:
    """Return a Service's port for its EndpointSlice: the port on which the process listens."""
    return {"name": port["name"], "protocol": port["protocol"], "port": port.get("targetPort", port["port"])}
