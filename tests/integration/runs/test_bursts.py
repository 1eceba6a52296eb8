"""Many AgentRuns at once: every one is run once, costs what one costs, and no tenant waits for another's burst.

What is counted and in which order things happen is asserted, never how long they take.
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
from tests.support.environment import operating, set_stage
from tests.support.kube_api import Body, KubeApi
from tests.support.operator import IMAGE, environment, operator_process, state_of
from tests.support.servers import Servers
from tests.support.waiting import until
from tests.support.workflows import EXECUTIONS, Echo

TENANTS, EACH = 4, 500
TASK_QUEUE = "many"
AT_ONCE = 16
PATIENCE = 600.0
"""Seconds after which what has not happened is taken for lost, on however slow a machine."""
STATUS_AND_OBJECT, EVENTS = 4, 2
"""The most that a run may cost in writes of itself, and in Events."""


@pytest.fixture
def tenants(control_plane: ControlPlane) -> Iterator[list[str]]:
    """Fresh namespaces."""
    names = [control_plane.new_namespace() for _ in range(TENANTS)]
    yield names
    for name in names:
        control_plane.kubectl("delete", "namespace", name, "--wait=false")


def a_worker(client: Client) -> Worker:
    """Return what works on all runs of these tests; enter it to run it."""
    return Worker(client, task_queue=TASK_QUEUE, workflows=[Echo], workflow_runner=UnsandboxedWorkflowRunner())


async def create_worker(kube: KubeApi, namespace: str) -> None:
    spec = {"image": IMAGE, "taskQueue": TASK_QUEUE}
    await kube.create(WORKERS, {"metadata": {"name": "support", "namespace": namespace}, "spec": spec})


async def create_run(kube: KubeApi, namespace: str, name: str, **metadata: Any) -> Body:
    spec = {"workerRef": {"name": "support"}, "workflowType": "Echo", "input": "hello"}
    return await kube.create(RUNS, {"metadata": {"name": name, "namespace": namespace, **metadata}, "spec": spec})


async def bounded(works: Iterable[Callable[[], Awaitable[Any]]]) -> None:
    """Do things beside each other, a few at a time."""
    turnstile = asyncio.Semaphore(AT_ONCE)

    async def one(work: Callable[[], Awaitable[Any]]) -> None:
        async with turnstile:
            await work()

    await asyncio.gather(*map(one, works))


async def create_burst(kube: KubeApi, namespaces: list[str], each: int) -> None:
    """Create so many runs in each namespace, all namespaces at the same time."""
    places = [(namespace, f"run-{number:04}") for number in range(each) for namespace in namespaces]
    await bounded([lambda place=place: create_run(kube, *place) for place in places])


def begun(namespaces: list[str]) -> Counter[str]:
    """Count the executions that the worker has begun, by workflow id; its threads add more meanwhile."""
    return Counter(workflow for workflow, _ in list(EXECUTIONS) if workflow.split("/")[1] in namespaces)


async def until_over(kube: KubeApi, namespaces: list[str]) -> list[Body]:
    """Return all AgentRuns once each has completed and is held by nobody."""
    unfinished = {"fieldSelector": "status.state!=Completed", "limit": "1"}
    async with asyncio.timeout(PATIENCE):
        for namespace in namespaces:
            await until_none(lambda namespace=namespace: kube.list(RUNS, namespace, **unfinished))
            await until_none(lambda namespace=namespace: held(kube, namespace))
    return [run for namespace in namespaces for run in await kube.list(RUNS, namespace)]


async def held(kube: KubeApi, namespace: str) -> list[Body]:
    """Return the AgentRuns that somebody holds by a finalizer."""
    return [run for run in await kube.list(RUNS, namespace) if run["metadata"].get("finalizers")]


async def until_none(look: Callable[[], Awaitable[list[Body]]]) -> None:
    """Return once a look finds nothing."""
    while True:
        if not await look():
            return
        await asyncio.sleep(0.5)


def costs(plane: ControlPlane, namespace: str) -> tuple[Counter[str], Counter[str]]:
    """Count by AgentRun what was written of it after its creation, and its Events."""
    writes: Counter[str] = Counter()
    events: Counter[str] = Counter()
    for entry in plane.audit(namespace):
        about, changes = entry["objectRef"], entry["verb"] in {"patch", "update", "delete"}
        if about["resource"] == "agentruns" and changes:
            writes[about["name"]] += 1
        elif about["resource"] == "events" and entry["verb"] == "create":
            events[about.get("name", "").partition(".")[0]] += 1
    return writes, events


async def test_two_thousand_runs_complete_once_each_though_the_operator_is_killed_among_them(
    control_plane: ControlPlane, servers: Servers, tenants: list[str], tmp_path: Path
):
    kube, client = servers.kube, servers.temporal
    env = environment(control_plane, temporal=servers.temporal_address, namespace=",".join(tenants))
    for namespace in tenants:
        await create_worker(kube, namespace)
    async with a_worker(client):
        with operator_process(tmp_path, env) as operator:
            await operator.until_ready()
            burst = asyncio.create_task(create_burst(kube, tenants, EACH))
            third = TENANTS * EACH // 3
            await until(lambda: len(begun(tenants)) >= third, what="a third has begun", within=PATIENCE)
            operator.kill()
            await burst
        with operator_process(tmp_path, env):
            runs = await until_over(kube, tenants)
    assert len(runs) == TENANTS * EACH
    executions = begun(tenants)
    ids = {run["status"]["workflow"]["id"] for run in runs}
    assert executions.keys() == ids
    assert set(executions.values()) == {1}
    assert {(w, r) for w, r in EXECUTIONS if w in ids} == {
        (run["status"]["workflow"]["id"], run["status"]["workflow"]["runId"]) for run in runs
    }
    for namespace in tenants:
        writes, events = costs(control_plane, namespace)
        assert {name: n for name, n in writes.items() if n > STATUS_AND_OBJECT} == {}
        assert {name: n for name, n in events.items() if name.startswith("run-") and n > EVENTS} == {}


async def starts(client: Client, namespace: str) -> list[datetime]:
    """Return when the workflows of a namespace's runs started, in order."""
    query = f'WorkflowId STARTS_WITH "agent-run/{namespace}/"'
    return sorted([each.start_time async for each in client.list_workflows(query)])


