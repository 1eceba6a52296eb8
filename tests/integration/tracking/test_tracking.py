"""Tracking of many runs with few requests to Temporal, on the real servers."""

import json
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from temporalio.client import Client
from temporalio.common import SearchAttributePair, TypedSearchAttributes

from tests.support.cluster import ControlPlane
from tests.support.faults import Moment, Reply, Script, respond_with
from tests.support.grpc_proxy import grpc_proxy
from tests.support.operator import Fleet, OperatorProcess, condition, operator_process, with_constants
from tests.support.temporal import dev_server, free_port
from tests.support.temporal_recorder import CENSUS, PROGRESSED, TemporalRecorder
from tests.support.waiting import until
from tests.support.workflows import UPDATED

LIST = "ListWorkflowExecutions"


@dataclass
class TemporalProxy:
    """A proxy between an operator and Temporal."""

    address: str
    script: Script = field(default_factory=Script)
    recorder: TemporalRecorder = field(default_factory=TemporalRecorder)

    def env(self, *fleets: Fleet) -> dict[str, str]:
        """Return the environment variables of an operator for the namespaces of fleets."""
        namespaces = ",".join(fleet.namespace for fleet in fleets)
        own = {"DURAFLEET_TEMPORAL_ADDRESS": self.address, "DURAFLEET_WATCH_NAMESPACES": namespaces}
        return {**fleets[0].env(), **own}


@pytest.fixture
async def proxy(temporal_server: str) -> AsyncIterator[TemporalProxy]:
    created = TemporalProxy("")
    created.script.start()
    async with grpc_proxy(temporal_server, created.script, response_filter=created.recorder) as address:
        created.address = address
        yield created


@pytest.fixture
async def fleet(control_plane: ControlPlane, temporal_server: str, namespace: str) -> Fleet:
    """A namespace with an AgentWorker `support`, without an operator."""
    created = Fleet(control_plane, namespace, await Client.connect(temporal_server))
    created.create_worker()
    return created


