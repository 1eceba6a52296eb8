"""Controls of AgentRuns on the real servers: suspend, resume, stop, retry, queue, adopt, clean up."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.client import Client, WorkflowExecutionStatus

from durafleet.core.objects import parse_time
from tests.support.cluster import ControlPlane
from tests.support.operator import Fleet, condition, operator_process
from tests.support.temporal import dev_server
from tests.support.waiting import until
from tests.support.workflows import BROKEN, effects_of, executions_of


@pytest_asyncio.fixture(scope="module")
async def fleet(
    control_plane: ControlPlane, temporal_server: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Fleet]:
    """A namespace with an operator, an AgentWorker `support` and a worker for it."""
    client = await Client.connect(temporal_server)
    shared = Fleet(control_plane, control_plane.new_namespace(), client)
    shared.create_worker()
    with operator_process(tmp_path_factory.mktemp("operator"), shared.env()) as operator:
        await operator.until_ready()
        async with shared.worker():
            yield shared


@pytest.fixture
def broken() -> Iterator[set[str]]:
    """The names of effects that fail; a test removes them to fix the effects."""
    yield BROKEN
    BROKEN.clear()


# Suspend and resume


async def test_a_run_suspended_before_it_starts_starts_when_it_is_resumed(fleet: Fleet):
    created = fleet.create_run("held", "Echo", input="hello", suspend=True)
    run = await fleet.until_state("held", "Suspended")
    assert condition(run, "Ready")["status"] == "True"
    assert executions_of(created) == []
    fleet.patch("agentrun", "held", {"suspend": False})
    await fleet.until_state("held", "Completed")


async def test_a_running_run_is_paused_by_suspend_and_completes_after_resume(fleet: Fleet):
    created = fleet.create_run("paused", "Wait")
    await fleet.until_state("paused", "Running")
    fleet.patch("agentrun", "paused", {"suspend": True})
    run = await fleet.until_state("paused", "Suspended")
    assert condition(run, "Ready")["status"] == "True"
    await fleet.workflow(created).signal("finish", "done")
    fleet.patch("agentrun", "paused", {"suspend": False})
    run = await fleet.until_state("paused", "Completed")
    assert run["status"]["result"]["preview"] == "done"
    assert len(executions_of(created)) == 1


async def test_a_paused_run_can_be_cancelled(fleet: Fleet):
    fleet.create_run("paused-then-not", "Wait")
    await fleet.until_state("paused-then-not", "Running")
    fleet.patch("agentrun", "paused-then-not", {"suspend": True})
    await fleet.until_state("paused-then-not", "Suspended")
    fleet.patch("agentrun", "paused-then-not", {"stop": "Cancel"})
    await fleet.until_state("paused-then-not", "Cancelled")


async def test_a_paused_run_can_be_deleted(fleet: Fleet):
    created = fleet.create_run("paused-and-gone", "Wait", suspend=False)
    await fleet.until_state("paused-and-gone", "Running")
    fleet.patch("agentrun", "paused-and-gone", {"suspend": True})
    await fleet.until_state("paused-and-gone", "Suspended")
    fleet.kubectl("delete", "agentrun", "paused-and-gone", "--wait=false")
    await fleet.until_gone("agentrun", "paused-and-gone")
    assert (await fleet.workflow(created).describe()).status is WorkflowExecutionStatus.CANCELED


async def test_a_suspended_run_reports_that_the_temporal_server_cannot_pause(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
):
    with dev_server(pause=False) as address:
        fleet = Fleet(control_plane, namespace, await Client.connect(address))
        fleet.create_worker()
        async with fleet.worker():
            with operator_process(tmp_path, fleet.env()):
                created = fleet.create_run("unpausable", "Wait")
                await fleet.until_state("unpausable", "Running")
                fleet.patch("agentrun", "unpausable", {"suspend": True})
                run = await fleet.until_reason("agentrun", "unpausable", "SuspendUnsupported")
                assert run["status"]["state"] == "Running"
                await fleet.workflow(created).signal("finish", "anyway")
                await fleet.until_state("unpausable", "Completed")


# Retry


async def test_a_retry_continues_from_the_failed_step(fleet: Fleet, broken: set[str]):
    broken.add("retry-b")
    created = fleet.create_run("retried", "Steps", input=["retry-a", "retry-b", "retry-c"])
    failed = await fleet.until_state("retried", "WorkflowFailed")
    assert failed["status"]["failure"]["type"] == "Broken"
    assert failed["status"]["failure"]["activity"] == "effect"
    assert failed["status"]["failure"]["attempt"] == 1
    broken.clear()
    fleet.patch("agentrun", "retried", {"retry": {"token": "1"}})
    run = await fleet.until_state("retried", "Completed")
    assert effects_of(created) == ["retry-a", "retry-b", "retry-b", "retry-c"]
    [attempt] = run["status"]["attempts"]
    assert attempt["runId"] == failed["status"]["workflow"]["runId"] != run["status"]["workflow"]["runId"]
    assert attempt["state"] == "WorkflowFailed"
    assert "retry-b is broken" in attempt["message"]
    assert run["status"]["retryToken"] == "1"
    await fleet.until("agentrun", "retried", lambda it: not it["metadata"].get("finalizers"), what="has no finalizer")


async def test_a_retry_from_the_start_repeats_all_steps(fleet: Fleet, broken: set[str]):
    broken.add("again-b")
    created = fleet.create_run("again", "Steps", input=["again-a", "again-b"])
    await fleet.until_state("again", "WorkflowFailed")
    broken.clear()
    fleet.patch("agentrun", "again", {"retry": {"token": "1", "from": "Start"}})
    await fleet.until_state("again", "Completed")
    assert effects_of(created) == ["again-a", "again-b", "again-a", "again-b"]


async def test_a_cancelled_run_continues_after_a_retry(fleet: Fleet):
    created = fleet.create_run("mistake", "Wait")
    await fleet.until_state("mistake", "Running")
    fleet.patch("agentrun", "mistake", {"stop": "Cancel"})
    await fleet.until_state("mistake", "Cancelled")
    fleet.patch("agentrun", "mistake", {"stop": None, "retry": {"token": "1"}})
    await fleet.until_state("mistake", "Running")
    await fleet.workflow(created).signal("finish", "after all")
    run = await fleet.until_state("mistake", "Completed")
    assert run["status"]["result"]["preview"] == "after all"


async def test_a_retry_of_a_workflow_that_temporal_has_deleted_starts_a_new_execution(fleet: Fleet, broken: set[str]):
    broken.add("deleted-a")
    created = fleet.create_run("deleted-history", "Steps", input=["deleted-a"])
    await fleet.until_state("deleted-history", "WorkflowFailed")
    broken.clear()
    delete_workflow(fleet, fleet.workflow(created).id)
    await until(
        lambda: not known_to_temporal(fleet, fleet.workflow(created).id), what="Temporal has deleted the workflow"
    )
    fleet.patch("agentrun", "deleted-history", {"retry": {"token": "1"}})
    run = await fleet.until_state("deleted-history", "Completed")
    assert [attempt["state"] for attempt in run["status"]["attempts"]] == ["WorkflowFailed"]


async def test_a_retry_of_a_completed_run_is_ignored_with_an_event(fleet: Fleet):
    created = fleet.create_run("done", "Echo", input="once")
    await fleet.until_state("done", "Completed")
    fleet.patch("agentrun", "done", {"retry": {"token": "1"}})
    await fleet.until(
        "agentrun", "done", lambda it: it["status"].get("retryToken") == "1", what="reports the retry token"
    )
    assert len(executions_of(created)) == 1
    events = json.loads(fleet.kubectl("get", "events", "-o", "json"))["items"]
    assert "RetryIgnored" in {e["reason"] for e in events if e["involvedObject"]["name"] == "done"}


# Changes in Temporal


async def test_a_run_follows_its_workflow_through_continue_as_new_to_the_end(fleet: Fleet):
    created = fleet.create_run("relay", "ContinueAsNew", input=3)
    await until(lambda: len(executions_of(created)) == 4, what="the last execution has started")
    await fleet.workflow(created).signal("finish", "")
    run = await fleet.until_state("relay", "Completed")
    assert run["status"]["result"]["preview"] == "continued"
    assert run["status"]["workflow"]["firstRunId"] != run["status"]["workflow"]["runId"]


async def test_a_run_follows_its_workflow_after_a_reset_of_the_running_execution(fleet: Fleet):
    created = fleet.create_run("reset", "Wait")
    before = await fleet.until_state("reset", "Running")
    fleet.temporal("workflow", "reset", "-w", fleet.workflow(created).id, "-t", "FirstWorkflowTask", "--reason", "test")
    old = before["status"]["workflow"]["runId"]
    run = await fleet.until(
        "agentrun", "reset", lambda it: it["status"]["workflow"]["runId"] != old, what="follows the reset"
    )
    assert run["status"]["state"] == "Running"
    await fleet.workflow(created).signal("finish", "in the second run")
    run = await fleet.until_state("reset", "Completed")
    assert run["status"]["result"]["preview"] == "in the second run"


async def test_a_failed_run_follows_its_workflow_after_a_reset_in_temporal(fleet: Fleet, broken: set[str]):
    broken.add("outside-a")
    created = fleet.create_run("outside", "Steps", input=["outside-a"])
    await fleet.until_state("outside", "WorkflowFailed")
    broken.clear()
    workflow = fleet.workflow(created).id
    fleet.temporal("workflow", "reset", "-w", workflow, "-t", "FirstWorkflowTask", "--reason", "fixed")
    run = await fleet.until_state("outside", "Completed")
    assert [attempt["state"] for attempt in run["status"]["attempts"]] == ["WorkflowFailed"]


async def test_a_workflow_paused_in_temporal_is_suspended_with_the_command_to_unpause_it(fleet: Fleet):
    created = fleet.create_run("frozen", "Wait")
    await fleet.until_state("frozen", "Running")
    workflow = fleet.workflow(created).id
    fleet.temporal("workflow", "pause", "-w", workflow, "--reason", "test")
    run = await fleet.until_state("frozen", "Suspended")
    assert condition(run, "Ready")["status"] == "Unknown"
    assert (
        f"temporal workflow unpause --workflow-id {workflow} --namespace {fleet.client.namespace}"
        in condition(run, "Ready")["message"]
    )
    fleet.temporal("workflow", "unpause", "-w", workflow)
    await fleet.until_state("frozen", "Running")
    await fleet.workflow(created).signal("finish", "done")
    await fleet.until_state("frozen", "Completed")


async def test_a_run_reports_that_its_workflow_awaits_approval(fleet: Fleet):
    created = fleet.create_run("asking", "WaitForApproval")
    await fleet.until_state("asking", "AwaitingApproval")
    await fleet.workflow(created).signal("finish", "yes")
    run = await fleet.until_state("asking", "Completed")
    assert run["status"]["result"]["preview"] == "yes"


async def test_a_workflow_deleted_in_temporal_ends_the_run_as_terminated(fleet: Fleet):
    created = fleet.create_run("erased", "Wait")
    await fleet.until_state("erased", "Running")
    delete_workflow(fleet, fleet.workflow(created).id)
    run = await fleet.until_state("erased", "Terminated")
    assert condition(run, "Stalled")["status"] == "True"


# Idempotency keys


async def test_a_run_recreated_with_its_idempotency_key_adopts_the_completed_workflow(fleet: Fleet):
    for again in range(2):
        fleet.create_run("restored", "Echo", input="once", idempotencyKey="order-7")
        run = await fleet.until_state("restored", "Completed")
        assert run["status"]["result"]["preview"] == "once"
        if again == 0:
            first = run
            fleet.kubectl("delete", "agentrun", "restored")
    assert run["metadata"]["uid"] != first["metadata"]["uid"]
    assert run["status"]["workflow"]["runId"] == first["status"]["workflow"]["runId"]


async def test_a_run_recreated_with_its_idempotency_key_adopts_the_open_workflow(fleet: Fleet):
    fleet.create_run("reborn", "Wait", idempotencyKey="k", deletionPolicy="Abandon")
    first = await fleet.until_state("reborn", "Running")
    fleet.kubectl("delete", "agentrun", "reborn")
    fleet.create_run("reborn", "Wait", idempotencyKey="k")
    second = await fleet.until_state("reborn", "Running")
    assert second["status"]["workflow"]["runId"] == first["status"]["workflow"]["runId"]
    workflow = fleet.client.get_workflow_handle(first["status"]["workflow"]["id"])
    await workflow.signal("finish", "found")
    await fleet.until_state("reborn", "Completed")


async def test_a_run_whose_key_names_an_unrelated_workflow_is_rejected_and_leaves_it_running(fleet: Fleet):
    workflow = f"agent-run/{fleet.namespace}/thief/taken"
    unrelated = await fleet.client.start_workflow("Wait", id=workflow, task_queue=f"{fleet.namespace}/support")
    fleet.create_run("thief", "Wait", idempotencyKey="taken")
    run = await fleet.until_state("thief", "StartRejected")
    assert "spec.idempotencyKey" in condition(run, "Ready")["message"]
    fleet.kubectl("delete", "agentrun", "thief")
    assert (await unrelated.describe()).status is WorkflowExecutionStatus.RUNNING


# Queueing


async def test_runs_above_max_concurrent_runs_are_queued_and_start_by_priority(fleet: Fleet):
    fleet.create_worker("narrow", maxConcurrentRuns=1)
    async with fleet.worker("narrow"):
        first = fleet.create_run("narrow-1", "Wait", workerRef={"name": "narrow"})
        await fleet.until_state("narrow-1", "Running")
        second = fleet.create_run("narrow-2", "Wait", workerRef={"name": "narrow"})
        run = await fleet.until_state("narrow-2", "Queued")
        assert run["status"]["queuePosition"] == 1
        urgent = fleet.create_run("narrow-3", "Wait", workerRef={"name": "narrow"}, priority=1)
        run = await fleet.until_state("narrow-3", "Queued")
        assert run["status"]["queuePosition"] == 1, "the urgent run is queued before runs of lower priority"
        assert executions_of(second) == executions_of(urgent) == []
        await fleet.workflow(first).signal("finish", "1")
        await fleet.until_state("narrow-3", "Running")
        assert executions_of(second) == []
        await fleet.workflow(urgent).signal("finish", "3")
        await fleet.until_state("narrow-2", "Running")
        await fleet.workflow(second).signal("finish", "2")
        await fleet.until_state("narrow-2", "Completed")


async def test_a_queued_run_gets_the_slot_of_a_deleted_run(fleet: Fleet):
    fleet.create_worker("one", maxConcurrentRuns=1)
    async with fleet.worker("one"):
        fleet.create_run("one-1", "Wait", workerRef={"name": "one"})
        await fleet.until_state("one-1", "Running")
        fleet.create_run("one-2", "Echo", input="mine", workerRef={"name": "one"})
        await fleet.until_state("one-2", "Queued")
        fleet.kubectl("delete", "agentrun", "one-1", "--wait=false")
        await fleet.until_state("one-2", "Completed")


# Input, readiness, time to live


async def test_a_run_waits_for_the_config_map_and_the_key_of_its_input(fleet: Fleet):
    source = {"configMapKeyRef": {"name": "prompts", "key": "hello"}}
    fleet.create_run("from-map", "Echo", inputFrom=source)
    run = await fleet.until_reason("agentrun", "from-map", "InputNotFound")
    assert "ConfigMap 'prompts'" in condition(run, "Ready")["message"]
    fleet.kubectl("create", "configmap", "prompts", "--from-literal=hallo=tippfehler")
    await fleet.until(
        "agentrun", "from-map", lambda it: "(keys: hallo)" in condition(it, "Ready")["message"], what="lists the keys"
    )
    fleet.kubectl("patch", "configmap", "prompts", "-p", '{"data": {"hello": "Grüß Gott"}}')
    run = await fleet.until_state("from-map", "Completed")
    assert run["status"]["result"]["preview"] == "Grüß Gott"


async def test_a_run_takes_its_input_from_a_secret(fleet: Fleet):
    fleet.kubectl("create", "secret", "generic", "hidden", "--from-literal=prompt=psst")
    fleet.create_run("from-secret", "Echo", inputFrom={"secretKeyRef": {"name": "hidden", "key": "prompt"}})
    run = await fleet.until_state("from-secret", "Completed")
    assert run["status"]["result"]["preview"] == "psst"


async def test_a_run_with_ready_when_started_is_ready_while_it_runs(fleet: Fleet):
    created = fleet.create_run("service", "Wait", readyWhen="Started")
    run = await fleet.until_state("service", "Running")
    assert condition(run, "Ready")["status"] == "True"
    assert condition(run, "Succeeded")["status"] == "Unknown"
    await fleet.workflow(created).signal("finish", "bye")
    await fleet.until_state("service", "Completed")


async def test_a_finished_run_with_a_time_to_live_of_zero_is_deleted_at_once(fleet: Fleet):
    created = fleet.create_run("brief", "Echo", input="x", ttlSecondsAfterFinished=0)
    await fleet.until_gone("agentrun", "brief")
    assert (await fleet.workflow(created).describe()).status is WorkflowExecutionStatus.COMPLETED


async def test_a_finished_run_is_deleted_after_its_time_to_live(fleet: Fleet):
    fleet.create_run("lasting", "Echo", input="x", ttlSecondsAfterFinished=3)
    ended = await fleet.until_state("lasting", "Completed")
    await fleet.until_gone("agentrun", "lasting")
    completed = parse_time(ended["status"]["completionTime"])
    [deletion] = [
        entry
        for entry in fleet.plane.audit(fleet.namespace)
        if entry["verb"] == "delete" and entry["objectRef"].get("name") == "lasting"
    ]
    assert (parse_time(deletion["requestReceivedTimestamp"]) - completed).total_seconds() >= 3


async def test_a_finished_run_that_a_gitops_tool_tracks_is_compacted_instead_of_deleted(fleet: Fleet):
    name = "tracked"
    tracking = {"argocd.argoproj.io/tracking-id": f"app:durafleet.dev/AgentRun:{fleet.namespace}/{name}"}
    spec = {"workerRef": {"name": "support"}, "workflowType": "Echo", "input": "x", "ttlSecondsAfterFinished": 0}
    body = {"apiVersion": "durafleet.dev/v1alpha1", "kind": "AgentRun", "spec": spec}
    fleet.plane.create({**body, "metadata": {"name": name, "namespace": fleet.namespace, "annotations": tracking}})
    run = await fleet.until("agentrun", name, lambda it: it["status"].get("compacted") is True, what="is compacted")
    assert run["status"]["state"] == "Completed"
    assert "preview" not in run["status"]["result"]
    assert condition(run, "Ready")["status"] == "True"


def delete_workflow(fleet: Fleet, workflow: str) -> None:
    fleet.temporal("workflow", "delete", "-w", workflow, "--yes")


def known_to_temporal(fleet: Fleet, workflow: str) -> bool:
    found = json.loads(fleet.temporal("workflow", "list", "--query", f'WorkflowId = "{workflow}"', "-o", "json"))
    return bool(found)
