"""AgentWorkers and their Deployments on the real API server, which runs no pods, so that no worker gets Ready."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import Client

from tests.support.cluster import ControlPlane
from tests.support.operator import IMAGE, Fleet, condition, operator_process

AGENTS = [{"name": "greeter", "model": "test", "instructions": "Greet."}]


@pytest_asyncio.fixture(scope="module")
async def fleet(
    control_plane: ControlPlane, temporal_server: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Fleet]:
    """A namespace with an operator."""
    shared = Fleet(control_plane, control_plane.new_namespace(), await Client.connect(temporal_server))
    with operator_process(tmp_path_factory.mktemp("operator"), shared.env()) as operator:
        await operator.until_ready()
        yield shared


def container(deployment: dict[str, Any]) -> dict[str, Any]:
    (only,) = deployment["spec"]["template"]["spec"]["containers"]
    return dict(only)


def variables(deployment: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each.get("value", "") for each in container(deployment)["env"]}


async def until_deployed(fleet: Fleet, name: str) -> dict[str, Any]:
    """Return the Deployment of an AgentWorker once the operator has reconciled it."""
    await fleet.until_reason("agentworker", name, "RollingOut")
    return fleet.get("deployment", name)


async def test_the_deployment_of_a_worker_has_the_temporal_address_and_task_queue(fleet: Fleet):
    worker = fleet.create_worker("plain", agents=AGENTS, replicas=2, timeouts={"activity": "7m"})
    deployment = await until_deployed(fleet, "plain")
    assert deployment["spec"]["replicas"] == 2
    assert container(deployment)["image"] == IMAGE
    expected = {
        "TEMPORAL_ADDRESS": fleet.client.service_client.config.target_host,
        "TEMPORAL_NAMESPACE": "default",
        "TEMPORAL_TASK_QUEUE": f"{fleet.namespace}/plain",
        "DURAFLEET_WORKFLOW_TIMEOUT_SECONDS": "3600",
        "DURAFLEET_ACTIVITY_TIMEOUT_SECONDS": "420",
        "DURAFLEET_HEARTBEAT_TIMEOUT_SECONDS": "30",
    }
    assert expected.items() <= variables(deployment).items()
    (owner,) = deployment["metadata"]["ownerReferences"]
    assert (owner["uid"], owner["controller"]) == (worker["metadata"]["uid"], True)


async def test_the_config_map_of_declared_agents_follows_the_spec(fleet: Fleet):
    fleet.create_worker("declared", agents=AGENTS)
    before = await until_deployed(fleet, "declared")
    agents = json.loads(fleet.get("configmap", "declared-agents")["data"]["agents.json"])["agents"]
    assert [(agent["name"], agent["instructions"]) for agent in agents] == [("greeter", "Greet.")]
    fleet.patch("agentworker", "declared", {"agents": [{**AGENTS[0], "instructions": "Say goodbye."}]})
    annotations = before["spec"]["template"]["metadata"]["annotations"]
    await fleet.until(
        "deployment",
        "declared",
        lambda it: it["spec"]["template"]["metadata"]["annotations"] != annotations,
        what="rolls out the new agents",
    )
    assert "Say goodbye." in fleet.get("configmap", "declared-agents")["data"]["agents.json"]


async def test_a_deployment_of_another_owner_is_not_changed_and_the_worker_is_stalled(fleet: Fleet):
    fleet.kubectl("create", "deployment", "taken", "--image=registry.invalid/theirs:1")
    theirs = fleet.get("deployment", "taken")
    fleet.create_worker("taken", agents=AGENTS)
    worker = await fleet.until_reason("agentworker", "taken", "ForeignObject")
    assert f"{fleet.namespace}/taken" in condition(worker, "Ready")["message"]
    assert condition(worker, "Stalled")["status"] == "True"
    now = fleet.get("deployment", "taken")
    assert now["spec"] == theirs["spec"]
    assert now["metadata"].get("labels") == theirs["metadata"].get("labels")
    assert "ownerReferences" not in now["metadata"]


@pytest.mark.parametrize(
    "edit",
    [
        ("scale", "deployment", "{}", "--replicas=5"),
        ("set", "image", "deployment/{}", "worker=registry.invalid/worker:2"),
        ("set", "env", "deployment/{}", "TEMPORAL_TASK_QUEUE=elsewhere"),
    ],
    ids=["replicas", "image", "variable"],
)
async def test_manual_edits_of_the_deployment_are_reverted(
    fleet: Fleet, edit: tuple[str, ...], request: pytest.FixtureRequest
):
    name = f"edited-{request.node.callspec.id}"
    fleet.create_worker(name)
    before = await until_deployed(fleet, name)
    fleet.kubectl(*(part.format(name) for part in edit))
    await fleet.until(
        "deployment",
        name,
        lambda it: it["metadata"]["generation"] > before["metadata"]["generation"] + 1,
        what="is edited and reverted",
    )
    after = fleet.get("deployment", name)
    assert after["spec"] == before["spec"]


async def test_a_deleted_deployment_is_created_again(fleet: Fleet):
    fleet.create_worker("resilient")
    before = await until_deployed(fleet, "resilient")
    fleet.kubectl("delete", "deployment", "resilient")
    after = await fleet.until(
        "deployment",
        "resilient",
        lambda it: it["metadata"]["uid"] != before["metadata"]["uid"],
        what="exists again",
    )
    assert after["spec"] == before["spec"]


async def test_a_new_image_and_replica_count_of_a_worker_are_applied_to_the_deployment(fleet: Fleet):
    fleet.create_worker("growing")
    await until_deployed(fleet, "growing")
    fleet.patch("agentworker", "growing", {"image": "registry.invalid/worker:3", "replicas": 4})
    await fleet.until(
        "deployment",
        "growing",
        lambda it: (container(it)["image"], it["spec"]["replicas"]) == ("registry.invalid/worker:3", 4),
        what="follows the spec",
    )


async def test_a_worker_without_an_image_is_invalid_and_names_the_field(fleet: Fleet):
    fleet.create("AgentWorker", "imageless", {"agents": AGENTS})
    worker = await fleet.until_reason("agentworker", "imageless", "InvalidSpec")
    assert "spec.image" in condition(worker, "Ready")["message"]
    assert fleet.find("deployment", "imageless") is None


async def test_a_worker_that_sets_a_reserved_environment_variable_is_invalid(fleet: Fleet):
    fleet.create_worker("clashing", env=[{"name": "TEMPORAL_ADDRESS", "value": "elsewhere:7233"}])
    worker = await fleet.until_reason("agentworker", "clashing", "InvalidSpec")
    assert "TEMPORAL_ADDRESS" in condition(worker, "Ready")["message"]


async def test_a_worker_scaled_to_zero_is_ready(fleet: Fleet):
    fleet.create_worker("resting", replicas=0)
    worker = await fleet.until_reason("agentworker", "resting", "ScaledToZero")
    assert condition(worker, "Ready")["status"] == "True"


async def test_a_working_connection_is_ready_and_one_to_a_missing_temporal_namespace_is_stalled(fleet: Fleet):
    address = fleet.client.service_client.config.target_host
    fleet.create("TemporalConnection", "good", {"address": address})
    fleet.create("TemporalConnection", "astray", {"address": address, "namespace": "nowhere"})
    good = await fleet.until_reason("temporalconnection", "good", "Reachable")
    assert condition(good, "Ready")["status"] == "True"
    astray = await fleet.until_reason("temporalconnection", "astray", "NamespaceNotFound")
    assert "'nowhere'" in condition(astray, "Ready")["message"]
    assert condition(astray, "Stalled")["status"] == "True"