def get(operator: OperatorProcess, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{operator.port}{path}", timeout=5) as response:
        return str(response.read().decode())


def metric(operator: OperatorProcess, name: str) -> float:
    """Return the value of a metric's first series."""
    return next(float(line.split()[-1]) for line in get(operator, "/metrics").splitlines() if line.startswith(name))


def listed(fleet: Fleet, query: str, *, namespace: str = "default") -> bool:
    """Return whether Temporal's visibility finds anything for a query."""
    found = fleet.temporal("workflow", "list", "--namespace", namespace, "--query", query, "-o", "json")
    return bool(json.loads(found or "[]"))


def open_in_list(fleet: Fleet, workflow: str) -> bool:
    return listed(fleet, f'WorkflowId = "{workflow}" AND ExecutionStatus = "Running"')


def version(run: dict[str, Any]) -> str:
    return str(run["metadata"]["resourceVersion"])


async def test_a_restart_describes_no_run_that_the_census_shows_open_and_unchanged(
    fleet: Fleet, proxy: TemporalProxy, folders: Iterator[Path]
):
    unchanged = [f"quiet-{number}" for number in range(5)]
    async with fleet.worker():
        with operator_process(next(folders), fleet.env()) as operator:
            await operator.until_ready()
            created = {name: fleet.create_run(name, "Wait") for name in (*unchanged, "closed", "erased", "reset")}
            before = {name: await fleet.until_state(name, "Running") for name in created}
        ids = {name: fleet.workflow(run).id for name, run in created.items()}
        await fleet.workflow(created["closed"]).signal("finish", "meanwhile")
        fleet.temporal("workflow", "delete", "-w", ids["erased"], "--yes")
        fleet.temporal("workflow", "reset", "-w", ids["reset"], "-t", "FirstWorkflowTask", "--reason", "test")
        for name in ("closed", "erased"):
            await until(
                lambda name=name: not open_in_list(fleet, ids[name]), what=f"visibility shows that {name} is closed"
            )
        with operator_process(next(folders), proxy.env(fleet)) as operator:
            await operator.until_ready()
            run = await fleet.until_state("closed", "Completed")
            assert run["status"]["result"]["preview"] == "meanwhile"
            await fleet.until_state("erased", "Terminated")
            old = before["reset"]["status"]["workflow"]["runId"]
            moved = await fleet.until(
                "agentrun", "reset", lambda it: it["status"]["workflow"]["runId"] != old, what="follows the reset"
            )
            assert moved["status"]["state"] == "Running"
            described = set(proxy.recorder.described)
            assert ids["erased"] in described  # no list contains it any more
            assert described <= {ids[name] for name in ("closed", "erased", "reset")}
            assert [version(fleet.get("agentrun", name)) for name in unchanged] == [
                version(before[name]) for name in unchanged
            ]
            await fleet.workflow(created["quiet-0"]).signal("finish", "still tracked")
            await fleet.until_state("quiet-0", "Completed")


async def test_a_stop_set_while_no_operator_runs_is_applied_without_a_census(
    fleet: Fleet, proxy: TemporalProxy, folders: Iterator[Path]
):
    async with fleet.worker():
        with operator_process(next(folders), fleet.env()) as operator:
            await operator.until_ready()
            fleet.create_run("unwanted", "Wait")
            await fleet.until_state("unwanted", "Running")
        fleet.patch("agentrun", "unwanted", {"stop": "Cancel"})
        proxy.script.at(LIST, Moment.BEFORE, respond_with(Reply(grpc.StatusCode.UNAVAILABLE)), times=None)
        with operator_process(next(folders), proxy.env(fleet)) as operator:
            await operator.until_ready()
            await fleet.until_state("unwanted", "Cancelled")


async def test_after_a_restart_a_run_reports_a_temporal_outage_and_continues_after_it(
    control_plane: ControlPlane, namespace: str, folders: Iterator[Path], tmp_path: Path
):
    port, database = free_port(), tmp_path / "temporal.db"
    fleet = Fleet(control_plane, namespace, await Client.connect(f"127.0.0.1:{port}", lazy=True))
    fleet.create_worker()
    with dev_server(port=port, database=database), operator_process(next(folders), fleet.env()) as operator:
        await operator.until_ready()
        created = fleet.create_run("patient", "Wait")
        before = await fleet.until_state("patient", "Running")
    short_deadlines = with_constants(core__grace__TEMPORAL_GRACE=1.0, controllers__tracking__sweeps__TEMPORAL_GRACE=1.0)
    with operator_process(next(folders), fleet.env(), code=short_deadlines) as operator:
        await operator.until_ready()
        run = await fleet.until_reason("agentrun", "patient", "TemporalUnavailable")
        assert run["status"]["state"] == "Running"
        assert condition(run, "Stalled")["status"] == "True"
        with dev_server(port=port, database=database) as address:
            again = replace(fleet, client=await Client.connect(address))
            run = await fleet.until_reason("agentrun", "patient", "Running")
            assert run["status"]["workflow"] == before["status"]["workflow"]
            async with again.worker():
                await again.workflow(created).signal("finish", "at last")
                await fleet.until_state("patient", "Completed")


async def test_namespaces_with_the_same_temporal_namespace_share_one_sweep(
    fleet: Fleet, proxy: TemporalProxy, tmp_path: Path
):
    other = replace(fleet, namespace=fleet.plane.new_namespace())
    other.create("TemporalConnection", "own", {"address": proxy.address})
    other.create_worker(connectionRef={"name": "own"})
    async with fleet.worker(), other.worker():
        with operator_process(tmp_path, proxy.env(fleet, other)) as operator:
            await operator.until_ready()
            created = [each.create_run("shared", "Wait") for each in (fleet, other)]
            for each in (fleet, other):
                await each.until_state("shared", "Running")
            seen = proxy.recorder.count(PROGRESSED)
            await until(lambda: proxy.recorder.count(PROGRESSED) > seen + 4, what="further sweeps have run", within=30)
            assert proxy.recorder.count(CENSUS) == 1
            for each, run in zip((fleet, other), created, strict=True):
                await each.workflow(run).signal("finish", "seen")
                await each.until_state("shared", "Completed")


async def test_a_workflow_with_a_forged_id_in_another_temporal_namespace_is_ignored(
    fleet: Fleet, proxy: TemporalProxy, tmp_path: Path
):
    other_namespace = f"intruder-{fleet.namespace}"
    fleet.temporal("operator", "namespace", "create", "--namespace", other_namespace)
    other_tenant = replace(
        fleet,
        namespace=fleet.plane.new_namespace(),
        client=await Client.connect(fleet.client.service_client.config.target_host, namespace=other_namespace),
    )
    other_tenant.create("TemporalConnection", "own", {"address": proxy.address, "namespace": other_namespace})
    other_tenant.create_worker(connectionRef={"name": "own"})
    async with fleet.worker(), other_tenant.worker():
        with operator_process(tmp_path, proxy.env(fleet, other_tenant)) as operator:
            await operator.until_ready()
            created = fleet.create_run("victim", "Wait")
            before = await fleet.until_state("victim", "Running")
            other_tenant.create_run("own", "Wait")
            await other_tenant.until_state("own", "Running")
            await other_tenant.client.start_workflow(
                "Wait",
                id=fleet.workflow(created).id,
                task_queue=f"{other_tenant.namespace}/support",
                memo={"agentRun": f"{fleet.namespace}/victim"},
                search_attributes=TypedSearchAttributes([SearchAttributePair(UPDATED, datetime.now(UTC))]),
            )
            forged = f'WorkflowId = "{fleet.workflow(created).id}"'
            await until(
                lambda: listed(fleet, forged, namespace=other_namespace), what="the list shows the forged workflow"
            )
            seen = proxy.recorder.count(PROGRESSED, namespace=other_namespace)
            await until(
                lambda: proxy.recorder.count(PROGRESSED, namespace=other_namespace) > seen + 2,
                what="further sweeps have run",
                within=30,
            )
            assert version(fleet.get("agentrun", "victim")) == version(before)
            await fleet.workflow(created).signal("finish", "the real one")
            run = await fleet.until_state("victim", "Completed")
            assert run["status"]["result"]["preview"] == "the real one"


async def test_a_temporal_server_that_throttles_sweeps_is_swept_less_often_and_reported(
    fleet: Fleet, proxy: TemporalProxy, tmp_path: Path
):
    fleet.create("TemporalConnection", "own", {"address": proxy.address})
    fleet.create_worker("limited", connectionRef={"name": "own"})
    async with fleet.worker("limited"):
        with operator_process(tmp_path, proxy.env(fleet)) as operator:
            await operator.until_ready()
            created = fleet.create_run("slow", "Wait", workerRef={"name": "limited"})
            await fleet.until_state("slow", "Running")
            exhausted = respond_with(Reply(grpc.StatusCode.RESOURCE_EXHAUSTED))
            limit = proxy.script.at(LIST, Moment.BEFORE, exhausted, times=None)
            connection = await fleet.until_reason("temporalconnection", "own", "Throttled")
            assert condition(connection, "Ready")["status"] == "True"
            assert "frontend.namespaceRPS.visibility" in condition(connection, "Ready")["message"]
            assert metric(operator, "durafleet_sweep_interval_seconds{") >= 4
            ready, *details = get(operator, "/readyz").splitlines()
            assert ready == "ok"
            assert "ResourceExhausted" in details[0]
            limit.stop()
            await fleet.until_reason("temporalconnection", "own", "Reachable")
            assert metric(operator, "durafleet_sweep_interval_seconds{") == 1
            assert get(operator, "/readyz") == "ok\n"
            await fleet.workflow(created).signal("finish", "not lost")
            await fleet.until_state("slow", "Completed")


async def test_a_run_whose_workflow_is_missing_from_visibility_still_completes(
    fleet: Fleet, proxy: TemporalProxy, tmp_path: Path
):
    no_long_polls = with_constants(
        controllers__tracking__fast_lane__LONG_POLLS=0, controllers__tracking__census__EVERY=1.0
    )
    async with fleet.worker():
        with operator_process(tmp_path, proxy.env(fleet), code=no_long_polls) as operator:
            await operator.until_ready()
            created = fleet.create_run("lost", "Wait")
            await fleet.until_state("lost", "Running")
            proxy.recorder.hidden = [fleet.workflow(created).id]
            await fleet.workflow(created).signal("finish", "found")
            run = await fleet.until_state("lost", "Completed")
    assert run["status"]["result"]["preview"] == "found"


async def test_a_long_poll_for_the_close_event_alone_completes_a_new_run(
    fleet: Fleet, proxy: TemporalProxy, tmp_path: Path
):
    async with fleet.worker():
        with operator_process(tmp_path, proxy.env(fleet)) as operator:
            await operator.until_ready()
            created = fleet.create_run("young", "Wait")
            await fleet.until_state("young", "Running")
            await until(lambda: proxy.script.count("PollWorkflowExecutionHistory") > 0, what="a long-poll is open")
            await until(lambda: proxy.recorder.count(CENSUS) > 0, what="the census has run")
            proxy.recorder.hidden = [fleet.workflow(created).id]
            described, read = len(proxy.recorder.described), proxy.script.count("GetWorkflowExecutionHistory")
            await fleet.workflow(created).signal("finish", "at once")
            run = await fleet.until_state("young", "Completed")
    assert run["status"]["result"]["preview"] == "at once"
    assert len(proxy.recorder.described) == described
    assert proxy.script.count("GetWorkflowExecutionHistory") == read
