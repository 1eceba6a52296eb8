"""The status contract, read by those it is for: every situation, as the operator wrote it, through the tools' code.

kstatus is what Flux and Helm 4 go by. Argo CD and a strict Flux have the recipes of docs/gitops.md.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.support import status_scenarios as have
from tests.support.cluster import ControlPlane
from tests.support.gitops import ask, read_as_tools_do
from tests.support.operator import API_VERSION, condition
from tests.support.status_scenarios import Situation, Stage


@dataclass(frozen=True)
class Row:
    """One row of the contract; `reason` and `ready` are of the condition Ready, `reads` says how the tools read it."""

    situation: str
    arrange: Situation
    reason: str | None
    succeeded: str | None
    ready: str | None
    reads: tuple[str, str]
    strict: str | None = None


MOVING = ("InProgress", "Progressing")
GOOD = ("Current", "Healthy")
BAD = ("Failed", "Degraded")
NOBODY = {"name": "nobody"}
NOTHING = {"configMapKeyRef": {"name": "nothing", "key": "input"}}

RUNS = [
    Row("new", have.new("AgentRun", workflowType="Echo", workerRef=NOBODY), None, None, None, MOVING, "InProgress"),
    Row(
        "its worker is not there yet",
        have.run("early", workflow_type="Echo", workerRef=NOBODY, until="WorkerNotFound"),
        "WorkerNotFound", "Unknown", "Unknown", MOVING, "InProgress",
    ),
    Row(
        "running", have.run("running", workflow_type="Wait", until="Running"),
        "Running", "Unknown", "Unknown", MOVING, "InProgress",
    ),
    Row("queued", have.queued, "Queued", "Unknown", "Unknown", MOVING, "InProgress"),
    Row(
        "waiting for a person", have.run("asking", workflow_type="Ask", until="AwaitingApproval"),
        "AwaitingApproval", "Unknown", "Unknown", MOVING, "InProgress",
    ),
    Row(
        "its input is not there yet", have.run("mute", workflow_type="Echo", inputFrom=NOTHING, until="InputNotFound"),
        "InputNotFound", "Unknown", "Unknown", MOVING, "InProgress",
    ),
    Row(
        "Temporal does not answer for a while", have.run_without_temporal,
        "TemporalUnavailable", "Unknown", "Unknown", MOVING, "InProgress",
    ),
    Row(
        "stopped while the operator is away", have.run_stopped_while_the_operator_is_away,
        "Completed", "True", "True", MOVING, "InProgress",
    ),
    Row(
        "completed", have.run("completed", workflow_type="Echo", input="hello", until="Completed"),
        "Completed", "True", "True", GOOD, "Current",
    ),
    Row(
        "cancelled by its spec", have.edited_run("cancelled", stop="Cancel", until="Cancelled"),
        "Cancelled", "False", "True", GOOD, "Failed",
    ),
    Row(
        "terminated by its spec", have.edited_run("ended", stop="Terminate", until="Terminated"),
        "Terminated", "False", "True", GOOD, "Failed",
    ),
    Row(
        "stopped before its start", have.run("never", workflow_type="Wait", stop="Cancel", until="Cancelled"),
        "Cancelled", "False", "True", GOOD, "Failed",
    ),
    Row(
        "suspended before its start", have.run("held", workflow_type="Wait", suspend=True, until="Suspended"),
        "Suspended", "Unknown", "True", GOOD, "InProgress",
    ),
    Row(
        "suspended while it runs", have.edited_run("paused", suspend=True, until="Suspended"),
        "Suspended", "Unknown", "True", GOOD, "InProgress",
    ),
    Row(
        "running, and ready when started",
        have.run("begun", workflow_type="Wait", readyWhen="Started", until="Running"),
        "Running", "Unknown", "True", GOOD, "InProgress",
    ),
    Row(
        "failed, and ready when started",
        have.run("burnt", workflow_type="Break", input="smoke", readyWhen="Started", until="WorkflowFailed"),
        "WorkflowFailed", "False", "False", BAD, "Failed",
    ),
    Row(
        "failed", have.run("broken", workflow_type="Break", input="paper jam", until="WorkflowFailed"),
        "WorkflowFailed", "False", "False", BAD, "Failed",
    ),
    Row("timed out", have.timed_out, "TimedOut", "False", "False", BAD, "Failed"),
    Row("terminated from outside", have.terminated_from_outside, "Terminated", "False", "False", BAD, "Failed"),
    Row("cancelled from outside", have.cancelled_from_outside, "Cancelled", "False", "False", BAD, "Failed"),
    Row("refused by Temporal", have.start_rejected, "StartRejected", "False", "False", BAD, "Failed"),
    Row(
        "a spec that cannot work", have.run("empty", agent="greeter", input="", until="InvalidSpec"),
        "InvalidSpec", "False", "False", BAD, "Failed",
    ),
    Row("its input never came", have.input_never_came, "InputNotFound", "Unknown", "False", BAD, "Failed"),
    Row("its worker never came", have.worker_never_came, "WorkerNotFound", "Unknown", "False", BAD, "Failed"),
    Row(
        "Temporal does not answer for long", have.run_without_temporal_for_long,
        "TemporalUnavailable", "Unknown", "False", BAD, "Failed",
    ),
    Row(
        "in no Temporal namespace", have.run_in_no_temporal_namespace,
        "NamespaceNotFound", "Unknown", "False", BAD, "Failed",
    ),
]  # fmt: skip

WORKERS = [
    Row("new", have.new("AgentWorker", image="i"), None, None, None, MOVING),
    Row(
        "edited while the operator is away", have.worker_edited_while_the_operator_is_away,
        "ScaledToZero", None, "True", MOVING,
    ),
    Row("rolling out", have.worker("rolling", until="RollingOut"), "RollingOut", None, "False", MOVING),
    Row("waiting for pollers", have.worker_without_pollers, "WaitingForPollers", None, "False", MOVING),
    Row(
        "its connection is not there yet",
        have.worker("remote", connectionRef=NOBODY, until="ConnectionNotFound"),
        "ConnectionNotFound", None, "False", MOVING,
    ),
    Row("at work", have.worker_at_work, "Available", None, "True", GOOD),
    Row("scaled to zero", have.worker("idle", replicas=0, until="ScaledToZero"), "ScaledToZero", None, "True", GOOD),
    Row("image cannot be pulled", have.worker_whose_image_is_missing, "ImagePullFailed", None, "False", BAD),
    Row("crashing", have.worker_that_crashes, "CrashLoop", None, "False", BAD),
    Row("past its deadline", have.worker_past_its_deadline, "ProgressDeadlineExceeded", None, "False", BAD),
    Row("in no Temporal namespace", have.worker_in_no_temporal_namespace, "NamespaceNotFound", None, "False", BAD),
    Row("its Deployment's name is taken", have.worker_in_a_taken_place, "ForeignObject", None, "False", BAD),
    Row(
        "a spec that cannot work",
        have.worker("clashing", env=[{"name": "TEMPORAL_ADDRESS", "value": "x:1"}], until="InvalidSpec"),
        "InvalidSpec", None, "False", BAD,
    ),
]  # fmt: skip

CONNECTIONS = [
    Row("new", have.new("TemporalConnection", address="x:7233"), None, None, None, MOVING),
    Row("reachable", have.connection("good", until="Reachable"), "Reachable", None, "True", GOOD),
    Row(
        "does not answer", have.connection("dead", address="127.0.0.1:1", until="TemporalUnavailable"),
        "TemporalUnavailable", None, "False", MOVING,
    ),
    Row(
        "no such Temporal namespace", have.connection("astray", namespace="nowhere", until="NamespaceNotFound"),
        "NamespaceNotFound", None, "False", BAD,
    ),
]  # fmt: skip


@pytest_asyncio.fixture(scope="module")
async def stage(
    control_plane: ControlPlane, temporal_server: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    """Namespaces with and without operators."""
    async with have.stage(control_plane, temporal_server, tmp_path_factory.mktemp("operators")) as namespaces:
        yield namespaces


def rows(kind: str, table: list[Row]) -> list[object]:
    return [pytest.param(row, id=f"{kind}: {row.situation}") for row in table]


@pytest.mark.parametrize(
    "row", rows("AgentRun", RUNS) + rows("AgentWorker", WORKERS) + rows("TemporalConnection", CONNECTIONS)
)
async def test_tools_read_a_status_as_the_contract_says(stage: Stage, row: Row):
    body = await row.arrange(stage)
    ready = condition(body, "Ready")
    assert (ready.get("reason"), ready.get("status")) == (row.reason, row.ready)
    assert condition(body, "Succeeded").get("status") == row.succeeded
    readings = read_as_tools_do(body)
    assert ((readings.kstatus, readings.argo), readings.strict) == (row.reads, row.strict)


async def test_argo_cd_shows_the_reason_and_the_message(stage: Stage):
    body = await have.run("printer", workflow_type="Break", input="out of ink", until="WorkflowFailed")(stage)
    assert read_as_tools_do(body).message == "WorkflowFailed: " + condition(body, "Ready")["message"]
    assert "out of ink" in read_as_tools_do(body).message


@pytest.mark.parametrize("library", ["string", "math", "io", "os"])
def test_a_recipe_gets_no_more_of_lua_than_argo_cd_gives_it(library: str):
    body = {"apiVersion": API_VERSION, "kind": "AgentWorker", "metadata": {"name": "any", "generation": 1}}
    with pytest.raises(ValueError, match="attempt to index"):
        ask(body, health=f"return {{status = {library}.name}}")
