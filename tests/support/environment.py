"""A namespace with its own operator behind proxies, and what a user does in that namespace.

An operator that ends is started again, as the kubelet would do. An environment is cheap: several can run at the
same time, and hundreds in one test.
"""

import asyncio
import json
import os
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowHandle

from durafleet.kube.lease import LEASES
from durafleet.kube.resources import CONFIG_MAPS, DEPLOYMENTS, EVENTS, RUNS, WORKERS, Resource
from tests.support.faults import Call, Drop, Fault, Script
from tests.support.grpc_proxy import grpc_proxy
from tests.support.kube_api import Body
from tests.support.kube_proxy import kube_proxy
from tests.support.operator import IMAGE, state_of
from tests.support.scenario_workflows import EFFECTS, TASK_QUEUE
from tests.support.servers import Servers
from tests.support.spawn import KUBECONFIG, SpawnedOperator, spawn_operator
from tests.support.waiting import until

WATCHES = ("agentruns", "agentworkers", "temporalconnections", "deployments")
_NAMESPACES = Resource("v1", "Namespace", "namespaces")
_LAST = "last"
_RESTART_DELAY = 0.2
"""Seconds per unexpected exit so far, before an operator that ended by itself is started again."""


class Environment:
    """One namespace and its operators.

    Attributes:
        script: the calls of the operators, and the faults to inject.
        created: the AgentRuns that were created, as the API server returned them.
        unexpected_exits: the exit codes of operators that ended by themselves.
        deadline: seconds to wait for a condition.
        operators: number of operators that are active at the same time.
        leader_election: whether a Lease decides which operator is active.
    """

    def __init__(self, servers: Servers, namespace: str, folder: Path) -> None:
        self.servers = servers
        self.namespace = namespace
        self.folder = folder
        self.script = Script()
        self.created: list[Body] = []
        self.unexpected_exits: list[int | None] = []
        self.deadline = 30.0
        self._operators: list[SpawnedOperator] = []
        self._killed: set[SpawnedOperator] = set()
        self.operators = 0
        self.leader_election = False

    async def create_worker(self, name: str = "support", **spec: Any) -> Body:
        """Create an AgentWorker; a worker polls its task queue already, without a pod."""
        return await self._create(WORKERS, name, {"image": IMAGE, "taskQueue": TASK_QUEUE, **spec})

    async def create_run(self, name: str, workflow_type: str, **spec: Any) -> Body:
        """Create an AgentRun, on AgentWorker `support` by default."""
        run = await self._create(RUNS, name, {"workerRef": {"name": "support"}, "workflowType": workflow_type, **spec})
        self.created.append(run)
        return run

    async def create_config_map(self, name: str, **data: str) -> Body:
        metadata = {"name": name, "namespace": self.namespace}
        return await self.servers.kube.create(CONFIG_MAPS, {"metadata": metadata, "data": data})

    async def patch_run(self, name: str, **spec: Any) -> None:
        await self.servers.kube.patch(RUNS, self.namespace, name, {"spec": spec})

    async def delete_run(self, name: str) -> None:
        await self.servers.kube.delete(RUNS, self.namespace, name)

    async def clear_status(self, name: str) -> None:
        """Remove the whole status of an AgentRun."""
        status = (await self.run(name))["status"]
        await self.servers.kube.patch(RUNS, self.namespace, name, {"status": dict.fromkeys(status)}, sub="status")

    async def clear_metadata(self, name: str, *fields: str) -> None:
        """Remove annotations, labels or finalizers of an AgentRun."""
        await self.servers.kube.patch(RUNS, self.namespace, name, {"metadata": dict.fromkeys(fields)})

    async def run(self, name: str) -> Body:
        """Return the current AgentRun."""
        return next(run for run in await self.servers.kube.list(RUNS, self.namespace) if _name(run) == name)

    async def until_run(self, name: str, holds: Callable[[Body], bool], *, what: str) -> Body:
        """Return an AgentRun once it exists and the condition holds."""
        runs = await self.until(RUNS, lambda all_: name in all_ and holds(all_[name]), what=f"run {name} {what}")
        return runs[name]

    async def until_state(self, name: str, state: str) -> Body:
        return await self.until_run(name, lambda run: state_of(run) == state, what=f"is {state}")

    async def until_effect(self, run: Body) -> None:
        """Return once the run's workflow has recorded its effect."""
        await until(
            lambda: EFFECTS[workflow_id(run)] > 0, what="the workflow has recorded its effect", within=self.deadline
        )

    async def until_called(self, signature: str, *, times: int) -> None:
        """Return once the operator has made this number of calls with a signature."""
        await until(
            lambda: self.script.count(signature) >= times, what=f"{times} calls {signature}", within=self.deadline
        )

    async def until(
        self, resource: Resource, holds: Callable[[dict[str, Body]], bool], *, what: str
    ) -> dict[str, Body]:
        """Return all objects of a kind, by name, once the condition holds."""
        return await self.servers.kube.until(resource, self.namespace, holds, what=what, within=self.deadline)

    async def events(self) -> list[Body]:
        return await self.servers.kube.list(EVENTS, self.namespace)

    def workflow(self, run: Body) -> WorkflowHandle[Any, Any]:
        return self.servers.temporal.get_workflow_handle(workflow_id(run))

    async def kill(self, _: Call) -> Fault:
        """Kill the active operator; an action for the script."""
        operator = self._operators[await self._leader() if self.leader_election else -1]
        self._killed.add(operator)
        await operator.kill()
        return Drop()

    async def until_watching(self) -> None:
        """Return once each operator has all its watches open and the AgentWorkers are reconciled."""
        await until(
            lambda: all(self.script.answered[f"WATCH {each}"] >= self.operators for each in WATCHES),
            what="the operator watches",
            within=self.deadline,
        )
        await self.until(WORKERS, lambda all_: all(map(_has_status, all_.values())), what="the workers have a status")
        await self.until(DEPLOYMENTS, lambda all_: all(map(_has_pods, all_.values())), what="their pods exist")

    async def until_caught_up(self) -> None:
        """Return once the current operator has reconciled all earlier changes."""
        await self.until_watching()
        await self._create(RUNS, _LAST, {"workerRef": {"name": "support"}, "agent": "nobody", "input": ""})
        await self.until_state(_LAST, "InvalidSpec")
        await self.delete_run(_LAST)
        await self.until(RUNS, lambda all_: _LAST not in all_, what="the last run is gone")

    def output(self) -> str:
        """Return the output of all operators."""
        return "\n".join(f"--- operator {n}\n{one.output()}" for n, one in enumerate(self._operators))

    async def supervise_operator(self, folder: Path, env: dict[str, str]) -> None:
        """Run an operator until cancelled, and start a new one each time it ends."""
        while True:
            self.script.answered.clear()
            number = len(self._operators)
            # Without leader election all operators have the same environment, so that their messages are the same.
            variables = {**env, "POD_NAME": str(number)} if self.leader_election else env
            operator = spawn_operator(folder, variables, log=f"operator-{number}.log")
            self._operators.append(operator)
            try:
                await operator.ended.wait()
            finally:
                await operator.kill()
            if operator not in self._killed:
                self.unexpected_exits.append(operator.exit_code)
                await asyncio.sleep(_RESTART_DELAY * len(self.unexpected_exits))

    async def _leader(self) -> int:
        (lease,) = await self.servers.kube.list(LEASES, self.namespace)
        return int(str(lease["spec"]["holderIdentity"]).partition("_")[0])

    async def _create(self, resource: Resource, name: str, spec: dict[str, Any]) -> Body:
        metadata = {"name": name, "namespace": self.namespace}
        return await self.servers.kube.create(resource, {"metadata": metadata, "spec": spec})


