"""What a run costs the API server, counted in its audit log: writes of status, writes in all, Events."""

import json
from collections import Counter
from pathlib import Path

import pytest
from temporalio.client import Client

from tests.support.cluster import ControlPlane
from tests.support.operator import IMAGE, Fleet, operator_process
from tests.support.workflows import BROKEN

STATUS_WRITES, EVENTS, WRITES = 4, 2, 4
"""The most that a run without approvals may cost: DESIGN's budgets of the status contract and of API writes."""


def writes(plane: ControlPlane, namespace: str, run: str) -> Counter[str]:
    """Count the operator's writes for an AgentRun: of its status, of the rest of it, and its Events."""
    counted: Counter[str] = Counter()
    for entry in plane.audit(namespace):
        about = entry["objectRef"]
        if entry["verb"] in {"get", "list", "watch"} or entry["userAgent"].startswith("kubectl"):
            continue
        if about["resource"] == "agentruns" and about.get("name") == run:
            counted["status" if about.get("subresource") == "status" else "object"] += 1
        elif about["resource"] == "events" and about.get("name", "").startswith(f"{run}."):
            counted["events"] += 1
    return counted


async def let_go(fleet: Fleet, name: str, state: str) -> None:
    """Wait until the operator is through with a run."""
    await fleet.until(
        "agentrun",
        name,
        lambda it: it.get("status", {}).get("state") == state and not it["metadata"].get("finalizers"),
        what=f"is {state} and let go",
    )


@pytest.mark.parametrize(
    ("workflow", "given", "state"), [("Echo", "hello", "Completed"), ("Break", "no", "WorkflowFailed")]
)
async def test_a_run_costs_no_more_than_it_may(
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
            await let_go(fleet, "counted", state)
    counted = writes(control_plane, namespace, "counted")
    assert 1 <= counted["status"] <= STATUS_WRITES
    assert 1 <= counted["events"] <= EVENTS
    assert counted["status"] + counted["object"] <= WRITES, counted


async def test_a_restart_of_the_operator_writes_nothing_for_what_is_as_it_was(
    control_plane: ControlPlane, temporal_server: str, namespace: str, tmp_path: Path
):
    fleet = Fleet(control_plane, namespace, await Client.connect(temporal_server))
    fleet.create_worker()
    async with fleet.worker():
        with operator_process(tmp_path, fleet.env()):
            fleet.create_run("over", "Echo", input="hello")
            await let_go(fleet, "over", "Completed")
            fleet.create_run("open", "Wait")
            await fleet.until_state("open", "Running")
        before = [writes(control_plane, namespace, name) for name in ("over", "open")]
        with operator_process(tmp_path, fleet.env()):
            fleet.create_run("marker", "Echo", input="hello")
            await let_go(fleet, "marker", "Completed")  # the others were listed before it
    assert [writes(control_plane, namespace, name) for name in ("over", "open")] == before


async def test_a_steered_run_costs_a_write_or_two_for_each_thing_that_is_asked(
    control_plane: ControlPlane, temporal_server: str, namespace: str, tmp_path: Path
):
    fleet = Fleet(control_plane, namespace, await Client.connect(temporal_server))
    fleet.create_worker()
    BROKEN.add("costly")
    async with fleet.worker():
        with operator_process(tmp_path, fleet.env()):
            fleet.create_run("steered", "Steps", input=["costly"], suspend=True)
            await fleet.until_state("steered", "Suspended")
            fleet.patch("agentrun", "steered", {"suspend": False})
            await let_go(fleet, "steered", "WorkflowFailed")
            BROKEN.clear()
            fleet.patch("agentrun", "steered", {"retry": {"token": "1"}})
            await let_go(fleet, "steered", "Completed")
    counted = writes(control_plane, namespace, "steered")
    assert counted["status"] <= 5, "held, running, failed, running, completed"
    assert counted["object"] <= 4, "the finalizer comes and goes twice"
    events = json.loads(fleet.kubectl("get", "events", "-o", "json"))["items"]
    assert len([e for e in events if e["involvedObject"]["name"] == "steered"]) == counted["events"] <= 4


def applied(plane: ControlPlane, namespace: str) -> Counter[str]:
    """Count the operator's writes of what it owns for an AgentWorker, by kind."""
    return Counter(
        entry["objectRef"]["resource"]
        for entry in plane.audit(namespace)
        if entry["verb"] == "patch" and "fieldManager=durafleet" in entry["requestURI"]
        and entry["objectRef"]["resource"] in {"deployments", "configmaps"}
        and not entry["objectRef"].get("subresource")
    )  # fmt: skip


async def begin(fleet: Fleet, folder: Path) -> None:
    """Run an operator until the AgentWorker's Deployment is there and its status says so."""
    with operator_process(folder, fleet.env()):
        await fleet.until_reason("agentworker", "support", "RollingOut")


async def test_a_restart_of_the_operator_applies_only_what_somebody_edited_meanwhile(
    control_plane: ControlPlane, temporal_server: str, namespace: str, tmp_path: Path
):
    fleet = Fleet(control_plane, namespace, await Client.connect(temporal_server))
    env = [{"name": "EMPTY", "value": ""}, {"name": "FULL", "value": "1"}]
    agents = [{"name": "greeter", "model": "test"}]
    fleet.create_worker(agents=agents, env=env, resources={"requests": {"cpu": "100m"}})
    await begin(fleet, tmp_path)
    assert applied(control_plane, namespace) == {"deployments": 1, "configmaps": 1}
    with operator_process(tmp_path, fleet.env()):
        fleet.create_run("marker", "Echo", input="hello")
        await fleet.until_started(fleet.get("agentrun", "marker"))
        fleet.patch("agentworker", "support", {"priority": 1})  # looked at once more, hence for the second time
        await fleet.until(
            "agentworker", "support", lambda it: it["status"]["observedGeneration"] == 2, what="was looked at"
        )
    assert applied(control_plane, namespace) == {"deployments": 1, "configmaps": 1}
    edit = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "registry.invalid/other:1"}]
    fleet.kubectl("patch", "deployment", "support", "--type=json", "-p", json.dumps(edit))
    with operator_process(tmp_path, fleet.env()):
        await fleet.until(
            "deployment",
            "support",
            lambda it: it["spec"]["template"]["spec"]["containers"][0]["image"] == IMAGE,
            what="has its image back",
        )
