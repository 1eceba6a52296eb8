"""Runs that existed before the operator started: when they are reconciled.

An open run waits for the census, a full list of open executions; until then it is expected.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, cast

import pytest

from durafleet.controllers.runs import first_look, sightings
from durafleet.controllers.runs.controller import RunController
from durafleet.controllers.store import Store
from durafleet.controllers.tracking.census import Census
from durafleet.controllers.tracking.sweeps import Sweeper
from durafleet.controllers.world import World
from durafleet.core.connections.targets import DefaultConnection
from durafleet.core.leading.sharding import Shard
from durafleet.core.objects import read_connection, read_worker
from durafleet.core.places import Place
from durafleet.core.runs.execution import ExecutionStatus
from durafleet.core.runs.identity import workflow_id
from tests.support.builders import an_execution
from tests.support.waiting import until

KEY = ("default", "hello")
CREATED = "2026-11-23T12:00:00Z"


async def _idle(_self: Any) -> None:
    await asyncio.Event().wait()


@pytest.fixture
async def controller(monkeypatch: pytest.MonkeyPatch) -> RunController:
    """Return a controller without servers, whose lanes run no sweep and no census."""
    monkeypatch.setattr(Sweeper, "run", _idle)
    monkeypatch.setattr(Census, "run", _idle)
    nothing = cast("Any", None)
    world = World(
        kube=nothing,
        pool=nothing,
        workers=Store(read_worker),
        connections=Store(read_connection),
        default_connection=DefaultConnection("temporal:7233"),
    )
    return RunController(world, concurrency=1)


def a_body(kind: str, spec: dict[str, Any], *, name: str, version: int = 1, generation: int = 1) -> dict[str, Any]:
    metadata = {
        "namespace": "default",
        "name": name,
        "uid": f"uid-{name}",
        "generation": generation,
        "resourceVersion": str(version),
        "creationTimestamp": CREATED,
    }
    return {"kind": kind, "metadata": metadata, "spec": spec}


def an_open_run(*, connection: str | None = None, version: int = 1, generation: int = 1) -> dict[str, Any]:
    ready = {
        "type": "Ready",
        "status": "Unknown",
        "observedGeneration": 1,
        "lastTransitionTime": CREATED,
        "reason": "Running",
        "message": "The workflow is running.",
    }
    workflow = {"id": "w", "runId": "r", "namespace": "default", "taskQueue": "q", "type": "Wait"}
    workflow |= {"connection": connection} if connection is not None else {}
    status = {"observedGeneration": 1, "conditions": [ready], "state": "Running", "workflow": workflow}
    spec = {"workerRef": {"name": "support"}, "workflowType": "Wait"}
    return {**a_body("AgentRun", spec, name="hello", version=version, generation=generation), "status": status}


def a_connection(address: str, *, version: int = 1) -> dict[str, Any]:
    return a_body("TemporalConnection", {"address": address, "namespace": "default"}, name="own", version=version)


def place_of(controller: RunController) -> Place | None:
    lanes = [track.lane for track in controller.tracker._tracks.values()]
    return next((lane.place for lane in lanes if KEY in lane.expected), None)


async def test_an_open_run_of_the_initial_list_waits_for_the_census(controller: RunController):
    controller.observe({"type": None, "object": an_open_run()})
    assert place_of(controller) == ("temporal:7233", "default")
    assert controller.sightings.backlog == 0


async def test_an_expected_run_is_enqueued_at_once_when_it_is_edited(controller: RunController):
    controller.observe({"type": None, "object": an_open_run()})
    controller.observe({"type": "MODIFIED", "object": an_open_run(version=2, generation=2)})
    assert controller.sightings.backlog == 1


async def test_an_expected_run_is_not_enqueued_when_its_worker_changes(controller: RunController):
    controller.observe({"type": None, "object": an_open_run()})
    controller.wake(tenant="default", worker="support")
    assert controller.sightings.backlog == 0


async def test_an_expected_run_waits_in_the_lane_of_its_current_connection(controller: RunController):
    connections = controller._world.connections
    connections.put(a_connection("silent:7233"))
    controller.observe({"type": None, "object": an_open_run(connection="own")})
    assert place_of(controller) == ("silent:7233", "default")
    connections.put(a_connection("temporal:7233", version=2))
    controller.wake(tenant="default")
    assert place_of(controller) == ("temporal:7233", "default")


async def test_an_expected_run_waits_until_its_connection_is_listed(controller: RunController):
    controller.observe({"type": None, "object": an_open_run(connection="own")})
    assert place_of(controller) is None
    controller._world.connections.put(a_connection("temporal:7233"))
    controller.wake(tenant="default")
    assert await controller.reconcile(KEY) is None
    assert place_of(controller) == ("temporal:7233", "default")


async def test_an_expected_run_is_enqueued_if_its_connection_is_not_listed_in_time(
    controller: RunController, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sightings, "CONNECTION_LIST_DELAY", 0.0)
    controller.observe({"type": None, "object": an_open_run(connection="own")})
    assert controller.sightings.backlog == 1


async def test_a_run_created_while_a_long_list_is_read_is_found_before_the_list_ends(
    controller: RunController, monkeypatch: pytest.MonkeyPatch
):
    new = a_body("AgentRun", {"workerRef": {"name": "support"}, "workflowType": "Wait"}, name="new")
    asked: list[str | None] = []

    async def list_new(
        _kube: Any, _resource: Any, namespace: str | None, **query: str
    ) -> AsyncIterator[dict[str, Any]]:
        asked.append(query["fieldSelector"])
        yield new

    monkeypatch.setattr(first_look, "list_all", list_new)
    monkeypatch.setattr(first_look, "LIST_INTERVAL", 0.01)
    looking = asyncio.create_task(
        first_look.relist_new_runs(controller, cast("Any", None), namespaces=[], shard=Shard())
    )
    await asyncio.sleep(0)  # let the task begin
    for version in range(first_look.LONG_LIST):
        controller.observe({"type": None, "object": an_open_run(version=version + 1)})
    await until(lambda: controller.sightings.backlog == 1, what="the new run waits for its start")
    await looking  # the task ends by itself once nothing more is listed
    assert asked == ["status.state="]


async def test_a_deleted_run_is_no_longer_expected(controller: RunController):
    controller.observe({"type": None, "object": an_open_run()})
    controller.observe({"type": "DELETED", "object": an_open_run()})
    await controller.reconcile(KEY)
    assert place_of(controller) is None


async def test_a_row_that_only_adds_the_start_time_of_a_known_execution_enqueues_nothing(controller: RunController):
    controller.observe({"type": None, "object": an_open_run()})
    run = controller._runs.get(KEY)
    assert run is not None
    row = an_execution(workflow_id=workflow_id(run))
    memory = controller.sightings.remember(run)
    memory.observe(replace(row, start_time=None))  # as in the response to a start
    controller.sightings.observe_execution(row, ("temporal:7233", "default"))
    assert memory.execution == row
    assert controller.sightings.backlog == 0
    controller.sightings.observe_execution(replace(row, status=ExecutionStatus.PAUSED), ("temporal:7233", "default"))
    assert controller.sightings.backlog == 1