async def create_environment(servers: Servers, folder: Path) -> Environment:
    """Create a namespace, without an operator."""
    namespace = f"t-{uuid.uuid4().hex[:10]}"
    await servers.kube.create(_NAMESPACES, {"metadata": {"name": namespace}})
    return Environment(servers, namespace, folder)


@asynccontextmanager
async def run_operators(environment: Environment, *, operators: int = 1, election: bool = False) -> AsyncIterator[None]:
    """Run one or several operators in an environment, behind their own proxies.

    All operators are active at the same time, unless there is a leader election.
    """
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(kube_proxy(environment.servers.kube.session, environment.script))
        temporal = await stack.enter_async_context(grpc_proxy(environment.servers.temporal_address, environment.script))
        folder = Path(tempfile.mkdtemp(dir=environment.folder))
        (folder / KUBECONFIG).write_text(json.dumps(kubeconfig(url)))
        env = _env(temporal, environment.namespace)
        if election:
            env |= {"DURAFLEET_LEASE_NAME": "operator", "DURAFLEET_LEASE_NAMESPACE": environment.namespace}
        active = 1 if election else operators
        environment.leader_election = election
        environment.operators += active
        tasks = [asyncio.create_task(environment.supervise_operator(folder, env)) for _ in range(operators)]
        try:
            yield
        finally:
            environment.operators -= active
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


def workflow_id(run: Body) -> str:
    """Return the workflow id that an AgentRun must have."""
    metadata = run["metadata"]
    key = run["spec"].get("idempotencyKey") or metadata["uid"]
    return f"agent-run/{metadata['namespace']}/{metadata['name']}/{key}"


def _name(body: Body) -> str:
    return str(body["metadata"]["name"])


def _has_status(worker: Body) -> bool:
    return bool(worker.get("status", {}).get("conditions"))


def _has_pods(deployment: Body) -> bool:
    return bool(deployment.get("status", {}).get("replicas") == deployment["spec"]["replicas"])


def _env(temporal: str, namespace: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "SSL_CERT_FILE": os.devnull,  # loading the CA certificates is a fifth of the startup time; TLS is not used
        "DURAFLEET_TEMPORAL_ADDRESS": temporal,
        "DURAFLEET_WATCH_NAMESPACES": namespace,
        "DURAFLEET_HTTP_HOST": "127.0.0.1",
        "DURAFLEET_HTTP_PORT": "0",
        "DURAFLEET_LOG_FORMAT": "plain",
    }


def kubeconfig(url: str) -> dict[str, Any]:
    """Return a kubeconfig for the API server at this URL, without credentials."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "proxy",
        "clusters": [{"name": "proxy", "cluster": {"server": url}}],
        "users": [{"name": "proxy", "user": {}}],
        "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
    }
