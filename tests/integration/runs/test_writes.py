"""Writes per run, counted in the audit log of the API server: status writes, all writes and Events."""

import json
from collections import Counter
from pathlib import Path

import pytest
from temporalio.client import Client

from tests.support.cluster import ControlPlane
from tests.support.operator import IMAGE, Fleet, operator_process
from tests.support.workflows import BROKEN

STATUS_WRITES, EVENTS, WRITES = 4, 2, 4
"""The write limits of the design for a run without approvals."""


def writes(plane: ControlPlane, namespace: str, run: str) -> Counter[str]:
    """Count the operator's writes for an AgentRun: of the status, of the object, and of Events."""
    counted: Counter[str] = Counter()
    for entry in plane.audit(namespace):
        reference = entry["objectRef"]
        if entry["verb"] in {"get", "list", "watch"} or entry["userAgent"].startswith("kubectl"):
            continue
        if reference["resource"] == "agentruns" and reference.get("name") == run:
            counted["status" if reference.get("subresource") == "status" else "object"] += 1
        elif reference["resource"] == "events" and reference.get("name", "").startswith(f"{run}."):
            counted["events"] += 1
    return counted


async def until_released(fleet: Fleet, name: str, state: str) -> None:
    """Wait until a run has a state and the operator has removed its finalizer."""
    await fleet.until(
        "agentrun",
        name,
        lambda it: it.get("status", {}).get("state") == state and not it["metadata"].get("finalizers"),
        what=f"is {state} and has no finalizer",
    )


@pytest.mark.parametrize(
    ("workflow", "given", "state"), [("Echo", "hello", "Completed"), ("Fail", "no", "WorkflowFailed")]
)
async def test_a_run_makes_no_more_writes_and_events_than_the_limits(
    control_plane: ControlPlane,
    temporal_server: str,
    namespace: str,
    tmp_path: Path,
    *,
    workflow: str,
    given: str,
    state: str,
):
    fleet = Fleet(control_plane, namespace, await Client.connect(temporal_server))
    fleet.create_worker()
    async with fleet.worker():
        with operator_process(tmp_path, fleet.env()) as operator:
            await operator.until_ready()
            fleet.create_run("counted", workflow, input=given)
            await until_released(fleet, "counted", state)
    counted = writes(control_plane, namespace, "counted")
    assert 1 <= counted["status"] <= STATUS_WRITES
    assert 1 <= counted["events"] <= EVENTS
    assert counted["status"] + counted["object"] <= WRITES, counted


async def test_a_restart_of_the_operator_writes_nothing_for_unchanged_runs(
    control_plane: ControlPlane, temporal_server: str, namespace: str, tmp_path: Path
):
    fleet = Fleet(control_plane, namespace, await Client.connect(temporal_server))
    fleet.create_worker()
    async with fleet.worker():
        with operator_process(tmp_path, fleet.env()):
            fleet.create_run("over", "Echo", input="hello")
            await until_released(fleet, "over", "Completed")
            fleet.create_run("open", "Wait")
            await fleet.until_state("open", "Running")
        before = [writes(control_plane, namespace, name) for name in ("over", "open")]
        with operator_process(tmp_path, fleet.env()):
            fleet.create_run("marker", "Echo", input="hello")
            await until_released(fleet, "marker", "Completed")  # the others were listed before it
    assert [writes(control_plane, namespace, name) for name in ("over", "open")] == before


async def test_a_run_that_is_suspended_resumed_and_retried_makes_one_or_two_writes_per_change(
    control_plane: ControlPlane, temporal_server: str, namespace: str, tmp_path: Path
):
    fleet = Fleet(control_plane, namespace, await Client.connect(temporal_server))
    fleet.create_worker()
    BROKEN.add("costly")
    async with fleet.worker():
        with operator_process(tmp_path, fleet.env()):
            fleet.create_run("changed", "Steps", input=["costly"], suspend=True)
            await fleet.until_state("changed", "Suspended")
            fleet.patch("agentrun", "changed", {"suspend": False})
            await until_released(fleet, "changed", "WorkflowFailed")
            BROKEN.clear()
            fleet.patch("agentrun", "changed", {"retry": {"token": "1"}})
            await until_released(fleet, "changed", "Completed")
    counted = writes(control_plane, namespace, "changed")
    assert counted["status"] <= 5, "suspended, running, failed, running, completed"
    assert counted["object"] <= 4, "the finalizer is added and removed twice"
    events = json.loads(fleet.kubectl("get", "events", "-o", "json"))["items"]
    assert len([e for e in events if e["involvedObject"]["name"] == "changed"]) == counted["events"] <= 4


def count_applies(plane: ControlPlane, namespace: str) -> Counter[str]:
    """Count the operator's writes of the objects that it owns for an AgentWorker, by kind."""
    return Counter(
        entry["objectRef"]["resource"]
        for entry in plane.audit(namespace)
        if entry["verb"] == "patch" and "fieldManager=durafleet" in entry["requestURI"]
        and entry["objectRef"]["resource"] in {"deployments", "configmaps"}
        and not entry["objectRef"].get("subresource")
    )  # fmt: skip


async def deploy(fleet: Fleet, folder: Path) -> None:
    """Run an operator until the AgentWorker's Deployment exists and the status reports it."""
    with operator_process(folder, fleet.env()):
        await fleet.until_reason("agentworker", "support", "RollingOut")


async def test_a_restart_of_the_operator_applies_only_the_objects_edited_meanwhile(
    control_plane: ControlPlane, temporal_server: str, namespace: str, tmp_path: Path
):
    fleet = Fleet(control_plane, namespace, await Client.connect(temporal_server))
    env = [{"name": "EMPTY", "value": ""}, {"name": "FULL", "value": "1"}]
    agents = [{"name": "greeter", "model": "test"}]
    fleet.create_worker(agents=agents, env=env, resources={"requests": {"cpu": "100m"}})
    await deploy(fleet, tmp_path)
    assert count_applies(control_plane, namespace) == {"deployments": 1, "configmaps": 1}
    with operator_process(tmp_path, fleet.env()):
        fleet.create_run("marker", "Echo", input="hello")
        await fleet.until_started(fleet.get("agentrun", "marker"))
        fleet.patch("agentworker", "support", {"priority": 1})  # the operator reconciles the AgentWorker again
        await fleet.until(
            "agentworker", "support", lambda it: it["status"]["observedGeneration"] == 2, what="is reconciled"
        )
    assert count_applies(control_plane, namespace) == {"deployments": 1, "configmaps": 1}
    edit = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "registry.invalid/other:1"}]
    fleet.kubectl("patch", "deployment", "support", "--type=json", "-p", json.dumps(edit))
    with operator_process(tmp_path, fleet.env()):
        await fleet.until(
            "deployment",
            "support",
            lambda it: it["spec"]["template"]["spec"]["containers"][0]["image"] == IMAGE,
            what="has its image again",
        )
