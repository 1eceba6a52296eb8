"""The status contract: the operator's status in each scenario, evaluated by the code of the deployment tools.

Flux and Helm 4 use kstatus. Argo CD and a strict Flux use the recipes of docs/gitops.md.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.support import status_scenarios as given
from tests.support.cluster import ControlPlane
from tests.support.gitops import evaluate, tool_statuses
from tests.support.operator import API_VERSION, condition
from tests.support.status_scenarios import Namespaces, StatusScenario


@dataclass(frozen=True)
class Row:
    """One row of the contract.

    Attributes:
        reason: the reason of the condition Ready.
        ready: the status of the condition Ready.
        reads: the status in kstatus and in Argo CD.
    """

    scenario: str
    arrange: StatusScenario
    reason: str | None
    succeeded: str | None
    ready: str | None
    reads: tuple[str, str]
    strict: str | None = None


IN_PROGRESS = ("InProgress", "Progressing")
CURRENT = ("Current", "Healthy")
FAILED = ("Failed", "Degraded")
MISSING = {"name": "nobody"}
MISSING_INPUT = {"configMapKeyRef": {"name": "nothing", "key": "input"}}

RUNS = [
    Row(
        "new", given.new("AgentRun", workflowType="Echo", workerRef=MISSING),
        None, None, None, IN_PROGRESS, "InProgress",
    ),
    Row(
        "worker not found",
        given.run("early", workflow_type="Echo", workerRef=MISSING, until="WorkerNotFound"),
        "WorkerNotFound", "Unknown", "Unknown", IN_PROGRESS, "InProgress",
    ),
    Row(
        "running", given.run("running", workflow_type="Wait", until="Running"),
        "Running", "Unknown", "Unknown", IN_PROGRESS, "InProgress",
    ),
    Row("queued", given.queued, "Queued", "Unknown", "Unknown", IN_PROGRESS, "InProgress"),
    Row(
        "awaiting approval", given.run("asking", workflow_type="WaitForApproval", until="AwaitingApproval"),
        "AwaitingApproval", "Unknown", "Unknown", IN_PROGRESS, "InProgress",
    ),
    Row(
        "input not found", given.run("mute", workflow_type="Echo", inputFrom=MISSING_INPUT, until="InputNotFound"),
        "InputNotFound", "Unknown", "Unknown", IN_PROGRESS, "InProgress",
    ),
    Row(
        "Temporal unavailable for a short time", given.run_without_temporal,
        "TemporalUnavailable", "Unknown", "Unknown", IN_PROGRESS, "InProgress",
    ),
    Row(
        "stopped while no operator runs", given.run_stopped_while_no_operator_runs,
        "Completed", "True", "True", IN_PROGRESS, "InProgress",
    ),
    Row(
        "completed", given.run("completed", workflow_type="Echo", input="hello", until="Completed"),
        "Completed", "True", "True", CURRENT, "Current",
    ),
    Row(
        "cancelled by spec.stop", given.edited_run("cancelled", stop="Cancel", until="Cancelled"),
        "Cancelled", "False", "True", CURRENT, "Failed",
    ),
    Row(
        "terminated by spec.stop", given.edited_run("ended", stop="Terminate", until="Terminated"),
        "Terminated", "False", "True", CURRENT, "Failed",
    ),
    Row(
        "stopped before it starts", given.run("never", workflow_type="Wait", stop="Cancel", until="Cancelled"),
        "Cancelled", "False", "True", CURRENT, "Failed",
    ),
    Row(
        "suspended before it starts", given.run("held", workflow_type="Wait", suspend=True, until="Suspended"),
        "Suspended", "Unknown", "True", CURRENT, "InProgress",
    ),
    Row(
        "suspended while it runs", given.edited_run("paused", suspend=True, until="Suspended"),
        "Suspended", "Unknown", "True", CURRENT, "InProgress",
    ),
    Row(
        "running with readyWhen Started",
        given.run("begun", workflow_type="Wait", readyWhen="Started", until="Running"),
        "Running", "Unknown", "True", CURRENT, "InProgress",
    ),
    Row(
        "failed with readyWhen Started",
        given.run("burnt", workflow_type="Fail", input="smoke", readyWhen="Started", until="WorkflowFailed"),
        "WorkflowFailed", "False", "False", FAILED, "Failed",
    ),
    Row(
        "failed", given.run("broken", workflow_type="Fail", input="paper jam", until="WorkflowFailed"),
        "WorkflowFailed", "False", "False", FAILED, "Failed",
    ),
    Row("timed out", given.timed_out, "TimedOut", "False", "False", FAILED, "Failed"),
    Row("terminated in Temporal", given.terminated_in_temporal, "Terminated", "False", "False", FAILED, "Failed"),
    Row("cancelled in Temporal", given.cancelled_in_temporal, "Cancelled", "False", "False", FAILED, "Failed"),
    Row("start rejected by Temporal", given.start_rejected, "StartRejected", "False", "False", FAILED, "Failed"),
    Row(
        "invalid spec", given.run("empty", agent="greeter", input="", until="InvalidSpec"),
        "InvalidSpec", "False", "False", FAILED, "Failed",
    ),
    Row(
        "input not found after the deadline", given.input_missing_after_the_deadline,
        "InputNotFound", "Unknown", "False", FAILED, "Failed",
    ),
    Row(
        "worker not found after the deadline", given.worker_missing_after_the_deadline,
        "WorkerNotFound", "Unknown", "False", FAILED, "Failed",
    ),
    Row(
        "Temporal unavailable after the deadline", given.run_without_temporal_after_the_deadline,
        "TemporalUnavailable", "Unknown", "False", FAILED, "Failed",
    ),
    Row(
        "Temporal namespace not found", given.run_in_missing_temporal_namespace,
        "NamespaceNotFound", "Unknown", "False", FAILED, "Failed",
    ),
]  # fmt: skip

WORKERS = [
    Row("new", given.new("AgentWorker", image="i"), None, None, None, IN_PROGRESS),
    Row(
        "edited while no operator runs", given.worker_edited_while_no_operator_runs,
        "ScaledToZero", None, "True", IN_PROGRESS,
    ),
    Row("rolling out", given.worker("rolling", until="RollingOut"), "RollingOut", None, "False", IN_PROGRESS),
    Row("waiting for pollers", given.worker_without_pollers, "WaitingForPollers", None, "False", IN_PROGRESS),
    Row(
        "connection not found",
        given.worker("remote", connectionRef=MISSING, until="ConnectionNotFound"),
        "ConnectionNotFound", None, "False", IN_PROGRESS,
    ),
    Row("available", given.worker_available, "Available", None, "True", CURRENT),
    Row(
        "scaled to zero", given.worker("idle",
        replicas=0, until="ScaledToZero"), "ScaledToZero", None, "True", CURRENT,
    ),
    Row("image cannot be pulled", given.worker_with_missing_image, "ImagePullFailed", None, "False", FAILED),
    Row("in a crash loop", given.worker_in_crash_loop, "CrashLoop", None, "False", FAILED),
    Row(
        "past its progress deadline", given.worker_past_its_deadline,
        "ProgressDeadlineExceeded", None, "False", FAILED,
    ),
    Row(
        "Temporal namespace not found", given.worker_in_missing_temporal_namespace,
        "NamespaceNotFound", None, "False", FAILED,
    ),
    Row("Deployment of another owner", given.worker_with_foreign_deployment, "ForeignObject", None, "False", FAILED),
    Row(
        "invalid spec",
        given.worker("clashing", env=[{"name": "TEMPORAL_ADDRESS", "value": "x:1"}], until="InvalidSpec"),
        "InvalidSpec", None, "False", FAILED,
    ),
]  # fmt: skip

CONNECTIONS = [
    Row("new", given.new("TemporalConnection", address="x:7233"), None, None, None, IN_PROGRESS),
    Row("reachable", given.connection("good", until="Reachable"), "Reachable", None, "True", CURRENT),
    Row(
        "Temporal unavailable", given.connection("dead", address="127.0.0.1:1", until="TemporalUnavailable"),
        "TemporalUnavailable", None, "False", IN_PROGRESS,
    ),
    Row(
        "Temporal namespace not found", given.connection("astray", namespace="nowhere", until="NamespaceNotFound"),
        "NamespaceNotFound", None, "False", FAILED,
    ),
]  # fmt: skip


@pytest_asyncio.fixture(scope="module")
async def namespaces(
    control_plane: ControlPlane, temporal_server: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Namespaces]:
    """Namespaces with and without operators."""
    async with given.namespaces(control_plane, temporal_server, tmp_path_factory.mktemp("operators")) as namespaces:
        yield namespaces


def rows(kind: str, table: list[Row]) -> list[object]:
    return [pytest.param(row, id=f"{kind}: {row.scenario}") for row in table]


@pytest.mark.parametrize(
    "row", rows("AgentRun", RUNS) + rows("AgentWorker", WORKERS) + rows("TemporalConnection", CONNECTIONS)
)
async def test_deployment_tools_read_the_status_as_the_contract_requires(namespaces: Namespaces, row: Row):
    body = await row.arrange(namespaces)
    ready = condition(body, "Ready")
    assert (ready.get("reason"), ready.get("status")) == (row.reason, row.ready)
    assert condition(body, "Succeeded").get("status") == row.succeeded
    readings = tool_statuses(body)
    assert ((readings.kstatus, readings.argo), readings.strict) == (row.reads, row.strict)


async def test_argo_cd_shows_the_reason_and_the_message_of_a_failed_run(namespaces: Namespaces):
    body = await given.run("printer", workflow_type="Fail", input="out of ink", until="WorkflowFailed")(namespaces)
    assert tool_statuses(body).message == "WorkflowFailed: " + condition(body, "Ready")["message"]
    assert "out of ink" in tool_statuses(body).message


@pytest.mark.parametrize("library", ["string", "math", "io", "os"])
def test_a_health_recipe_cannot_use_a_lua_library_that_argo_cd_does_not_provide(library: str):
    body = {"apiVersion": API_VERSION, "kind": "AgentWorker", "metadata": {"name": "any", "generation": 1}}
    with pytest.raises(ValueError, match="attempt to index"):
        evaluate(body, health=f"return {{status = {library}.name}}")
