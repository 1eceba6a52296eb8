"""Bursts of AgentRuns: each run executes once, makes no more writes than a single run, and delays no other tenant.

The tests assert counts and order, never durations.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from durafleet.core.objects import FINALIZER
from durafleet.kube.resources import RUNS, WORKERS
from tests.support.cluster import ControlPlane
from tests.support.environment import create_environment, run_operators
from tests.support.kube_api import Body, KubeApi
from tests.support.operator import IMAGE, operator_env, operator_process, state_of
from tests.support.servers import Servers
from tests.support.waiting import until
from tests.support.workflows import EXECUTIONS, Echo

TENANTS, EACH = 4, 500
TASK_QUEUE = "many"
CONCURRENCY = 16
DEADLINE = 600.0
"""Seconds after which a test fails; enough for a slow machine."""
STATUS_AND_OBJECT, EVENTS = 4, 2
"""The maximum number of writes of a run's status and object, and of its Events."""


@pytest.fixture
def tenants(control_plane: ControlPlane) -> Iterator[list[str]]:
    """New namespaces."""
    names = [control_plane.new_namespace() for _ in range(TENANTS)]
    yield names
    for name in names:
        control_plane.kubectl("delete", "namespace", name, "--wait=false")


def a_worker(client: Client) -> Worker:
    """Return the worker for all runs of these tests; enter it to run it."""
    return Worker(client, task_queue=TASK_QUEUE, workflows=[Echo], workflow_runner=UnsandboxedWorkflowRunner())


async def create_worker(kube: KubeApi, namespace: str) -> None:
    spec = {"image": IMAGE, "taskQueue": TASK_QUEUE}
    await kube.create(WORKERS, {"metadata": {"name": "support", "namespace": namespace}, "spec": spec})


async def create_run(kube: KubeApi, namespace: str, name: str, **metadata: Any) -> Body:
    spec = {"workerRef": {"name": "support"}, "workflowType": "Echo", "input": "hello"}
    return await kube.create(RUNS, {"metadata": {"name": name, "namespace": namespace, **metadata}, "spec": spec})


async def gather_bounded(calls: Iterable[Callable[[], Awaitable[Any]]]) -> None:
    """Make calls concurrently, a limited number at a time."""
    semaphore = asyncio.Semaphore(CONCURRENCY)

    async def one(call: Callable[[], Awaitable[Any]]) -> None:
        async with semaphore:
            await call()

    await asyncio.gather(*map(one, calls))


async def create_burst(kube: KubeApi, namespaces: list[str], each: int) -> None:
    """Create this number of runs in each namespace, in all namespaces at the same time."""
    names = [(namespace, f"run-{number:04}") for number in range(each) for namespace in namespaces]
    await gather_bounded([lambda name=name: create_run(kube, *name) for name in names])


def started(namespaces: list[str]) -> Counter[str]:
    """Count the executions that the worker has started, by workflow id; its threads may add more meanwhile."""
    return Counter(workflow for workflow, _ in list(EXECUTIONS) if workflow.split("/")[1] in namespaces)


async def until_over(kube: KubeApi, namespaces: list[str]) -> list[Body]:
    """Return all AgentRuns once each has completed and has no finalizer."""
    unfinished = {"fieldSelector": "status.state!=Completed", "limit": "1"}
    async with asyncio.timeout(DEADLINE):
        for namespace in namespaces:
            await until_none(lambda namespace=namespace: kube.list(RUNS, namespace, **unfinished))
            await until_none(lambda namespace=namespace: with_finalizer(kube, namespace))
    return [run for namespace in namespaces for run in await kube.list(RUNS, namespace)]


async def with_finalizer(kube: KubeApi, namespace: str) -> list[Body]:
    """Return the AgentRuns with a finalizer."""
    return [run for run in await kube.list(RUNS, namespace) if run["metadata"].get("finalizers")]


async def until_none(find: Callable[[], Awaitable[list[Body]]]) -> None:
    """Return once nothing is found."""
    while True:
        if not await find():
            return
        await asyncio.sleep(0.5)


def count_writes(plane: ControlPlane, namespace: str) -> tuple[Counter[str], Counter[str]]:
    """Count the writes of each AgentRun after its creation, and its Events."""
    writes: Counter[str] = Counter()
    events: Counter[str] = Counter()
    for entry in plane.audit(namespace):
        reference, changes = entry["objectRef"], entry["verb"] in {"patch", "update", "delete"}
        if reference["resource"] == "agentruns" and changes:
            writes[reference["name"]] += 1
        elif reference["resource"] == "events" and entry["verb"] == "create":
            events[reference.get("name", "").partition(".")[0]] += 1
    return writes, events