async def test_a_tenants_single_run_starts_amid_anothers_burst(
    control_plane: ControlPlane, servers: Servers, tenants: list[str], tmp_path: Path
):
    loud, quiet = tenants[:2]
    burst, few = 600, 30
    env = environment(control_plane, temporal=servers.temporal_address, namespace=f"{loud},{quiet}")
    for namespace in (loud, quiet):
        await create_worker(servers.kube, namespace)
    await create_burst(servers.kube, [loud], burst)
    async with a_worker(servers.temporal):
        with operator_process(tmp_path, env | {"DURAFLEET_CONCURRENCY": "2"}):
            await until(lambda: len(begun([loud])) >= few, what="the burst has begun", within=PATIENCE)
            await create_run(servers.kube, quiet, "single")
            await until(lambda: len(begun([quiet])) == 1, what="the single run has begun", within=PATIENCE)
            await until_over(servers.kube, [loud, quiet])
    [single] = await starts(servers.temporal, quiet)
    others = await starts(servers.temporal, loud)
    assert len(others) == burst
    assert sum(other < single for other in others) < burst / 2


async def test_after_a_restart_a_new_run_starts_before_the_old_ones_have_been_looked_at(
    servers: Servers, tmp_path: Path
):
    old = 300
    stage = await set_stage(servers, tmp_path)
    stage.patience = PATIENCE
    await stage.create_worker()
    await bounded([lambda n=n: create_old(servers.kube, stage.namespace, f"old-{n:03}") for n in range(old)])
    await stage.create_run("young", "Errand", input="hello")  # the last one in any list
    stage.script.begin()
    async with operating(stage):
        await stage.until_called("StartWorkflowExecution", times=1)
        await stage.until(
            RUNS,
            lambda all_: all(state_of(run) in {"Terminated", "Completed"} for run in all_.values()),
            what="the old ones were looked at",
        )
    calls = [call.signature for call in stage.script.calls]
    before = calls[: calls.index("StartWorkflowExecution")]
    assert calls.count("PATCH agentruns/status") > old
    assert before.count("PATCH agentruns/status") < old / 2


async def test_a_burst_is_started_before_its_statuses_are_written(servers: Servers, tmp_path: Path):
    burst = 60
    stage = await set_stage(servers, tmp_path)
    stage.patience = PATIENCE
    await stage.create_worker()
    for number in range(burst):
        await stage.create_run(f"run-{number}", "Errand", input="hello")
    stage.script.begin()
    async with operating(stage):
        await stage.until(
            RUNS,
            lambda all_: all(state_of(r) == "Completed" and not r["metadata"].get("finalizers") for r in all_.values()),
            what="all have completed",
        )
    calls = [call.signature for call in stage.script.calls]
    starts_ = [position for position, signature in enumerate(calls) if signature == "StartWorkflowExecution"]
    assert len(starts_) == burst
    assert calls[: starts_[-1]].count("PATCH agentruns/status") < burst / 2
    assert calls.count("PATCH agentruns/status") <= 2 * burst


async def create_old(kube: KubeApi, namespace: str, name: str) -> None:
    """Create a run as an operator left it whose workflow was deleted meanwhile: only Temporal can tell."""
    run = await create_run(kube, namespace, name, finalizers=[FINALIZER])
    times = {"observedGeneration": 1, "lastTransitionTime": "2026-11-25T03:00:00Z"}
    said = {"reason": "Running", "message": "The workflow is running.", "status": "Unknown", **times}
    status = {
        "observedGeneration": 1,
        "state": "Running",
        "conditions": [{"type": kind, **said} for kind in ("Succeeded", "Ready")],
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
