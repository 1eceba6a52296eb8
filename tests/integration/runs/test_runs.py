"""AgentRuns from creation to their final status, with an operator process on the real servers."""

import hashlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from temporalio.client import Client, WorkflowExecutionStatus

from tests.support.cluster import ControlPlane
from tests.support.operator import Fleet, condition, operator_process


@pytest_asyncio.fixture(scope="module")
async def fleet(
    control_plane: ControlPlane, temporal_server: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Fleet]:
    """A namespace with an operator, an AgentWorker `support` and a worker for it."""
    client = await Client.connect(temporal_server)
    shared = Fleet(control_plane, control_plane.new_namespace(), client)
    shared.create_worker(agents=[{"name": "greeter", "model": "test"}])
    with operator_process(tmp_path_factory.mktemp("operator"), shared.env()) as operator:
        await operator.until_ready()
        async with shared.worker():
            yield shared


async def test_the_status_of_a_completed_run_has_its_result(fleet: Fleet):
    fleet.create_run("echo", "Echo", input={"greeting": "Grüß Gott"})
    run = await fleet.until_state("echo", "Completed")
    status = run["status"]
    assert status["result"]["preview"] == '{"greeting": "Grüß Gott"}'
    assert [condition(run, kind)["status"] for kind in ("Succeeded", "Ready")] == ["True", "True"]
    assert condition(run, "Reconciling") == condition(run, "Stalled") == {}
    assert status["observedGeneration"] == run["metadata"]["generation"]
    assert status["workflow"]["taskQueue"] == f"{fleet.namespace}/support"
    assert {"startTime", "completionTime"} <= set(status)
    await fleet.until("agentrun", "echo", lambda it: not it["metadata"].get("finalizers"), what="has no finalizer")


async def test_a_result_too_long_for_the_status_is_truncated_at_a_character_boundary(fleet: Fleet):
    fleet.create_run("flood", "LargeResult", input=300_000)
    run = await fleet.until_state("flood", "Completed")
    result, full = run["status"]["result"], "é" * 300_000
    assert result["preview"] == "é" * 2048
    assert result["size"] == len(full.encode())
    assert result["sha256"] == hashlib.sha256(full.encode()).hexdigest()
    workflow = run["status"]["workflow"]
    assert result["ref"] == f"temporal://default/{workflow['id']}?run={workflow['runId']}"


async def test_the_workflow_has_its_run_and_its_worker_in_memo_and_search_attributes(fleet: Fleet):
    created = fleet.create_run("labelled", "Wait")
    workflow = await fleet.until_started(created)
    uid = created["metadata"]["uid"]
    assert await workflow.memo() == {"agentRun": f"{fleet.namespace}/labelled", "agentRunUid": uid}
    assert workflow.search_attributes["AgentFleet"] == [f"{fleet.namespace}/support"]
    assert workflow.search_attributes["AgentRunUid"] == [uid]
    assert workflow.raw_description.execution_config.workflow_execution_timeout.ToSeconds() == 3600


async def test_the_status_of_a_failed_run_has_the_type_and_message_of_the_failure(fleet: Fleet):
    fleet.create_run("broken", "Fail", input="the printer is on fire")
    run = await fleet.until_state("broken", "WorkflowFailed")
    assert run["status"]["failure"]["type"] == "Broken"
    assert "the printer is on fire" in run["status"]["failure"]["message"]
    assert "the printer is on fire" in condition(run, "Ready")["message"]
    assert condition(run, "Succeeded")["status"] == "False"
    assert condition(run, "Stalled")["status"] == "True"


async def test_a_run_with_stop_cancel_has_its_workflow_cancelled_and_is_ready(fleet: Fleet):
    created = fleet.create_run("stopped", "Wait")
    await fleet.until_state("stopped", "Running")
    fleet.patch("agentrun", "stopped", {"stop": "Cancel"})
    run = await fleet.until_state("stopped", "Cancelled")
    assert condition(run, "Ready")["status"] == "True"
    assert condition(run, "Succeeded")["status"] == "False"
    assert condition(run, "Stalled") == {}
    assert (await fleet.workflow(created).describe()).status is WorkflowExecutionStatus.CANCELED


