"""The operator crashes, restarts or runs twice: every AgentRun still has exactly one execution."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from temporalio.client import Client, WorkflowExecutionStatus

from tests.support.cluster import ControlPlane
from tests.support.operator import Fleet, condition, operator_process, with_constants
from tests.support.temporal import dev_server, free_port
from tests.support.waiting import until
from tests.support.workflows import executions_of


@pytest.fixture
async def fleet(control_plane: ControlPlane, temporal_server: str, namespace: str) -> Fleet:
    """A namespace with an AgentWorker `support`, without an operator."""
    created = Fleet(control_plane, namespace, await Client.connect(temporal_server))
    created.create_worker()
    return created


async def test_a_run_has_one_execution_after_the_operator_is_killed_right_after_starting_it(
    fleet: Fleet, folders: Iterator[Path]
):
    with operator_process(next(folders), fleet.env()) as operator:
        await operator.until_ready()
        created = fleet.create_run("once", "Echo", input="hello")
        before = await fleet.until_started(created)
        operator.kill()
    async with fleet.worker():
        with operator_process(next(folders), fleet.env()):
            run = await fleet.until_state("once", "Completed")
            assert run["status"]["result"]["preview"] == "hello"
            await fleet.until(
                "agentrun", "once", lambda it: not it["metadata"].get("finalizers"), what="has no finalizer"
            )
    assert run["status"]["workflow"]["runId"] == before.run_id
    assert executions_of(created) == [before.run_id]
    assert (await fleet.workflow(created).describe()).run_id == before.run_id


@pytest.mark.parametrize("moment", range(4))
async def test_a_run_has_one_execution_after_the_operator_is_killed_while_starting_it(
    fleet: Fleet, folders: Iterator[Path], moment: int
):
    """Each moment is a step later between the AgentRun's creation and its first status."""
    async with fleet.worker():
        with operator_process(next(folders), fleet.env()) as operator:
            await operator.until_ready()
            created = fleet.create_run("once", "Echo", input="hello")
            reached = [
                lambda: True,
                lambda: bool(fleet.get("agentrun", "once")["metadata"].get("finalizers")),
                lambda: bool(executions_of(created)),
                lambda: "workflow" in fleet.get("agentrun", "once").get("status", {}),
            ][moment]
            await until(reached, what="the moment is reached", within=30)
            operator.kill()
        with operator_process(next(folders), fleet.env()):
            run = await fleet.until_state("once", "Completed")
    assert executions_of(created) == [run["status"]["workflow"]["runId"]]


async def test_a_workflow_that_completes_while_no_operator_runs_is_reported_after_the_restart(
    fleet: Fleet, folders: Iterator[Path]
):
    async with fleet.worker():
        with operator_process(next(folders), fleet.env()):
            created = fleet.create_run("patient", "Wait")
            await fleet.until_state("patient", "Running")
        workflow = fleet.workflow(created)
        await workflow.signal("finish", "all is well")
        await workflow.result()
        with operator_process(next(folders), fleet.env()):
            run = await fleet.until_state("patient", "Completed")
    assert run["status"]["result"]["preview"] == "all is well"
    assert len(executions_of(created)) == 1


async def test_a_run_deleted_while_no_operator_runs_is_removed_after_the_restart(fleet: Fleet, folders: Iterator[Path]):
    async with fleet.worker():
        with operator_process(next(folders), fleet.env()):
            created = fleet.create_run("unwanted", "Wait")
            await fleet.until_state("unwanted", "Running")
        fleet.kubectl("delete", "agentrun", "unwanted", "--wait=false")
        assert fleet.find("agentrun", "unwanted") is not None
        with operator_process(next(folders), fleet.env()):
            await fleet.until_gone("agentrun", "unwanted")
        assert (await fleet.workflow(created).describe()).status is WorkflowExecutionStatus.CANCELED


async def test_runs_created_while_no_operator_runs_start_when_the_operator_starts(
    fleet: Fleet, folders: Iterator[Path]
):
    for number in range(3):
        fleet.create_run(f"waiting-{number}", "Echo", input=f"hello {number}")
    async with fleet.worker():
        with operator_process(next(folders), fleet.env()):
            for number in range(3):
                run = await fleet.until_state(f"waiting-{number}", "Completed")
                assert run["status"]["result"]["preview"] == f"hello {number}"


async def test_two_operators_active_at_the_same_time_start_each_run_once(fleet: Fleet, folders: Iterator[Path]):
    async with fleet.worker():
        with (
            operator_process(next(folders), fleet.env()) as one,
            operator_process(next(folders), fleet.env()) as other,
        ):
            await one.until_ready()
            await other.until_ready()
            created = [fleet.create_run(f"shared-{number}", "Echo", input="hello") for number in range(5)]
            runs = [await fleet.until_state(run["metadata"]["name"], "Completed") for run in created]
            assert one.probe("/livez") == other.probe("/livez") == 200
    for run in runs:
        assert executions_of(run) == [run["status"]["workflow"]["runId"]]


async def test_a_run_waits_for_a_temporal_server_that_is_not_running_yet(
    control_plane: ControlPlane, namespace: str, folders: Iterator[Path]
):
    port = free_port()
    client = await Client.connect(f"127.0.0.1:{port}", lazy=True)
    fleet = Fleet(control_plane, namespace, client)
    fleet.create_worker()
    with operator_process(next(folders), fleet.env()):
        created = fleet.create_run("early", "Echo", input="hello")
        run = await fleet.until_reason("agentrun", "early", "TemporalUnavailable")
        assert f"127.0.0.1:{port}" in condition(run, "Ready")["message"]
        assert condition(run, "Stalled") == {}
        with dev_server(port=port) as address:
            async with replace(fleet, client=await Client.connect(address)).worker():
                run = await fleet.until_state("early", "Completed")
    assert executions_of(created) == [run["status"]["workflow"]["runId"]]


SHORT_DEADLINES = with_constants(core__grace__TEMPORAL_GRACE=1.0, controllers__tracking__sweeps__TEMPORAL_GRACE=1.0)
"""An operator whose five-minute grace period without Temporal is one second."""


async def test_open_runs_report_a_long_temporal_outage_and_continue_after_it(
    control_plane: ControlPlane, namespace: str, folders: Iterator[Path], tmp_path: Path
):
    port, database = free_port(), tmp_path / "temporal.db"
    fleet = Fleet(control_plane, namespace, await Client.connect(f"127.0.0.1:{port}", lazy=True))
    fleet.create_worker()
    with operator_process(next(folders), fleet.env(), code=SHORT_DEADLINES):
        with dev_server(port=port, database=database):
            created = fleet.create_run("patient", "Wait")
            before = await fleet.until_state("patient", "Running")
        run = await fleet.until_reason("agentrun", "patient", "TemporalUnavailable")
        assert run["status"]["state"] == "Running"
        assert condition(run, "Stalled")["status"] == "True"
        assert f"127.0.0.1:{port}" in condition(run, "Ready")["message"]
        with dev_server(port=port, database=database) as address:
            again = replace(fleet, client=await Client.connect(address))
            run = await fleet.until_reason("agentrun", "patient", "Running")
            assert run["status"]["workflow"] == before["status"]["workflow"]
            async with again.worker():
                await again.workflow(created).signal("finish", "at last")
                await fleet.until_state("patient", "Completed")
