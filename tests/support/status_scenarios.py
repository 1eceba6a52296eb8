"""The situations of the status contract, brought about for real: each returns the object as the operator wrote it.

Deadlines of minutes are the one thing that is not waited for: an operator whose patience is over at once writes what
any other writes later.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from temporalio.client import Client

from tests.support.cluster import ControlPlane
from tests.support.operator import Fleet, impatient, operator_process
from tests.support.pods import running, set_pods, waiting
from tests.support.temporal import free_port

IMPATIENT = impatient(core__grace__REFERENCE_GRACE=0.0, core__runs__plan__TEMPORAL_GRACE=0.0)

Body = dict[str, Any]
Situation = Callable[["Stage"], Awaitable[Body]]


@dataclass(frozen=True)
class Stage:
    """Namespaces of one API server.

    Attributes:
        fleet: has an operator, and an AgentWorker `support` that is polled.
        impatient: has an operator that waits for nothing.
        unwatched: has no operator.
        folder: for logs.
    """

    fleet: Fleet
    impatient: Fleet
    unwatched: Fleet
    folder: Path

    def another(self) -> Fleet:
        """Return one more namespace without an operator."""
        return Fleet(self.fleet.plane, self.fleet.plane.new_namespace(), self.fleet.client)


@asynccontextmanager
async def stage(plane: ControlPlane, temporal: str, folder: Path) -> AsyncIterator[Stage]:
    """Set up the namespaces and their operators."""
    client = await Client.connect(temporal)
    fleet, impatient, unwatched = (Fleet(plane, plane.new_namespace(), client) for _ in range(3))
    fleet.create_worker(agents=[{"name": "greeter", "model": "test"}])
    (folder / "impatient").mkdir()
    with ExitStack() as operators:
        patient = operators.enter_context(operator_process(folder, fleet.env()))
        other = operators.enter_context(operator_process(folder / "impatient", impatient.env(), code=IMPATIENT))
        await patient.until_ready()
        await other.until_ready()
        async with fleet.worker():
            yield Stage(fleet, impatient, unwatched, folder)


def new(kind: str, **spec: Any) -> Situation:
    """An object that no operator has seen."""

    async def arrange(stage: Stage) -> Body:
        return stage.unwatched.create(kind, f"new-{kind.lower()}", spec)

    return arrange


def run(name: str, *, until: str, **spec: Any) -> Situation:
    """An AgentRun that only has to be created; `until` is the reason of Ready to wait for."""

    async def arrange(stage: Stage) -> Body:
        stage.fleet.create_run(name, **spec)
        return await stage.fleet.until_reason("agentrun", name, until)

    return arrange


def edited_run(name: str, *, until: str, **spec: Any) -> Situation:
    """An AgentRun whose spec is changed while its workflow runs."""

    async def arrange(stage: Stage) -> Body:
        stage.fleet.create_run(name, "Wait")
        await stage.fleet.until_state(name, "Running")
        stage.fleet.patch("agentrun", name, spec)
        return await stage.fleet.until_reason("agentrun", name, until)

    return arrange


async def queued(stage: Stage) -> Body:
    stage.fleet.create_worker("narrow", maxConcurrentRuns=1)
    async with stage.fleet.worker("narrow"):
        stage.fleet.create_run("first", "Wait", workerRef={"name": "narrow"})
        await stage.fleet.until_state("first", "Running")
        stage.fleet.create_run("second", "Wait", workerRef={"name": "narrow"})
        return await stage.fleet.until_state("second", "Queued")


async def input_never_came(stage: Stage) -> Body:
    reference = {"configMapKeyRef": {"name": "nothing", "key": "input"}}
    stage.impatient.create_worker("patient")
    stage.impatient.create_run("speechless", "Echo", inputFrom=reference, workerRef={"name": "patient"})
    return await stage.impatient.until("agentrun", "speechless", _stalled, what="is stalled")


async def timed_out(stage: Stage) -> Body:
    stage.fleet.create_worker("brief", timeouts={"workflow": "2s", "activity": "1s", "heartbeat": "500ms"})
    return await run("timed-out", until="TimedOut", workflow_type="Wait", workerRef={"name": "brief"})(stage)


async def start_rejected(stage: Stage) -> Body:
    stage.fleet.create_worker("reserved", taskQueue="/_sys/reserved")
    return await run("rejected", until="StartRejected", workflow_type="Echo", workerRef={"name": "reserved"})(stage)


async def terminated_from_outside(stage: Stage) -> Body:
    created = stage.fleet.create_run("shot", "Wait")
    await stage.fleet.until_state("shot", "Running")
    await stage.fleet.workflow(created).terminate(reason="too expensive")
    return await stage.fleet.until_state("shot", "Terminated")


async def cancelled_from_outside(stage: Stage) -> Body:
    created = stage.fleet.create_run("called-off", "Wait")
    await stage.fleet.until_state("called-off", "Running")
    await stage.fleet.workflow(created).cancel()
    return await stage.fleet.until_state("called-off", "Cancelled")


async def worker_never_came(stage: Stage) -> Body:
    stage.impatient.create_run("forlorn", "Echo", workerRef={"name": "nobody"})
    return await stage.impatient.until("agentrun", "forlorn", _stalled, what="is stalled")


async def run_without_temporal(stage: Stage) -> Body:
    return await _without_temporal(stage.fleet)


async def run_without_temporal_for_long(stage: Stage) -> Body:
    return await _without_temporal(stage.impatient)


async def run_in_no_temporal_namespace(stage: Stage) -> Body:
    connect(stage.fleet, "run-astray", namespace="nowhere")
    stage.fleet.create_worker("run-astray", connectionRef={"name": "run-astray"})
    return await run(
        "astray", until="NamespaceNotFound", workflow_type="Echo", workerRef={"name": "run-astray"}
    )(stage)  # fmt: skip


async def run_stopped_while_the_operator_is_away(stage: Stage) -> Body:
    fleet = stage.another()
    fleet.create_worker()
    async with fleet.worker():
        with operator_process(stage.folder, fleet.env()):
            fleet.create_run("done", "Echo", input="hello")
            await fleet.until_state("done", "Completed")
    fleet.patch("agentrun", "done", {"stop": "Cancel"})
    return fleet.get("agentrun", "done")


async def _without_temporal(fleet: Fleet) -> Body:
    connect(fleet, "silent", address=f"127.0.0.1:{free_port()}")
    fleet.create_worker("silent", connectionRef={"name": "silent"})
    fleet.create_run("unheard", "Echo", workerRef={"name": "silent"})
    return await fleet.until_reason("agentrun", "unheard", "TemporalUnavailable")


def worker(name: str, *, until: str, **spec: Any) -> Situation:
    """An AgentWorker that only has to be created."""

    async def arrange(stage: Stage) -> Body:
        stage.fleet.create_worker(name, **spec)
        return await stage.fleet.until_reason("agentworker", name, until)

    return arrange


async def worker_edited_while_the_operator_is_away(stage: Stage) -> Body:
    fleet = stage.another()
    with operator_process(stage.folder, fleet.env()):
        fleet.create_worker("resting", replicas=0)
        await fleet.until_reason("agentworker", "resting", "ScaledToZero")
    fleet.patch("agentworker", "resting", {"image": "registry.invalid/worker:2"})
    return fleet.get("agentworker", "resting")


async def worker_without_pollers(stage: Stage) -> Body:
    stage.fleet.create_worker("mute")
    await set_pods(stage.fleet, "mute", running())
    return await stage.fleet.until_reason("agentworker", "mute", "WaitingForPollers")


async def worker_at_work(stage: Stage) -> Body:
    stage.fleet.create_worker("busy")
    await set_pods(stage.fleet, "busy", running())
    async with stage.fleet.worker("busy"):
        return await stage.fleet.until_reason("agentworker", "busy", "Available")


async def worker_in_no_temporal_namespace(stage: Stage) -> Body:
    connect(stage.fleet, "fleet-astray", namespace="nowhere")
    stage.fleet.create_worker("astray", connectionRef={"name": "fleet-astray"})
    await set_pods(stage.fleet, "astray", running())
    return await stage.fleet.until_reason("agentworker", "astray", "NamespaceNotFound")


async def worker_whose_image_is_missing(stage: Stage) -> Body:
    stage.fleet.create_worker("imageless")
    await set_pods(stage.fleet, "imageless", waiting("ImagePullBackOff"))
    return await stage.fleet.until_reason("agentworker", "imageless", "ImagePullFailed")


async def worker_that_crashes(stage: Stage) -> Body:
    stage.fleet.create_worker("fragile")
    await set_pods(stage.fleet, "fragile", waiting("CrashLoopBackOff"))
    return await stage.fleet.until_reason("agentworker", "fragile", "CrashLoop")


async def worker_past_its_deadline(stage: Stage) -> Body:
    await worker("slow", until="RollingOut")(stage)
    progressing = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    patch = {"status": {"conditions": [progressing]}}
    refused = stage.fleet.plane.patch("deployment", "slow", patch, namespace=stage.fleet.namespace, status=True)
    assert not refused, refused
    return await stage.fleet.until_reason("agentworker", "slow", "ProgressDeadlineExceeded")


async def worker_in_a_taken_place(stage: Stage) -> Body:
    stage.fleet.kubectl("create", "deployment", "taken", "--image=registry.invalid/theirs:1")
    return await worker("taken", until="ForeignObject")(stage)


def connection(name: str, *, until: str, **spec: Any) -> Situation:
    """A TemporalConnection to the tests' Temporal unless told otherwise."""

    async def arrange(stage: Stage) -> Body:
        connect(stage.fleet, name, **spec)
        return await stage.fleet.until_reason("temporalconnection", name, until)

    return arrange


def connect(fleet: Fleet, name: str, **spec: Any) -> None:
    """Create a TemporalConnection."""
    address = fleet.client.service_client.config.target_host
    fleet.create("TemporalConnection", name, {"address": address, **spec})


def _stalled(body: Body) -> bool:
    return any(each["type"] == "Stalled" for each in body.get("status", {}).get("conditions", ()))