async def test_a_run_with_stop_terminate_has_its_workflow_terminated(fleet: Fleet):
    created = fleet.create_run("ended", "Wait")
    await fleet.until_state("ended", "Running")
    fleet.patch("agentrun", "ended", {"stop": "Terminate"})
    run = await fleet.until_state("ended", "Terminated")
    assert condition(run, "Ready")["status"] == "True"
    assert (await fleet.workflow(created).describe()).status is WorkflowExecutionStatus.TERMINATED


async def test_a_run_whose_workflow_is_terminated_in_temporal_is_stalled(fleet: Fleet):
    created = fleet.create_run("shot", "Wait")
    await fleet.until_state("shot", "Running")
    await fleet.workflow(created).terminate(reason="too expensive")
    run = await fleet.until_state("shot", "Terminated")
    assert "too expensive" in condition(run, "Ready")["message"]
    assert condition(run, "Ready")["status"] == "False"
    assert condition(run, "Stalled")["status"] == "True"


async def test_deleting_a_running_run_cancels_its_workflow(fleet: Fleet):
    created = fleet.create_run("deleted", "Wait")
    await fleet.until_state("deleted", "Running")
    fleet.kubectl("delete", "agentrun", "deleted", "--wait=false")
    await fleet.until_gone("agentrun", "deleted")
    assert (await fleet.workflow(created).describe()).status is WorkflowExecutionStatus.CANCELED


async def test_with_deletion_policy_abandon_the_workflow_keeps_running_after_the_run_is_deleted(fleet: Fleet):
    created = fleet.create_run("abandoned", "Wait", deletionPolicy="Abandon")
    await fleet.until_state("abandoned", "Running")
    fleet.kubectl("delete", "agentrun", "abandoned", "--wait=false")
    await fleet.until_gone("agentrun", "abandoned")
    workflow = fleet.workflow(created)
    assert (await workflow.describe()).status is WorkflowExecutionStatus.RUNNING
    await workflow.signal("finish", "done")
    assert await workflow.result() == "done"


async def test_a_run_created_before_its_worker_starts_once_the_worker_exists(fleet: Fleet):
    fleet.create_run("early", "Echo", input="hello", workerRef={"name": "late"})
    run = await fleet.until_reason("agentrun", "early", "WorkerNotFound")
    assert "'late'" in condition(run, "Ready")["message"]
    assert condition(run, "Reconciling")["status"] == "True"
    async with fleet.worker("late"):
        fleet.create_worker("late")
        run = await fleet.until_state("early", "Completed")
    assert run["status"]["result"]["preview"] == "hello"


async def test_a_run_names_its_missing_connection_and_completes_once_the_connection_exists(fleet: Fleet):
    fleet.create_worker("remote", connectionRef={"name": "elsewhere"})
    fleet.create_run("far", "Echo", input="hello", workerRef={"name": "remote"})
    for kind, name in (("agentworker", "remote"), ("agentrun", "far")):
        body = await fleet.until_reason(kind, name, "ConnectionNotFound")
        assert "'elsewhere'" in condition(body, "Ready")["message"]
    async with fleet.worker("remote"):
        address = fleet.client.service_client.config.target_host
        fleet.create("TemporalConnection", "elsewhere", {"address": address})
        run = await fleet.until_state("far", "Completed")
    assert run["status"]["workflow"]["connection"] == "elsewhere"


async def test_a_run_with_an_empty_input_ends_as_invalid_spec_and_names_the_field(fleet: Fleet):
    fleet.create_run("empty", agent="greeter", input="")
    run = await fleet.until_state("empty", "InvalidSpec")
    assert "spec.input is empty" in condition(run, "Ready")["message"]
    assert condition(run, "Stalled")["status"] == "True"
    assert "workflow" not in run["status"]


async def test_a_run_of_an_unknown_agent_lists_the_declared_agents(fleet: Fleet):
    fleet.create_run("unknown", agent="greter", input="hello")
    run = await fleet.until_reason("agentrun", "unknown", "AgentNotFound")
    assert "'greter'" in condition(run, "Ready")["message"]
    assert "declared: greeter" in condition(run, "Ready")["message"]
