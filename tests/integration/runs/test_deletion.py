"""Deleting AgentRuns: it ends within a deadline, also without a worker or Temporal, and reports abandoned workflows."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from temporalio.client import Client, WorkflowExecutionStatus

from dev.cluster.layout import ClusterError
from tests.support.cluster import ControlPlane, session_control_plane
from tests.support.operator import Fleet, operator_process, with_constants
from tests.support.temporal import dev_server
from tests.support.waiting import until

SHORT_DEADLINES = with_constants(core__runs__rules__delete__CANCEL_GRACE=1.0, core__runs__rules__delete__DEADLINE=3.0)
"""An operator whose deadlines are seconds instead of minutes."""


@pytest.fixture
async def fleet(control_plane: ControlPlane, temporal_server: str, namespace: str) -> Fleet:
    """A namespace with an AgentWorker `support`, without an operator."""
    created = Fleet(control_plane, namespace, await Client.connect(temporal_server))
    created.create_worker()
    return created


@pytest.fixture
async def running(fleet: Fleet, tmp_path: Path) -> AsyncIterator[Fleet]:
    """The same namespace with an operator with short deadlines, and a worker."""
    async with fleet.worker():
        with operator_process(tmp_path, fleet.env(), code=SHORT_DEADLINES):
            yield fleet


def delete(fleet: Fleet, name: str, *flags: str) -> None:
    fleet.kubectl("delete", "agentrun", name, "--wait=false", *flags)


@pytest.mark.parametrize("cascade", ["foreground", "background", "orphan"])
async def test_deleting_a_run_cancels_its_workflow_with_any_cascade_mode(fleet: Fleet, tmp_path: Path, cascade: str):
    async with fleet.worker():
        with operator_process(tmp_path, fleet.env()):  # with its usual deadlines: the workflow ends by itself
            created = fleet.create_run("pruned", "Wait")
            await fleet.until_state("pruned", "Running")
            delete(fleet, "pruned", f"--cascade={cascade}")
            await fleet.until_gone("agentrun", "pruned")
    assert (await fleet.workflow(created).describe()).status is WorkflowExecutionStatus.CANCELED


async def test_without_a_worker_the_workflow_of_a_deleted_run_is_terminated_after_the_grace_period(
    fleet: Fleet, tmp_path: Path
):
    with operator_process(tmp_path, fleet.env(), code=SHORT_DEADLINES):
        created = fleet.create_run("orphan", "Wait")
        await fleet.until_state("orphan", "Running")
        fleet.kubectl("delete", "agentworker", "support")
        delete(fleet, "orphan")
        await fleet.until_gone("agentrun", "orphan")
    assert (await fleet.workflow(created).describe()).status is WorkflowExecutionStatus.TERMINATED


async def test_during_a_temporal_outage_a_deleted_run_is_removed_at_its_deadline_with_an_event(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
):
    with ExitStack() as temporal:
        address = temporal.enter_context(dev_server())
        fleet = Fleet(control_plane, namespace, await Client.connect(address))
        fleet.create_worker()
        with operator_process(tmp_path, fleet.env(), code=SHORT_DEADLINES):
            created = fleet.create_run("stranded", "Wait")
            await fleet.until_state("stranded", "Running")
            temporal.close()
            delete(fleet, "stranded")
            await fleet.until_gone("agentrun", "stranded")
    events = json.loads(fleet.kubectl("get", "events", "-o", "json"))["items"]
    [abandoned] = [event for event in events if event["reason"] == "WorkflowAbandoned"]
    command = f"temporal workflow describe --workflow-id {fleet.workflow(created).id} --namespace default"
    assert command in abandoned["message"]


async def test_during_a_temporal_outage_a_run_that_never_started_is_deleted_at_once(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
):
    fleet = Fleet(control_plane, namespace, await Client.connect("127.0.0.1:1", lazy=True))
    with operator_process(tmp_path, fleet.env()):
        fleet.create_run("early", "Echo", input="hello")
        await fleet.until_reason("agentrun", "early", "WorkerNotFound")
        delete(fleet, "early")
        await fleet.until_gone("agentrun", "early")


async def test_without_an_operator_the_documented_removal_of_the_finalizer_works(fleet: Fleet, tmp_path: Path):
    async with fleet.worker():
        with operator_process(tmp_path, fleet.env()):
            created = fleet.create_run("left", "Wait")
            await fleet.until_state("left", "Running")
        delete(fleet, "left")
        assert fleet.find("agentrun", "left") is not None
        fleet.kubectl("patch", "agentrun", "left", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
        await fleet.until_gone("agentrun", "left")
        fleet.temporal("workflow", "cancel", "--workflow-id", fleet.workflow(created).id)
        await until_closed(fleet, fleet.workflow(created).id)


@pytest.fixture
def another_control_plane() -> Iterator[ControlPlane]:
    """An API server whose CRDs may be deleted."""
    with session_control_plane(purpose="crds") as plane:
        yield plane


async def test_deleting_the_crds_cancels_the_workflows_and_new_runs_complete_after_a_reinstall(
    another_control_plane: ControlPlane, temporal_server: str, tmp_path: Path
):
    plane = another_control_plane
    fleet = Fleet(plane, plane.new_namespace(), await Client.connect(temporal_server))
    fleet.create_worker()
    async with fleet.worker():
        with operator_process(tmp_path, fleet.env()) as operator:
            created = fleet.create_run("swept", "Wait")
            await fleet.until_state("swept", "Running")
            plane.kubectl("delete", "crd", "agentruns.durafleet.dev", "--wait=false")
            await until(lambda: not served(plane), what="the CRD is gone")
            assert (await fleet.workflow(created).describe()).status is WorkflowExecutionStatus.CANCELED
        assert "Traceback" not in operator.output()
        plane.kubectl("apply", "-f", "crds")
        await until(lambda: served(plane), what="the CRD is served again")
        with operator_process(tmp_path, fleet.env()):
            fleet.create_run("after", "Echo", input="hello")
            await fleet.until_state("after", "Completed")


def served(plane: ControlPlane) -> bool:
    try:
        plane.kubectl("get", "agentruns", "-A")
    except ClusterError:
        return False
    return True


async def until_closed(fleet: Fleet, workflow: str) -> None:
    def closed() -> bool:
        described = json.loads(fleet.temporal("workflow", "describe", "-w", workflow, "-o", "json"))
        return str(described["workflowExecutionInfo"]["status"]) != "WORKFLOW_EXECUTION_STATUS_RUNNING"

    await until(closed, what="the workflow has closed")
