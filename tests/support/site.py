"""The namespaces of end-to-end tests: a whole cluster, with Durafleet installed from its charts."""

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dev.cluster import Cluster
from tests.support.waiting import until

API = "durafleet.dev/v1alpha1"
MODEL = "http://model.models:8080/v1"


def script(*steps: Mapping[str, Any]) -> str:
    """Return a prompt that tells the model server its responses, one per step."""
    return json.dumps({"script": list(steps)})


@dataclass(frozen=True)
class Site:
    """A namespace of the cluster for one end-to-end test."""

    cluster: Cluster
    namespace: str

    @classmethod
    def create(cls, cluster: Cluster) -> "Site":
        """Create a namespace with a Secret that has a valid key for the model."""
        site = cls(cluster, f"e2e-{uuid.uuid4().hex[:8]}")
        cluster.kubectl("create", "namespace", site.namespace)
        site.secret("model-key", OPENAI_API_KEY="local")
        return site

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.cluster.kubectl("-n", self.namespace, *arguments, stdin=stdin)

    def apply(self, kind: str, name: str, spec: Mapping[str, Any]) -> None:
        """Apply a custom resource."""
        body = {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(body))

    def secret(self, name: str, **values: str) -> None:
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(body))

    def worker(self, name: str = "fleet", **spec: Any) -> None:
        """Apply an AgentWorker with one agent, `agent`, on the local model."""
        agent = {"name": "agent", "model": "openai:smollm2", "baseURL": MODEL, **spec.pop("agent", {})}
        defaults = {
            "agents": [agent],
            "envFrom": [{"secretRef": {"name": "model-key"}}],
            "timeouts": {"workflow": "5m", "activity": "30s", "heartbeat": "5s"},
            "retry": {"maximumAttempts": 5, "initialInterval": "200ms"},
        }
        self.apply("AgentWorker", name, {**defaults, **spec})

    def run(self, name: str, prompt: str, *, worker: str = "fleet", **spec: Any) -> None:
        """Apply an AgentRun of `agent`."""
        self.apply("AgentRun", name, {"workerRef": {"name": worker}, "agent": "agent", "input": prompt, **spec})

    def get(self, kind: str, name: str) -> dict[str, Any]:
        return dict(json.loads(self.kubectl("get", kind, name, "-o", "json")))

    def status(self, name: str) -> dict[str, Any]:
        """Return an AgentRun's status."""
        return dict(self.get("agentrun", name).get("status", {}))

    def condition(self, kind: str, name: str, type_: str) -> dict[str, str]:
        """Return a condition; one with empty strings if the object does not have it."""
        conditions = self.get(kind, name).get("status", {}).get("conditions", [])
        return next((c for c in conditions if c["type"] == type_), {"status": "", "reason": "", "message": ""})

    async def until_state(self, name: str, state: str, *, within: float = 90) -> dict[str, Any]:
        """Wait for an AgentRun's state; return its status."""
        await self.until(
            lambda: self.status(name).get("state") == state, f"run {name} is {state}", within=within, run=name
        )
        return self.status(name)

    async def until_condition(self, kind: str, name: str, type_: str, reason: str, *, within: float = 90) -> str:
        """Wait for a condition's reason; return its message."""
        await self.until(
            lambda: self.condition(kind, name, type_)["reason"] == reason, f"{kind} {name} is {reason}", within=within
        )
        return self.condition(kind, name, type_)["message"]

    async def until(self, done: Callable[[], bool], what: str, *, within: float = 90, run: str | None = None) -> None:
        """Wait for a condition; the error has the objects of the namespace."""
        try:
            await until(done, what=what, within=within)
        except TimeoutError as error:
            seen = self.cluster.kubectl("-n", self.namespace, "get", "ar,aw,pods", "-o", "wide", check=False)
            status = json.dumps(self.status(run), indent=1) if run else ""
            raise TimeoutError(f"{error}\n{seen}\n{status}") from None

    def workflow(self, run: str) -> dict[str, Any]:
        """Return a run's workflow as Temporal's CLI describes it."""
        out = self.cluster.temporal.cli("workflow", "describe", "-w", self.status(run)["workflow"]["id"], "-o", "json")
        return dict(json.loads(out))

    def history(self, run: str) -> list[dict[str, Any]]:
        """Return the events of a run's workflow."""
        out = self.cluster.temporal.cli("workflow", "show", "-w", self.status(run)["workflow"]["id"], "-o", "json")
        return list(json.loads(out)["events"])

    def executions(self, run: str) -> int:
        """Count all workflow executions of a run."""
        prefix = f"agent-run/{self.namespace}/{run}/"
        query = f'WorkflowId STARTS_WITH "{prefix}"'
        out = self.cluster.temporal.cli("workflow", "list", "--query", query, "-o", "json")
        return len(json.loads(out or "[]"))

    def remove(self) -> None:
        """Delete the namespace with all its objects, without waiting."""
        self.cluster.kubectl("delete", "namespace", self.namespace, "--wait=false", check=False)
