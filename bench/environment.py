"""The benchmark environment: a real Kubernetes control plane and a real Temporal server.

The control plane has an API server, etcd and the controllers, but no node: the benchmark measures the operator,
not containers. One worker process (`bench.workload`) polls the task queue of all fleets.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from temporalio.client import Client

from bench.processes import PYTHON, Operator, Process, descendants
from bench.workload import TASK_QUEUE
from dev.cluster import Cluster
from dev.cluster.host import node_pid
from dev.cluster.layout import ROOT
from durafleet.kube.resources import RUNS, WORKERS, Resource
from tests.support.kube_api import KubeApi, kube_api
from tests.support.temporal import free_port

FLEET = "bench"
"""Name of the AgentWorker in every namespace."""
NAMESPACES = Resource("v1", "Namespace", "namespaces")
_COMPONENTS = ("kube-apiserver", "etcd", "kube-controller-manager")


@dataclass(frozen=True)
class Environment:
    """The servers and their clients.

    Attributes:
        folder: for logs.
        in_memory: Temporal keeps its workflows in memory instead of in a file (SQLite, write-ahead log).
    """

    cluster: Cluster
    kube: KubeApi
    temporal: Client
    worker: Process
    folder: Path
    in_memory: bool

    def pids(self) -> dict[str, int]:
        """Return the process ids whose CPU is reported separately, by name."""
        node = node_pid(self.cluster.state)
        assert node is not None, "the control plane has died"
        found = descendants(node)
        temporal = self.cluster.temporal.pid
        assert temporal is not None, "Temporal has died"
        own = {"temporal": temporal, "worker": self.worker.pid, "harness": os.getpid()}
        return {name: found[name] for name in _COMPONENTS} | own

    def operator(self, *, memory_mib: int | None = None) -> Operator:
        """Return an operator for all namespaces; it is not started yet."""
        port = free_port()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("DURAFLEET_")}
        env = {
            **inherited,
            "KUBECONFIG": str(self.cluster.kubeconfig),
            "DURAFLEET_TEMPORAL_ADDRESS": self.cluster.temporal.address,
            "DURAFLEET_WORKER_IMAGE": "registry.invalid/worker:1",
            "DURAFLEET_HTTP_HOST": "127.0.0.1",
            "DURAFLEET_HTTP_PORT": str(port),
        }
        return Operator(env, port=port, log=self.folder / "operator.log", memory_mib=memory_mib)

    async def fleets(self, namespaces: Sequence[str]) -> None:
        """Create namespaces with an AgentWorker each. They have no pods: `bench.workload` polls their task queue."""
        spec = {"taskQueue": TASK_QUEUE, "replicas": 0, "timeouts": {"workflow": "24h"}}
        for namespace in namespaces:
            await self.kube.create(NAMESPACES, {"metadata": {"name": namespace}})
            await self.kube.create(WORKERS, {"metadata": {"name": FLEET, "namespace": namespace}, "spec": spec})

    async def clear(self, namespaces: Sequence[str]) -> None:
        """Delete the AgentRuns of a measurement; none of them may be open."""
        for namespace in namespaces:
            path = f"/apis/{RUNS.api_version}/namespaces/{namespace}/{RUNS.plural}"
            async with self.kube.session.delete(path) as answer:
                answer.raise_for_status()


@asynccontextmanager
async def environment(folder: Path, *, in_memory: bool = False) -> AsyncIterator[Environment]:
    """Start the servers and the worker; stop and remove them when the context ends."""
    cluster = Cluster(f"bench-{os.getpid()}", say=lambda _: None)
    try:
        await asyncio.to_thread(cluster.up, ["control-plane", "temporal"], temporal_in_memory=in_memory)
        await asyncio.to_thread(cluster.helm, "install", "durafleet-crds", str(ROOT / "helm/durafleet-crds"), "--wait")
        client = await Client.connect(cluster.temporal.address)
        worker = Process([PYTHON, "-m", "bench.workload", cluster.temporal.address], log=folder / "worker.log")
        with contextlib.ExitStack() as stack:
            worker.start()
            stack.callback(worker.stop)
            async with kube_api(cluster.kubeconfig) as kube:
                yield Environment(cluster, kube, client, worker, folder, in_memory)
    finally:
        await asyncio.to_thread(cluster.down)
