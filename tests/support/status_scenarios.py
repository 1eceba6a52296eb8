"""The scenarios of the status contract, on real servers: each returns the object as the operator wrote it.

Deadlines of minutes are not waited for: an operator whose deadlines are zero writes the same status at once.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from temporalio.client import Client

from tests.support.cluster import ControlPlane
from tests.support.operator import Fleet, operator_process, with_constants
from tests.support.pods import running, set_pods, waiting
from tests.support.temporal import free_port

SHORT_DEADLINES = with_constants(core__grace__REFERENCE_GRACE=0.0, core__grace__TEMPORAL_GRACE=0.0)

Body = dict[str, Any]
StatusScenario = Callable[["Namespaces"], Awaitable[Body]]


@dataclass(frozen=True)
class Namespaces:
    """Namespaces of one API server.

    Attributes:
        fleet: has an operator, an AgentWorker `support` and a worker for it.
        short_deadlines: has an operator whose deadlines are zero.
        without_operator: has no operator.
        folder: for logs.
    """

    fleet: Fleet
    short_deadlines: Fleet
    without_operator: Fleet
    folder: Path

    def another(self) -> Fleet:
        """Return a further namespace without an operator."""
        return Fleet(self.fleet.plane, self.fleet.plane.new_namespace(), self.fleet.client)


@asynccontextmanager
async def namespaces(plane: ControlPlane, temporal: str, folder: Path) -> AsyncIterator[Namespaces]:
    """Set up the namespaces and their operators."""
    client = await Client.connect(temporal)
    fleet, short_deadlines, without_operator = (Fleet(plane, plane.new_namespace(), client) for _ in range(3))
    fleet.create_worker(agents=[{"name": "greeter", "model": "test"}])
    (folder / "short-deadlines").mkdir()
    with ExitStack() as operators:
        standard = operators.enter_context(operator_process(folder, fleet.env()))
        other = operators.enter_context(
            operator_process(folder / "short-deadlines", short_deadlines.env(), code=SHORT_DEADLINES)
        )
        await standard.until_ready()
        await other.until_ready()
        async with fleet.worker():
            yield Namespaces(fleet, short_deadlines, without_operator, folder)


def new(kind: str, **spec: Any) -> StatusScenario:
    """An object that no operator has reconciled."""

    async def arrange(namespaces: Namespaces) -> Body:
        return namespaces.without_operator.create(kind, f"new-{kind.lower()}", spec)

    return arrange


def run(name: str, *, until: str, **spec: Any) -> StatusScenario:
    """An AgentRun that is only created; `until` is the reason of Ready to wait for."""

    async def arrange(namespaces: Namespaces) -> Body:
        namespaces.fleet.create_run(name, **spec)
        return await namespaces.fleet.until_reason("agentrun", name, until)

    return arrange


def edited_run(name: str, *, until: str, **spec: Any) -> StatusScenario:
    """An AgentRun whose spec is changed while its workflow runs."""

    async def arrange(namespaces: Namespaces) -> Body:
        namespaces.fleet.create_run(name, "Wait")
        await namespaces.fleet.until_state(name, "Running")
        namespaces.fleet.patch("agentrun", name, spec)
        return await namespaces.fleet.until_reason("agentrun", name, until)

    return arrange


async def queued(namespaces: Namespaces) -> Body:
    namespaces.fleet.create_worker("narrow", maxConcurrentRuns=1)
    async with namespaces.fleet.worker("narrow"):
        namespaces.fleet.create_run("first", "Wait", workerRef={"name": "narrow"})
        await namespaces.fleet.until_state("first", "Running")
        namespaces.fleet.create_run("second", "Wait", workerRef={"name": "narrow"})
        return await namespaces.fleet.until_state("second", "Queued")


async def input_missing_after_the_deadline(namespaces: Namespaces) -> Body:
    reference = {"configMapKeyRef": {"name": "nothing", "key": "input"}}
    namespaces.short_deadlines.create_worker("patient")
    namespaces.short_deadlines.create_run("speechless", "Echo", inputFrom=reference, workerRef={"name": "patient"})
    return await namespaces.short_deadlines.until("agentrun", "speechless", _stalled, what="is stalled")


async def timed_out(namespaces: Namespaces) -> Body:
    namespaces.fleet.create_worker("brief", timeouts={"workflow": "2s", "activity": "1s", "heartbeat": "500ms"})
    return await run("timed-out", until="TimedOut", workflow_type="Wait", workerRef={"name": "brief"})(namespaces)


async def start_rejected(namespaces: Namespaces) -> Body:
    namespaces.fleet.create_worker("reserved", taskQueue="/_sys/reserved")
    return await run("rejected", until="StartRejected", workflow_type="Echo", workerRef={"name": "reserved"})(
        namespaces
    )


async def terminated_in_temporal(namespaces: Namespaces) -> Body:
    created = namespaces.fleet.create_run("shot", "Wait")
    await namespaces.fleet.until_state("shot", "Running")
    await namespaces.fleet.workflow(created).terminate(reason="too expensive")
    return await namespaces.fleet.until_state("shot", "Terminated")


async def cancelled_in_temporal(namespaces: Namespaces) -> Body:
    created = namespaces.fleet.create_run("called-off", "Wait")
    await namespaces.fleet.until_state("called-off", "Running")
    await namespaces.fleet.workflow(created).cancel()
    return await namespaces.fleet.until_state("called-off", "Cancelled")


async def worker_missing_after_the_deadline(namespaces: Namespaces) -> Body:
    namespaces.short_deadlines.create_run("forlorn", "Echo", workerRef={"name": "nobody"})
    return await namespaces.short_deadlines.until("agentrun", "forlorn", _stalled, what="is stalled")


async def run_without_temporal(namespaces: Namespaces) -> Body:
    return await _without_temporal(namespaces.fleet)


async def run_without_temporal_after_the_deadline(namespaces: Namespaces) -> Body:
    return await _without_temporal(namespaces.short_deadlines)


async def run_in_missing_temporal_namespace(namespaces: Namespaces) -> Body:
    connect(namespaces.fleet, "run-astray", namespace="nowhere")
    namespaces.fleet.create_worker("run-astray", connectionRef={"name": "run-astray"})
    return await run(
        "astray", until="NamespaceNotFound", workflow_type="Echo", workerRef={"name": "run-astray"}
    )(namespaces)  # fmt: skip


async def run_stopped_while_no_operator_runs(namespaces: Namespaces) -> Body:
    fleet = namespaces.another()
    fleet.create_worker()
    async with fleet.worker():
        with operator_process(namespaces.folder, fleet.env()):
            fleet.create_run("done", "Echo", input="hello")
            await fleet.until_state("done", "Completed")
    fleet.patch("agentrun", "done", {"stop": "Cancel"})
    return fleet.get("agentrun", "done")


async def _without_temporal(fleet: Fleet) -> Body:
    connect(fleet, "silent", address=f"127.0.0.1:{free_port()}")
    fleet.create_worker("silent", connectionRef={"name": "silent"})
    fleet.create_run("unheard", "Echo", workerRef={"name": "silent"})
    return await fleet.until_reason("agentrun", "unheard", "TemporalUnavailable")


def worker(name: str, *, until: str, **spec: Any) -> StatusScenario:
    """An AgentWorker that is only created; `until` is the reason of Ready to wait for."""

    async def arrange(namespaces: Namespaces) -> Body:
        namespaces.fleet.create_worker(name, **spec)
        return await namespaces.fleet.until_reason("agentworker", name, until)

    return arrange


async def worker_edited_while_no_operator_runs(namespaces: Namespaces) -> Body:
    fleet = namespaces.another()
    with operator_process(namespaces.folder, fleet.env()):
        fleet.create_worker("resting", replicas=0)
        await fleet.until_reason("agentworker", "resting", "ScaledToZero")
    fleet.patch("agentworker", "resting", {"image": "registry.invalid/worker:2"})
    return fleet.get("agentworker", "resting")


async def worker_without_pollers(namespaces: Namespaces) -> Body:
    namespaces.fleet.create_worker("mute")
    await set_pods(namespaces.fleet, "mute", running())
    return await namespaces.fleet.until_reason("agentworker", "mute", "WaitingForPollers")


async def worker_available(namespaces: Namespaces) -> Body:
    namespaces.fleet.create_worker("busy")
    await set_pods(namespaces.fleet, "busy", running())
    async with namespaces.fleet.worker("busy"):
        return await namespaces.fleet.until_reason("agentworker", "busy", "Available")


async def worker_in_missing_temporal_namespace(namespaces: Namespaces) -> Body:
    connect(namespaces.fleet, "fleet-astray", namespace="nowhere")
    namespaces.fleet.create_worker("astray", connectionRef={"name": "fleet-astray"})
    await set_pods(namespaces.fleet, "astray", running())
    return await namespaces.fleet.until_reason("agentworker", "astray", "NamespaceNotFound")


async def worker_with_missing_image(namespaces: Namespaces) -> Body:
    namespaces.fleet.create_worker("imageless")
    await set_pods(namespaces.fleet, "imageless", waiting("ImagePullBackOff"))
    return await namespaces.fleet.until_reason("agentworker", "imageless", "ImagePullFailed")


async def worker_in_crash_loop(namespaces: Namespaces) -> Body:
    namespaces.fleet.create_worker("fragile")
    await set_pods(namespaces.fleet, "fragile", waiting("CrashLoopBackOff"))
    return await namespaces.fleet.until_reason("agentworker", "fragile", "CrashLoop")


async def worker_past_its_deadline(namespaces: Namespaces) -> Body:
    await worker("slow", until="RollingOut")(namespaces)
    progressing = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    patch = {"status": {"conditions": [progressing]}}
    refused = namespaces.fleet.plane.patch(
        "deployment", "slow", patch, namespace=namespaces.fleet.namespace, status=True
    )
    assert not refused, refused
    return await namespaces.fleet.until_reason("agentworker", "slow", "ProgressDeadlineExceeded")


async def worker_with_foreign_deployment(namespaces: Namespaces) -> Body:
    namespaces.fleet.kubectl("create", "deployment", "taken", "--image=registry.invalid/theirs:1")
    return await worker("taken", until="ForeignObject")(namespaces)


def connection(name: str, *, until: str, **spec: Any) -> StatusScenario:
    """A TemporalConnection, to the tests' Temporal server by default."""

    async def arrange(namespaces: Namespaces) -> Body:
        connect(namespaces.fleet, name, **spec)
        return await namespaces.fleet.until_reason("temporalconnection", name, until)

    return arrange


def connect(fleet: Fleet, name: str, **spec: Any) -> None:
    """Create a TemporalConnection."""
    address = fleet.client.service_client.config.target_host
    fleet.create("TemporalConnection", name, {"address": address, **spec})


def _stalled(body: Body) -> bool:
    return any(each["type"] == "Stalled" for each in body.get("status", {}).get("conditions", ()))