async def test_two_thousand_runs_complete_once_each_although_the_operator_is_killed_meanwhile(
    control_plane: ControlPlane, servers: Servers, tenants: list[str], tmp_path: Path
):
    kube, client = servers.kube, servers.temporal
    env = operator_env(control_plane, temporal=servers.temporal_address, namespace=",".join(tenants))
    for namespace in tenants:
        await create_worker(kube, namespace)
    async with a_worker(client):
        with operator_process(tmp_path, env) as operator:
            await operator.until_ready()
            burst = asyncio.create_task(create_burst(kube, tenants, EACH))
            third = TENANTS * EACH // 3
            await until(lambda: len(started(tenants)) >= third, what="a third has started", within=DEADLINE)
            operator.kill()
            await burst
        with operator_process(tmp_path, env):
            runs = await until_over(kube, tenants)
    assert len(runs) == TENANTS * EACH
    executions = started(tenants)
    ids = {run["status"]["workflow"]["id"] for run in runs}
    assert executions.keys() == ids
    assert set(executions.values()) == {1}
    assert {(w, r) for w, r in EXECUTIONS if w in ids} == {
        (run["status"]["workflow"]["id"], run["status"]["workflow"]["runId"]) for run in runs
    }
    for namespace in tenants:
        writes, events = count_writes(control_plane, namespace)
        assert {name: n for name, n in writes.items() if n > STATUS_AND_OBJECT} == {}
        assert {name: n for name, n in events.items() if name.startswith("run-") and n > EVENTS} == {}


async def start_times(client: Client, namespace: str) -> list[datetime]:
    """Return the start times of the workflows of a namespace's runs, in order."""
    query = f'WorkflowId STARTS_WITH "agent-run/{namespace}/"'
    return sorted([each.start_time async for each in client.list_workflows(query)])


async def test_a_single_run_of_one_tenant_starts_during_the_burst_of_another(
    control_plane: ControlPlane, servers: Servers, tenants: list[str], tmp_path: Path
):
    busy, quiet = tenants[:2]
    burst, few = 600, 30
    env = operator_env(control_plane, temporal=servers.temporal_address, namespace=f"{busy},{quiet}")
    for namespace in (busy, quiet):
        await create_worker(servers.kube, namespace)
    await create_burst(servers.kube, [busy], burst)
    async with a_worker(servers.temporal):
        with operator_process(tmp_path, env | {"DURAFLEET_CONCURRENCY": "2"}):
            await until(lambda: len(started([busy])) >= few, what="the burst has started", within=DEADLINE)
            await create_run(servers.kube, quiet, "single")
            await until(lambda: len(started([quiet])) == 1, what="the single run has started", within=DEADLINE)
            await until_over(servers.kube, [busy, quiet])
    [single] = await start_times(servers.temporal, quiet)
    others = await start_times(servers.temporal, busy)
    assert len(others) == burst
    assert sum(other < single for other in others) < burst / 2


async def test_after_a_restart_a_new_run_starts_before_the_old_runs_are_reconciled(servers: Servers, tmp_path: Path):
    old = 300
    environment = await create_environment(servers, tmp_path)
    environment.deadline = DEADLINE
    await environment.create_worker()
    await gather_bounded(
        [lambda n=n: create_old(servers.kube, environment.namespace, f"old-{n:03}") for n in range(old)]
    )
    await environment.create_run("young", "RecordEffect", input="hello")  # the last one in a list
    environment.script.start()
    async with run_operators(environment):
        await environment.until_called("StartWorkflowExecution", times=1)
        await environment.until(
            RUNS,
            lambda all_: all(state_of(run) in {"Terminated", "Completed"} for run in all_.values()),
            what="the old runs are reconciled",
        )
    calls = [call.signature for call in environment.script.calls]
    before = calls[: calls.index("StartWorkflowExecution")]
    assert calls.count("PATCH agentruns/status") > old
    assert before.count("PATCH agentruns/status") < old / 2


async def test_all_workflows_of_a_burst_start_before_most_of_its_statuses_are_written(servers: Servers, tmp_path: Path):
    burst = 60
    environment = await create_environment(servers, tmp_path)
    environment.deadline = DEADLINE
    await environment.create_worker()
    for number in range(burst):
        await environment.create_run(f"run-{number}", "RecordEffect", input="hello")
    environment.script.start()
    async with run_operators(environment):
        await environment.until(
            RUNS,
            lambda all_: all(state_of(r) == "Completed" and not r["metadata"].get("finalizers") for r in all_.values()),
            what="all have completed",
        )
    calls = [call.signature for call in environment.script.calls]
    positions = [position for position, signature in enumerate(calls) if signature == "StartWorkflowExecution"]
    assert len(positions) == burst
    assert calls[: positions[-1]].count("PATCH agentruns/status") < burst / 2
    assert calls.count("PATCH agentruns/status") <= 2 * burst


async def create_old(kube: KubeApi, namespace: str, name: str) -> None:
    """Create a run that an operator left Running and whose workflow was deleted since: only Temporal knows this."""
    run = await create_run(kube, namespace, name, finalizers=[FINALIZER])
    times = {"observedGeneration": 1, "lastTransitionTime": "2026-11-25T03:00:00Z"}
    condition = {"reason": "Running", "message": "The workflow is running.", "status": "Unknown", **times}
    status = {
        "observedGeneration": 1,
        "state": "Running",
        "conditions": [{"type": kind, **condition} for kind in ("Succeeded", "Ready")],
        "workflow": {
            "id": f"agent-run/{namespace}/{name}/{run['metadata']['uid']}",
            "runId": run["metadata"]["uid"],
            "namespace": "default",
            "taskQueue": TASK_QUEUE,
            "type": "Echo",
        },
        "startTime": "2026-11-25T03:00:00Z",
    }
    await kube.patch(RUNS, namespace, name, {"status": status}, sub="status")
